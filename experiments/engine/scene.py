"""One run as its workloads, measurements and faults see it: places by name, addresses, what is kept."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from experiments.base import PodTarget, RunningCluster
from experiments.engine.files import ReadingTable
from experiments.engine.tools import Telling
from experiments.folder import write_bytes
from experiments.measure.target import ExecResult, Host
from experiments.placenames import FORMS, parse_place
from experiments.records import RECORDER
from experiments.scene import Reading
from kubinet.errors import KubinetError, UsageError

VALUE_SECONDS: Final = 0.5
"""Values are shown at most so often."""
_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class PodPlace:
    """A pod as a place: programs can also be left running in its first container."""

    pod: PodTarget
    cluster: str
    namespace: str

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.name

    @property
    def node(self) -> str:
        """The name of the node that it runs on."""
        return self.pod.node

    @property
    def address(self) -> IPv4Address:
        """Where others reach it."""
        return self.pod.address

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> ExecResult:
        """Run a program to its end; `timeout` in seconds."""
        return self.pod.exec(argv, timeout=timeout, check=check)

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a program; `options` are those of `subprocess.Popen`.

        The process here is `kubinet exec -i`: its streams are the program's. Killing it does not end the program, so
        let the program end with its standard input.
        """
        return subprocess.Popen(self.command(argv), **options)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line on this machine that runs `argv` in the pod."""
        kubinet = [sys.executable, "-m", "kubinet.cli.main", "exec", "--cluster", self.cluster]
        return [*kubinet, "-i", "-n", self.namespace, self.pod.name, "--", *argv]

    def wait_log(self, text: str, *, timeout: float = 15.0) -> str:
        """The first line of its log that contains `text`, waited for; `timeout` in seconds."""
        return self.pod.wait_log(text, timeout=timeout)


@dataclass(slots=True)
class _Writing:
    """What all views of one run's scene share."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    shown: float = 0.0
    closed: bool = False


@dataclass(slots=True)
class LiveScene:
    """`experiments.scene.Scene` on a running cluster, writing into the run's folder."""

    cluster: RunningCluster
    seed: int
    folder: Path
    table: ReadingTable
    telling: Telling
    started_s: float = 0.0
    recorder: str = ""
    """Whose readings these are: a workload's or a measurement's name."""
    topology: Mapping[str, Any] = field(init=False)
    _writing: _Writing = field(default_factory=_Writing)

    def __post_init__(self) -> None:
        self.topology = self.cluster.topology

    def of(self, recorder: str) -> "LiveScene":
        """The same run as one workload or measurement sees it: its readings carry its name."""
        return replace(self, recorder=recorder)

    def place(self, name: str) -> Host:
        """Where programs run: `pod/NAME`, `pod/NAMESPACE/NAME`, `node/NAME`, `outside/NAME`; UsageError otherwise."""
        wanted = parse_place(name)
        if wanted.kind == "pod":
            pod = self.cluster.pod(wanted.name, wanted.namespace)
            return PodPlace(pod, self.cluster.name, wanted.namespace)
        if wanted.kind == "node":
            return self.cluster.node(wanted.name)
        if wanted.kind == "outside":
            return self.cluster.outside(wanted.name)
        raise UsageError(f"place '{name}': programs run in {FORMS}")

    def address(self, name: str) -> tuple[IPv4Address, int | None]:
        """A place's address, or that of a Service or `A.B.C.D[:PORT]`; the port is None where none is named."""
        wanted = parse_place(name)
        if wanted.kind == "address":
            return IPv4Address(wanted.name), wanted.port
        if wanted.kind != "service":
            return self.place(name).address, None
        service = self.cluster.wait_until(
            "Service", wanted.name, lambda obj: obj is not None, namespace=wanted.namespace, what="its existence"
        )
        address = service["spec"].get("clusterIP") if isinstance(service, dict) else None
        if not address or address == "None":
            raise UsageError(f"place '{name}': the Service has no address of its own (clusterIP); name a pod")
        return IPv4Address(address), wanted.port

    def record(self, readings: Iterable[Reading]) -> None:
        """Keep readings; they are on the disk when the call returns. Safe to call from several threads."""
        kept = [self._named(one) for one in readings]
        with self._writing.lock:
            if self._writing.closed:
                raise KubinetError("this run is over: nothing is recorded any more")
            self.table.add(kept)
            due = time.monotonic() > self._writing.shown + VALUE_SECONDS
            if due:
                self._writing.shown = time.monotonic()
        if due and kept:
            last = kept[-1]
            self.telling.value(f"{last.metric} {last.value:.4g} {last.unit}".rstrip())

    def _named(self, reading: Reading) -> Reading:
        if not self.recorder:
            return reading
        return replace(reading, labels={**reading.labels, RECORDER: self.recorder})

    def raw(self, name: str, content: str | bytes) -> None:
        """Keep a tool's own output under `raw/`; a name that is taken already gets a number."""
        stem = _FILE_NAME.sub("-", name).lstrip(".") or "output"
        with self._writing.lock:
            path, number = self.folder / "raw" / stem, 1
            while path.exists():
                number += 1
                path = self.folder / "raw" / f"{Path(stem).stem}-{number}{Path(stem).suffix}"
            write_bytes(path, content.encode() if isinstance(content, str) else content)

    def tell(self, text: str) -> None:
        """Tell the user what is going on, one short line."""
        self.telling.step(text)

    def close(self) -> None:
        """Keep nothing more; a thread that is left over from an interrupted run meets an error."""
        with self._writing.lock:
            self._writing.closed = True
            self.table.close()
