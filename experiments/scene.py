"""What plug-ins see of one run: places, addresses, a recorder; and what a workload and a measurement are.

Plug-ins are found by entry point: group `kubinet.workloads` and `kubinet.measurements`, name = the kind that an
experiment's file writes.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Protocol

from experiments.base import Parameter, RunningCluster
from experiments.design.model import Settings
from experiments.measure.target import Host
from experiments.offered import OfferedLoad


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value, before the engine adds run, repetition and factors."""

    metric: str
    """For example `rtt`."""
    value: float
    unit: str
    time_s: float
    """When, seconds since 1970."""
    sequence: int = 0
    source: str = ""
    """The place that it was measured from."""
    target: str = ""
    """The place that it was measured to."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What else distinguishes it inside its run; each becomes a column."""


class Scene(Protocol):
    """One run, as its workloads, measurements and faults see it."""

    @property
    def cluster(self) -> RunningCluster:
        """The run's own cluster."""
        ...

    @property
    def topology(self) -> Mapping[str, Any]:
        """The resolved Topology document."""
        ...

    @property
    def seed(self) -> int:
        """The run's seed; derive others with `experiments.stats.derived_seed(seed, label, …)`."""
        ...

    @property
    def started_s(self) -> float:
        """When the workload started, seconds since 1970: zero of the timeline."""
        ...

    def place(self, name: str) -> Host:
        """Where programs run: `pod/NAME`, `pod/NAMESPACE/NAME`, `node/NAME`, `outside/NAME`; UsageError otherwise."""
        ...

    def address(self, name: str) -> tuple[IPv4Address, int | None]:
        """A place's address, or that of `service/NAME[:PORT]`, `service/NAMESPACE/NAME[:PORT]`, `A.B.C.D[:PORT]`.

        The port is None where none is named.
        """
        ...

    def record(self, readings: Iterable[Reading]) -> None:
        """Keep readings; they are on the disk when the call returns. Safe to call from several threads."""
        ...

    def raw(self, name: str, content: str | bytes) -> None:
        """Keep a tool's own output under `raw/`."""
        ...

    def tell(self, text: str) -> None:
        """Tell the user what is going on, one short line."""
        ...


class Plugin(Protocol):
    """What workloads and measurements have in common. A plug-in is an instance; it keeps no state between runs."""

    @property
    def summary(self) -> str:
        """What it does, one sentence."""
        ...

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What an experiment's file may set; a default of "" for a text that must be given says so in `required`."""
        ...

    @property
    def required(self) -> tuple[str, ...]:
        """Parameters without a default."""
        ...

    @property
    def metrics(self) -> Mapping[str, str]:
        """Metric that it records, to its unit."""
        ...

    @property
    def programs(self) -> tuple[str, ...]:
        """Programs that it needs on this machine, refused before the first run where one is missing."""
        ...

    def check(self, settings: Settings) -> None:
        """Refuse settings that go together badly (InvalidInputError); types and ranges are checked already."""
        ...


class Workload(Plugin, Protocol):
    """One kind of traffic."""

    def duration_s(self, settings: Settings) -> float:
        """How long it runs, seconds."""
        ...

    def offered(self, settings: Settings) -> OfferedLoad:
        """What it sends, a second; the docstring is what the page of workloads says about it. Pure."""
        ...

    def run(self, scene: Scene, settings: Settings) -> None:
        """Send, measure, record; returns at the end. KubinetError when nothing could be measured."""
        ...


class Measurement(Plugin, Protocol):
    """Something that is watched while the workload runs."""

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """Watch from entering to leaving; what was seen is recorded by then."""
        ...
