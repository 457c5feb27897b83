"""What faults reach of a cluster: its services, links, agents and processes, all inside its sandbox.

Sockets of the sandbox are opened through its first process's root (proc_pid_root(5)); signals are sent from inside its
pid namespace, so that no number can mean another process of the machine.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from kubinet.client import Client, Object
from kubinet.cluster import Cluster
from kubinet.cri import RuntimeClient
from kubinet.errors import ApiError, DeadlineError, KubinetError, UsageError
from kubinet.state import ClusterFacts, NodeFacts
from topologies.supervisor import RUN_DIR
from topologies.underlay_client import call
from topologies.underlay_protocol import SOCKET

_ANSWER_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
PROBE_NAMESPACE: Final = "kube-system"
"""Where checks make pods of their own: no selector of an experiment's objects finds them there."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a look found."""

    holds: bool
    seen: str
    """For people: the fact, short."""


@dataclass(slots=True)
class Site:
    """One running cluster, for one thread."""

    cluster: Cluster
    seed: int = 1
    folder: Path = field(default_factory=Path)
    """Manifest files are relative to it, where `files` has not their text."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts of manifest files by the names that a timeline gives them."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants to know any more: waits end."""
    _facts: ClusterFacts | None = None

    def fresh(self, over: threading.Event) -> "Site":
        """The same for another thread."""
        return Site(Cluster.connect(self.cluster.name), self.seed, self.folder, self.files, over, self._facts)

    # What there is

    @property
    def client(self) -> Client:
        """The API."""
        return self.cluster.client

    @property
    def facts(self) -> ClusterFacts:
        """Nodes and outside hosts."""
        if self._facts is None:
            self._facts = self.cluster.facts
        return self._facts

    def node(self, name: str) -> NodeFacts:
        """The node; UsageError with those that there are."""
        for node in self.facts.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.facts.nodes)
        raise UsageError(f"node '{name}' is not in cluster '{self.cluster.name}'; its nodes: {known}")

    def links(self) -> Sequence[Mapping[str, Any]]:
        """What each link declares, and whether its ends are up."""
        found: Sequence[Mapping[str, Any]] = self.underlay({"command": "links"})["links"]
        return found

    def link(self, name: str) -> Mapping[str, Any]:
        """One link; UsageError with those that there are."""
        links = self.links()
        for link in links:
            if link["name"] == name:
                return link
        raise UsageError(f"link '{name}' is not in this cluster; its links: {', '.join(one['name'] for one in links)}")

    # Services

    def underlay(self, request: dict[str, object]) -> dict[str, Any]:
        """Ask the underlay service."""
        return call(request, socket_path=self._inside(RUN_DIR / SOCKET))

    def agents(self, command: str, node: str = "", seconds: float = _ANSWER_SECONDS) -> dict[str, Any]:
        """Ask the agents service; DeadlineError without an answer in `seconds`."""
        request = {"command": command} | ({"node": node} if node else {})
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            try:
                connection.connect(str(self._inside(RUN_DIR / "agents.sock")))
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as answers:
                    line = answers.readline()
            except TimeoutError as error:
                raise DeadlineError(f"the agents service did not answer in {seconds:g} s") from error
            except OSError as error:
                raise KubinetError(f"the agents service cannot be asked: {error.strerror}") from error
        if not line:
            raise KubinetError("the agents service ended before it answered")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise KubinetError(str(answer["error"]))
        return answer

    def runtime(self) -> RuntimeClient:
        """The container runtime."""
        return RuntimeClient(self._inside(RUN_DIR / "runtime.sock"))

    def service(self, name: str) -> Mapping[str, Any]:
        """A service's `pid` in the sandbox, `state` and `restarts`."""
        return self.cluster.services()[name]

    def _inside(self, path: Path) -> Path:
        return Path(f"/proc/{self.cluster.info.pid}/root") / path.relative_to("/")

    # Processes, by their numbers in the sandbox

    def signal(self, pids: Sequence[int], number: signal.Signals) -> None:
        """Send a signal to processes of the sandbox; those that are gone are fine."""
        if pids:
            words = ["kill", f"-{number.name.removeprefix('SIG')}", "--", *map(str, pids)]
            self.cluster.run(words, check=False)

    def process_state(self, pid: int) -> str:
        """The process's state letter (proc_pid_stat(5)); empty when there is no such process, or only its zombie."""
        try:
            stat = self._inside(Path(f"/proc/{pid}/stat")).read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        letter = stat.rpartition(")")[2].split()[0]
        return "" if letter in "ZX" else letter

    def in_namespace_of(self, pid: int) -> list[int]:
        """Other processes in the network namespace of a process, such as a node's."""
        proc = self._inside(Path("/proc"))
        wanted = (proc / str(pid) / "ns/net").readlink()
        found = []
        for entry in proc.iterdir():
            if entry.name.isdigit() and int(entry.name) != pid:
                with suppress(OSError):  # it ended meanwhile
                    if (entry / "ns/net").readlink() == wanted and self.process_state(int(entry.name)):
                        found.append(int(entry.name))
        return found

    # Bridges

    def flows(self, node: str, bridge: str = "br-int") -> list[str]:
        """The flows of a node's bridge, a line each; KubinetError while the switch is down."""
        text = self.cluster.run(["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", self.management(node, bridge)]).text
        return [line for line in text.splitlines() if "table=" in line]

    def management(self, node: str, bridge: str) -> str:
        """The bridge's own socket, in ovs-ofctl's words."""
        return f"unix:{RUN_DIR}/nodes/{node}/{bridge}.mgmt"

    # Packets and pods

    def reaches(self, node: str, address: IPv4Address, seconds: float = 0.5) -> bool:
        """Whether the node's ping of an address is answered."""
        words = ["ping", "-n", "-c", "1", "-W", f"{seconds:g}", str(address)]
        return self.cluster.node(node).exec(words, check=False).exit_code == 0

    def probe_pod(self, node: str) -> "ProbePod":
        """A pod on the node, made to see what becomes of it; a context manager."""
        return ProbePod(self, node)

    def node_ready(self, node: str) -> str:
        """The status of the Node's condition Ready: True, False or Unknown."""
        conditions = self.client.get("Node", node).get("status", {}).get("conditions") or ()
        return next((str(one["status"]) for one in conditions if one["type"] == "Ready"), "Unknown")

    def realised(self, seconds: float) -> Check:
        """Whether all nodes' flows include what has happened until now."""
        try:
            self.cluster.wait_realised(seconds)
        except DeadlineError:
            return Check(False, f"not all nodes' flows are current after {seconds:g} s")
        return Check(True, "all nodes' flows are current")

    # Time

    def wait(self, look: Callable[[], Check], seconds: float) -> Check:
        """Look until it holds, at most `seconds`; the last look. What cannot be seen yet counts as not holding."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                last = look()
            except (KubinetError, OSError) as error:
                last = Check(False, str(error))
            if last.holds or time.monotonic() >= deadline or self.over.wait(_LOOK_SECONDS):
                return last


class ProbePod:
    """A pause container on a node, deleted without grace at the end."""

    def __init__(self, site: Site, node: str) -> None:
        self._site = site
        self._node = node
        self.name = f"fault-probe-{node}-{os.urandom(3).hex()}"

    def __enter__(self) -> "ProbePod":
        container = {"name": "pause", "image": "registry.k8s.io/pause:3.10"}
        self._site.client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": self.name, "namespace": PROBE_NAMESPACE},
                "spec": {"nodeName": self._node, "terminationGracePeriodSeconds": 0, "containers": [container]},
            }
        )
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ApiError):
            self._site.client.delete("Pod", self.name, PROBE_NAMESPACE, grace_period=0)

    def ready(self, seconds: float) -> Check:
        """Whether it is Ready within that time."""
        try:
            self._site.cluster.wait("Pod", self.name, namespace=PROBE_NAMESPACE, timeout=seconds)
        except DeadlineError:
            pod = self._site.client.get("Pod", self.name, PROBE_NAMESPACE)
            status = pod.get("status") or {}
            address = f"address {status['podIP']}" if status.get("podIP") else "no address"
            return Check(False, f"a new pod on {self._node}: {status.get('phase')}, {address} after {seconds:g} s")
        return Check(True, f"a new pod on {self._node} is Ready")


def ready_pods(pods: Sequence[Object]) -> Iterator[Object]:
    """Those whose condition Ready is True and that are not being deleted."""
    for pod in pods:
        conditions = (pod.get("status") or {}).get("conditions") or ()
        if "deletionTimestamp" not in pod["metadata"] and any(
            one["type"] == "Ready" and one["status"] == "True" for one in conditions
        ):
            yield pod
