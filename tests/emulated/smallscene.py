"""A Scene over a real cluster for tests of workloads and measurements: what they record is kept in memory."""

import json
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from experiments.measure.target import Host
from experiments.scene import Reading
from kubinet.cluster import Cluster, HostHandle
from kubinet.errors import UsageError
from kubinet.streams import ExecResult

_NAMESPACES = """
import json
from pathlib import Path
from kubinet.cri import RuntimeClient
client = RuntimeClient(Path("/run/kubinet/runtime.sock"))
print(json.dumps({one.pod_uid: str(one.netns) for one in client.list()}))
"""


@dataclass(frozen=True)
class PodPlace:
    """A pod's network namespace, entered from its node; programs see the sandbox's files."""

    name: str
    address: IPv4Address
    netns: str
    beside: HostHandle

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> ExecResult:
        return self.beside.exec(["nsenter", f"--net={self.netns}", "--", *argv], timeout=timeout, check=check)

    def popen(self, argv: Sequence[str], **options: Any) -> Any:
        return self.beside.popen(["nsenter", f"--net={self.netns}", "--", *argv], **options)


@dataclass
class SmallScene:
    """One run."""

    cluster: Cluster
    seed: int = 1
    started_s: float = field(default_factory=time.time)
    readings: list[Reading] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def topology(self) -> Mapping[str, Any]:
        return self.cluster.topology

    def place(self, name: str) -> Host:
        kind, _, rest = name.partition("/")
        if kind == "node":
            return self.cluster.node(rest)
        if kind == "outside":
            return self.cluster.outside(rest)
        if kind != "pod":
            raise UsageError(f"{name!r} is no place")
        namespace, pod = _named(rest)
        handle = self.cluster.pod(pod, namespace)
        netns = _netns(self.cluster, f"{namespace}/{pod}", handle.object["metadata"]["uid"])
        return PodPlace(name, handle.address, netns, self.cluster.node(handle.node))

    def address(self, name: str) -> tuple[IPv4Address, int | None]:
        kind, _, rest = name.partition("/")
        if kind == "service":
            rest, _, port = rest.partition(":")
            namespace, service = _named(rest)
            spec = self.cluster.client.get("Service", service, namespace)["spec"]
            return IPv4Address(spec["clusterIP"]), int(port) if port else None
        if not rest:
            address, _, port = name.partition(":")
            return IPv4Address(address), int(port) if port else None
        return self.place(name).address, None

    def record(self, readings: Iterable[Reading]) -> None:
        with self._lock:
            self.readings += readings

    def raw(self, name: str, content: str | bytes) -> None:
        with self._lock:
            self.kept[name] = content if isinstance(content, bytes) else content.encode()

    def tell(self, text: str) -> None:
        print(text)

    def values(self, metric: str) -> list[float]:
        """What was recorded of a metric, in order."""
        return [one.value for one in self.readings if one.metric == metric]


_KNOWN: dict[tuple[str, str], str] = {}


def _netns(cluster: Cluster, pod: str, uid: str) -> str:
    """The path of a pod's network namespace in the sandbox; the runtime is asked once for each pod."""
    if (cluster.name, uid) not in _KNOWN:
        _KNOWN.update(
            ((cluster.name, one), path)
            for one, path in json.loads(cluster.run([sys.executable, "-c", _NAMESPACES]).text).items()
        )
    if (cluster.name, uid) not in _KNOWN:
        raise UsageError(f"pod {pod} has no network namespace yet")
    return _KNOWN[cluster.name, uid]


def _named(text: str) -> tuple[str, str]:
    namespace, _, name = text.rpartition("/")
    return namespace or "default", name
