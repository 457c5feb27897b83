"""What tests of Services share: a cluster with programs that say who they are, and questions asked from any place."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pytest
from serviceprograms import ASK, HOLD, PYTHON, SERVER, TRAFFIC

from kubinet.client import Object
from kubinet.cluster import Cluster, HostHandle, PodHandle
from kubinet.errors import ApiError
from kubinet.streams import STDOUT, ExecSession, open_exec

Place = PodHandle | HostHandle
T = TypeVar("T")
PORTS = (8080, 8081)
"""What the programs in pods listen on, with TCP, UDP and SCTP."""


@dataclass(frozen=True)
class To:
    """Where to connect, how often, and how many bytes to have echoed."""

    address: str
    port: int = 80
    protocol: str = "tcp"
    times: int = 1
    timeout: float = 3.0
    size: int = 10
    bind: str = ""


@dataclass(frozen=True)
class Answers:
    """What many connections got, and how long the slowest took, seconds."""

    said: tuple[str, ...]
    seconds: float

    @property
    def who(self) -> list[str]:
        """The different programs that answered, or `refused`, `silence`, `closed`; sorted."""
        return sorted({one.split()[0] for one in self.said})

    @property
    def clients(self) -> list[str]:
        """The different addresses that the programs saw; sorted."""
        return sorted({one.split()[1] for one in self.said if " " in one})


def pod(
    name: str, node: str, labels: dict[str, str] | None = None, *, ports: Sequence[int] = PORTS, **spec: Any
) -> Object:
    """A pod that serves; it is ready when it listens."""
    named = {8080: "http", 8081: "alt"}
    container: Object = {
        "name": "main",
        "image": "python:3",
        "command": [PYTHON, "-c", SERVER, name, *map(str, ports)],
        "ports": [{"name": named[port], "containerPort": port} for port in ports if port in named],
        "readinessProbe": {"tcpSocket": {"port": ports[0]}, "periodSeconds": 1},
        **spec.pop("container", {}),
    }
    if spec.get("hostNetwork"):
        container["env"] = [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]
    full = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": full}


def service(
    name: str, selector: dict[str, str] | None = None, *, annotations: dict[str, str] | None = None, **spec: Any
) -> Object:
    """A Service; port 80 to the programs' first port unless `ports` says otherwise."""
    full: Object = {"ports": [{"port": 80, "targetPort": PORTS[0]}], **spec}
    if selector is not None:
        full["selector"] = selector
    metadata = {"name": name, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": full}


def endpoint_slice(name: str, owner: str, endpoints: Sequence[Object], ports: Sequence[Object]) -> Object:
    """A hand-made EndpointSlice of a Service."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": owner}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": list(ports),
    }


class Lab:
    """A cluster under test."""

    def __init__(self, cluster: Cluster, proxy: str) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self.nodes = [node.name for node in cluster.facts.nodes]
        self.outside = cluster.outside()

    # Objects

    def create(self, *objects: Object) -> list[Object]:
        """Create objects in namespace default; returns them as the API made them."""
        return [
            self.cluster.client.create({**obj, "metadata": {"namespace": "default", **obj["metadata"]}})
            for obj in objects
        ]

    def start(self, *pods: Object) -> None:
        """Create pods and wait until they are ready."""
        self.create(*pods)
        for one in pods:
            self.cluster.wait("Pod", one["metadata"]["name"], "Ready", namespace="default")

    def serve(self, obj: Object) -> str:
        """Create a Service; returns its clusterIP."""
        return str(self.create(obj)[0]["spec"].get("clusterIP", ""))

    def patch(self, kind: str, name: str, change: Object) -> Object:
        """Merge a change into an object."""
        return self.cluster.client.patch(kind, name, change, "default")

    def kill(self, name: str) -> None:
        """Delete a pod without grace and wait until it is gone."""
        self.cluster.client.delete("Pod", name, "default", grace_period=0)
        self.cluster.wait("Pod", name, "delete", namespace="default")

    def remove(self, kind: str, *names: str) -> None:
        """Delete objects; those that are gone already are fine."""
        for name in names:
            try:
                self.cluster.client.delete(kind, name, "default", **({"grace_period": 0} if kind == "Pod" else {}))
            except ApiError as error:
                if error.status != 404:
                    raise

    def address(self, node: str) -> str:
        """A node's address."""
        return str(self.cluster.node(node).address)

    def pod(self, name: str) -> PodHandle:
        """A pod."""
        return self.cluster.pod(name)

    def node(self, name: str) -> HostHandle:
        """A node."""
        return self.cluster.node(name)

    # Questions

    def ask(self, place: Place, *to: To) -> list[Answers]:
        """All questions at once, from a pod, a node or an outside host."""
        done = place.exec([PYTHON, "-c", ASK, json.dumps([asdict(one) for one in to])])
        return [Answers(tuple(found["said"]), found["seconds"]) for found in json.loads(done.text)]

    def who(self, place: Place, *to: To) -> list[list[str]]:
        """Who answers each question."""
        return [found.who for found in self.ask(place, *to)]

    def until(self, expected: T, look: Callable[[], T], timeout: float = 15.0) -> T:
        """What `look` finds as soon as it is as expected, or what it was at the end of the time."""
        deadline = time.monotonic() + timeout
        while (found := look()) != expected and time.monotonic() < deadline:
            pass
        if found != expected:
            pytest.fail(f"after {timeout:g} s: {found} instead of {expected}")
        return found

    def until_who(self, place: Place, expected: Sequence[str], *to: To) -> None:
        """Wait until exactly these programs answer each question, sorted."""
        self.until([list(expected)] * len(to), lambda: self.who(place, *to))

    def hold(self, name: str, to: To) -> "Held":
        """Open `to.times` connections in a pod and keep them."""
        return Held(
            open_exec(self.cluster.client, "default", name, [PYTHON, "-c", HOLD, json.dumps(asdict(to))], stdin=True)
        )

    def traffic(self, name: str, to: To) -> "Lines":
        """Begin a long transfer and `to.times` new connections a second in a pod, until the input is closed."""
        argv = [PYTHON, "-c", TRAFFIC, json.dumps(asdict(to))]
        lines = Lines(open_exec(self.cluster.client, "default", name, argv, stdin=True))
        assert lines.read() == "begun"
        return lines

    def events(self, name: str) -> dict[str, str]:
        """Reasons and messages of the events about an object."""
        found = self.cluster.client.list("Event", "default", field_selector=f"involvedObject.name={name}")["items"]
        return {one["reason"]: one["message"] for one in found}

    def until_event(self, name: str, reason: str) -> str:
        """The message of an event, as soon as it is there."""
        deadline = time.monotonic() + 30
        while reason not in (found := self.events(name)) and time.monotonic() < deadline:
            pass
        assert reason in found
        return found[reason]


class Lines:
    """A program in a pod that is talked to by lines."""

    def __init__(self, session: ExecSession) -> None:
        self._session = session
        self._output: Iterator[tuple[int, bytes]] = session.output()
        self._buffer = b""

    def read(self) -> str:
        """The next line that it writes; fails with its errors when it ends instead."""
        errors = b""
        while b"\n" not in self._buffer:
            try:
                channel, data = next(self._output)
            except StopIteration:
                pytest.fail(f"the program ended: {errors.decode(errors='replace')}")
            if channel == STDOUT:
                self._buffer += data
            else:
                errors += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def write(self, line: str) -> None:
        """One line to it."""
        self._session.send(f"{line}\n".encode())

    def finish(self) -> str:
        """End its input; returns the next line."""
        self._session.close_stdin()
        return self.read()

    def close(self) -> None:
        """End it."""
        self._session.close()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Held(Lines):
    """Open connections of a pod."""

    def __init__(self, session: ExecSession) -> None:
        super().__init__(session)
        self.first: list[str] = json.loads(self.read())
        """What each server said first."""

    @property
    def servers(self) -> list[str]:
        """The program at the other end of each."""
        return [said.split()[0] for said in self.first]

    def again(self) -> list[str]:
        """Let all say something: TCP `same` when the echo is exact; UDP what the server says."""
        self.write("go")
        found: list[str] = json.loads(self.read())
        return found

    def __enter__(self) -> "Held":
        return self
