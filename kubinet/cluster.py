"""A running cluster from the host's side: start, find and stop it, apply manifests, run programs in its hosts.

>>> with Cluster("leaf-spine", nodes=4) as cluster:                    # doctest: +SKIP
...     cluster.apply("examples/echo.yaml")
...     cluster.wait("Pod", "client", "Ready", namespace="echo")
...     print(cluster.pod("client", "echo").exec(["ping", "-c1", "10.244.1.2"]).text)
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import requests

from kubinet import launcher, policyobjects
from kubinet.client import Client, Object
from kubinet.errors import ApiError, DeadlineError, KubinetError, UsageError
from kubinet.facts import facts_from_json
from kubinet.launcher import ClusterInfo, Progress
from kubinet.manifests import load_manifests
from kubinet.sandbox import inside
from kubinet.state import ClusterFacts
from kubinet.streams import ExecResult, run_in_pod

__all__ = ["Cluster", "ClusterInfo", "ExecResult", "HostHandle", "PodHandle"]

_GENERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "generation": ("Pod",),
    "endpointGeneration": ("EndpointSlice",),
    "serviceGeneration": ("Service",),
    "policyGeneration": ("Namespace", *policyobjects.KINDS),
}
"""Fields of `Dataplane/cluster`'s `status.nodes.<node>` and the kinds whose versions they are."""


@dataclass(frozen=True, slots=True)
class PodHandle:
    """A pod as the API showed it when `Cluster.pod` was called."""

    client: Client
    namespace: str
    name: str
    object: Object

    @property
    def address(self) -> IPv4Address:
        """The pod's address; KubinetError before it has one."""
        text = self.object.get("status", {}).get("podIP")
        if not text:
            raise KubinetError(f"pod '{self.namespace}/{self.name}' has no address yet; wait for its condition Ready")
        return IPv4Address(text)

    @property
    def node(self) -> str:
        """The node that the pod is bound to; empty before it is scheduled."""
        return str(self.object.get("spec", {}).get("nodeName", ""))

    def exec(
        self,
        argv: Sequence[str],
        *,
        container: str | None = None,
        stdin: bytes | None = None,
        timeout: float | None = 60.0,
        check: bool = True,
    ) -> ExecResult:
        """Run `argv` in the pod to its end; with `check`, KubinetError for an exit status other than 0."""
        result = run_in_pod(
            self.client, self.namespace, self.name, argv, container=container, stdin=stdin, timeout=timeout
        )
        return _checked(f"pod '{self.namespace}/{self.name}'", argv, result, check=check)

    def logs(self, container: str | None = None) -> str:
        """What the container wrote so far."""
        parameters = {"container": container} if container else {}
        return self.client.raw("GET", self._log_path, params=parameters).text

    def wait_log(self, text: str, *, container: str | None = None, timeout: float = 15.0) -> str:
        """The first line of the container's log that contains `text`, waited for.

        DeadlineError after `timeout` seconds of silence, KubinetError when the container ended before.
        """
        where = f"pod '{self.namespace}/{self.name}'"
        parameters = {"follow": "true"} | ({"container": container} if container else {})
        waits = (self.client.timeout, timeout)
        last = ""
        with self.client.raw("GET", self._log_path, params=parameters, stream=True, timeout=waits) as response:
            try:
                for line in response.iter_lines(chunk_size=None, decode_unicode=False):
                    last = line.decode(errors="replace")
                    if text in last:
                        return str(last)
            except requests.RequestException as error:
                message = f"{where}: {text!r} was not in its log after {timeout:g} s; its last line: {last!r}"
                raise DeadlineError(message) from error
        raise KubinetError(f"{where}: its container ended without {text!r} in its log; its last line: {last!r}")

    @property
    def _log_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}/log"


@dataclass(frozen=True, slots=True)
class HostHandle:
    """A Mininet host, node or outside host: programs run in its network namespace."""

    name: str
    address: IPv4Address
    pid: int
    """A process of the host, in the sandbox's numbering."""
    sandbox_pid: int

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line on the host machine that runs `argv` in this Mininet host."""
        return inside(self.sandbox_pid, argv, namespaces_of=self.pid)

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start `argv`; `options` are those of `subprocess.Popen`."""
        return subprocess.Popen(self.command(argv), **options)

    def exec(self, argv: Sequence[str], *, timeout: float | None = 60.0, check: bool = True) -> ExecResult:
        """Run `argv` to its end; with `check`, KubinetError for an exit status other than 0."""
        try:
            done = subprocess.run(self.command(argv), capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(f"host '{self.name}': {argv[0]!r} did not end in {timeout:g} s") from error
        result = ExecResult(done.returncode, done.stdout, done.stderr)
        return _checked(f"host '{self.name}'", argv, result, check=check)


class Cluster:
    """One cluster. As a context manager it starts the cluster and takes it down again, also when the program dies."""

    def __init__(
        self,
        topology: str | Path = "leaf-spine",
        *,
        name: str | None = None,
        nodes: int | None = None,
        datapath: str = "auto",
        settings: Mapping[str, object] | None = None,
        options: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._request = launcher.Request(
            topology=str(topology),
            name=name or launcher.fresh_name(),
            nodes=nodes,
            datapath=datapath,
            settings=dict(settings or {}),
            options=dict(options or {}),
            bound=True,
        )
        self._progress = progress
        self._info: ClusterInfo | None = None
        self._client: Client | None = None

    @classmethod
    def connect(cls, name: str) -> "Cluster":
        """The running cluster of that name; UsageError naming those that run."""
        cluster = cls(name=name)
        cluster._info = launcher.find(name)
        return cluster

    @classmethod
    def start(cls, request: "launcher.Request", progress: Progress | None = None) -> "Cluster":
        """Start a cluster that outlives this program, unless the request says `bound`."""
        cluster = cls(name=request.name)
        cluster._info = launcher.start(request, progress)
        return cluster

    def clone(self) -> "Cluster":
        """The same running cluster with a client of its own: another thread's requests do not wait for this one's."""
        other = Cluster(name=self.name)
        other._info = self.info
        return other

    def __enter__(self) -> "Cluster":
        self._info = launcher.start(self._request, self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the cluster down; its state folder goes with it."""
        launcher.stop(self.info.name)
        self._info = None

    @property
    def info(self) -> ClusterInfo:
        """Name, first process, API address and state folder; UsageError before the cluster is started."""
        if self._info is None:
            raise UsageError(
                "this cluster is not running; use `with Cluster(...) as cluster:` or Cluster.connect(name)"
            )
        return self._info

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.info.name

    @property
    def client(self) -> Client:
        """The API client."""
        if self._client is None:
            self._client = self.info.client()
        return self._client

    @property
    def facts(self) -> ClusterFacts:
        """What the underlay's builder made."""
        return facts_from_json(self.run(["cat", "/run/kubinet/facts.json"]).text)

    @property
    def topology(self) -> Object:
        """The resolved topology document, every default and address filled in."""
        document: Object = json.loads((self.info.state_dir / "topology.json").read_text())
        return document

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds from the start to each phase of coming up, in order."""
        return self.info.timings

    # Objects

    def apply(self, source: str | Path) -> list[tuple[Object, str]]:
        """Apply a manifest file, a folder of them, or YAML text; what `kubectl apply -f` does."""
        return [self.client.apply(obj) for obj in load_manifests(source)]

    def delete(self, source: str | Path) -> None:
        """Delete every object of the manifests; those that are gone already are fine."""
        for obj in reversed(load_manifests(source)):
            metadata = obj.get("metadata") or {}
            try:
                self.client.delete(obj["kind"], metadata["name"], metadata.get("namespace"))
            except ApiError as error:
                if error.status != 404:
                    raise

    def wait(
        self, kind: str, name: str, condition: str = "Ready", *, namespace: str | None = None, timeout: float = 60.0
    ) -> Object:
        """Wait until the object's status condition is True, or for `condition="delete"` until it is gone."""
        return self.wait_until(
            kind, name, lambda obj: _holds(obj, condition), namespace=namespace, timeout=timeout, what=condition
        )

    def wait_until(
        self,
        kind: str,
        name: str,
        holds: Callable[[Object | None], bool],
        *,
        namespace: str | None = None,
        timeout: float = 60.0,
        what: str = "the expected state",
    ) -> Object:
        """Wait until `holds(object)` (None: there is no such object); DeadlineError with the last state."""
        deadline = time.monotonic() + timeout
        last: Object | None = None
        for last in self._versions(kind, name, namespace, deadline):
            if holds(last):
                return last or {}
        where = f"{kind} '{namespace + '/' if namespace else ''}{name}'"
        seen = "it does not exist" if last is None else f"its status was {json.dumps(last.get('status', {}))[:800]}"
        raise DeadlineError(f"{where}: {what} did not come true in {timeout:g} s; {seen}")

    def last_changes(self) -> dict[str, int]:
        """Per field of `Dataplane/cluster`'s `status.nodes.<node>`: the last change that belongs there."""
        served = [kind for kinds in _GENERATIONS.values() for kind in kinds if self.client.serves(kind)]
        last = self.client.last_changes(served)
        return {field: max(last.get(kind, 0) for kind in kinds) for field, kinds in _GENERATIONS.items()}

    def wait_realised(self, timeout: float = 60.0) -> None:
        """Wait until the flows of every node include what has happened by now to pods, EndpointSlices, Services,
        namespaces and policies of all kinds, deletions too.
        """
        newest = self.last_changes()
        names = {node["metadata"]["name"] for node in self.client.list("Node")["items"]}

        def current(plane: Object | None) -> bool:
            entries = ((plane or {}).get("status") or {}).get("nodes") or {}
            return names <= entries.keys() and all(
                entry[field] >= version for entry in entries.values() for field, version in newest.items()
            )

        wanted = ", ".join(f"{field} {version}" for field, version in newest.items())
        self.wait_until("Dataplane", "cluster", current, timeout=timeout, what=f"{wanted} on all nodes")

    def _versions(self, kind: str, name: str, namespace: str | None, deadline: float) -> Iterator[Object | None]:
        """The object as it is and each time it changes, until the deadline."""
        selector = f"metadata.name={name}"
        while time.monotonic() < deadline:
            listing = self.client.list(kind, namespace, field_selector=selector)
            yield listing["items"][0] if listing["items"] else None
            with contextlib.suppress(ApiError):  # 410: list again
                events = self.client.watch(
                    kind,
                    namespace,
                    resource_version=listing["metadata"]["resourceVersion"],
                    field_selector=selector,
                    timeout=deadline - time.monotonic(),
                )
                for event in events:
                    if event.type != "BOOKMARK":
                        yield None if event.type == "DELETED" else event.object

    # Places

    def pod(self, name: str, namespace: str = "default") -> PodHandle:
        """The pod as it is now; ApiError 404 where there is none."""
        return PodHandle(self.client, namespace, name, self.client.get("Pod", name, namespace))

    def node(self, name: str) -> HostHandle:
        """The Mininet host that acts as the node."""
        for node in self.facts.nodes:
            if node.name == name:
                return HostHandle(name, node.underlay.ip, node.pid, self.info.pid)
        raise UsageError(f"node '{name}' is not in cluster '{self.name}'; `kubinet get nodes` lists them")

    def outside(self, name: str | None = None) -> HostHandle:
        """An outside host; the first where no name is given."""
        for host in self.facts.outside:
            if name in (None, host.name):
                return HostHandle(host.name, host.address, host.pid, self.info.pid)
        raise UsageError(f"outside host '{name}' is not in cluster '{self.name}'; see `kubinet topology show`")

    def run(self, argv: Sequence[str], *, timeout: float | None = 60.0, check: bool = True) -> ExecResult:
        """Run `argv` in the sandbox itself, beside the services."""
        done = subprocess.run(inside(self.info.pid, argv), capture_output=True, timeout=timeout, check=False)
        result = ExecResult(done.returncode, done.stdout, done.stderr)
        return _checked(f"cluster '{self.name}'", argv, result, check=check)

    def kubeconfig(self) -> str:
        """A kubeconfig document for this cluster."""
        return self.info.kubeconfig()

    def services(self) -> Mapping[str, Mapping[str, object]]:
        """The sandbox's services: pid in the sandbox, restarts, and what each said when it was ready."""
        table: Mapping[str, Mapping[str, object]] = json.loads((self.info.state_dir / "services.json").read_text())
        return table


def _holds(obj: Object | None, condition: str) -> bool:
    if condition == "delete":
        return obj is None
    if obj is None:
        return False
    conditions = obj.get("status", {}).get("conditions", [])
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def _checked(where: str, argv: Sequence[str], result: ExecResult, *, check: bool) -> ExecResult:
    if check and result.exit_code != 0:
        words = result.stderr.decode(errors="replace").strip() or result.text.strip()
        raise KubinetError(f"{where}: {' '.join(argv)!r} ended with status {result.exit_code}: {words[-800:]}")
    return result
