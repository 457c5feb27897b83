"""What a run needs from outside, so that tests can play it: clusters, plug-ins, what watches it, its timeline."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from experiments.base import RunningCluster
from experiments.design.model import TopologyChoice
from experiments.plugins import measurements, workloads
from experiments.records import Assessment, LinkCheck, MachineSecond
from experiments.scene import Measurement, Scene, Workload
from experiments.validity.watch import RunWatch

Tell = Callable[[str], None]
"""Called with one short line of what goes on."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Where a run tells what it does; safe to call from several threads."""

    step: Tell
    value: Tell
    """What was just measured, a few times a second."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """A line of events.csv."""

    time_s: float
    """Seconds since 1970."""
    seconds: float
    """After the workload's start."""
    event: str
    fault: str
    detail: str


class Timeline(Protocol):
    """What happens to the cluster while the workload runs."""

    def start(self, scene: Scene) -> None:
        """Begin; `scene.started_s` is its zero."""
        ...

    def stop(self) -> None:
        """Stop and heal what is still there; KubinetError when a fault was not what it should have been."""
        ...

    @property
    def assessment(self) -> Assessment:
        """Whether everything planned has begun, after `stop`."""
        ...


class Watch(Protocol):
    """Around warm-up and workload: watches whether the run can be believed."""

    @property
    def links(self) -> Sequence[LinkCheck]:
        """Links as measured against declared, before and after."""
        ...

    @property
    def assessment(self) -> Assessment:
        """The verdict, after leaving."""
        ...

    def excuse(self, subject: str) -> None:
        """Whatever happens to this in the run is meant: `link NAME`, `switch NODE`, `flows NODE` or `controller`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


OpenCluster = Callable[[TopologyChoice, str, Path, Tell], AbstractContextManager[RunningCluster]]
"""Called with topology, cluster name, the run's folder and where to tell how far it is."""
MakeTimeline = Callable[
    [Sequence[str], Mapping[str, str], Callable[[TimelineEvent], None], Callable[[str], None]], Timeline
]
"""Called with the lines, their files' texts, what writes an event, and what excuses its subject from the verdict."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The real ones unless a test says otherwise."""

    cluster: OpenCluster
    workload: Callable[[str], Workload]
    measurement: Callable[[str], Measurement]
    watch: Callable[[RunningCluster, Callable[[MachineSecond], None]], Watch]
    timeline: MakeTimeline


def real_cluster(
    topology: TopologyChoice, name: str, folder: Path, tell: Tell
) -> AbstractContextManager[RunningCluster]:
    """A cluster of the run's own; taken down on leaving, and when this process dies."""
    from kubinet.cluster import Cluster  # noqa: PLC0415 - heavy, and tests with another cluster need none

    source: str | Path = topology.source
    if "\n" in topology.source:
        source = folder / "topology-given.yaml"
        source.write_text(topology.source, encoding="utf-8")

    def coming_up(phase: str, state: str, seconds: float) -> None:
        tell(f"cluster: {phase} {state} ({seconds:.1f} s)")

    return Cluster(
        source,
        name=name,
        nodes=topology.nodes,
        datapath=topology.datapath,
        settings=dict(topology.settings),
        progress=coming_up,
    )


def real_timeline(
    lines: Sequence[str],
    files: Mapping[str, str],
    write: Callable[[TimelineEvent], None],
    excuse: Callable[[str], None],
) -> Timeline:
    """The timeline language's."""
    from experiments.engine.timeline import PlayedTimeline  # noqa: PLC0415 - most runs have none

    return PlayedTimeline(lines, files, write, excuse)


REAL = Tools(
    cluster=real_cluster,
    workload=workloads.__getitem__,
    measurement=measurements.__getitem__,
    watch=RunWatch,
    timeline=real_timeline,
)


def load_tools(name: str) -> Tools:
    """The tools `module:object`."""
    module, _, attribute = name.partition(":")
    found: Tools = getattr(importlib.import_module(module), attribute)
    return found
