"""What a run needs from outside, so that tests can play it: clusters, plug-ins, the timeline, link measurements."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from experiments.base import RunningCluster
from experiments.design.model import TopologyChoice
from experiments.engine import plugins
from experiments.links import measure_links
from experiments.records import LinkCheck
from experiments.scene import Measurement, Scene, Workload
from experiments.topology import underlay_of
from kubinet.errors import MissingCapabilityError

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


OpenCluster = Callable[[TopologyChoice, str, Path, Tell], AbstractContextManager[RunningCluster]]
"""Called with topology, cluster name, the run's folder and where to tell how far it is."""
MakeTimeline = Callable[[Sequence[str], Callable[[TimelineEvent], None]], Timeline]
"""Called with the lines and what writes an event."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The real ones unless a test says otherwise."""

    cluster: OpenCluster
    workload: Callable[[str], Workload]
    measurement: Callable[[str], Measurement]
    links: Callable[[RunningCluster], Sequence[LinkCheck]]
    timeline: MakeTimeline


def real_cluster(topology: TopologyChoice, name: str, folder: Path, tell: Tell) -> AbstractContextManager[RunningCluster]:
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


def real_links(cluster: RunningCluster) -> Sequence[LinkCheck]:
    """Every link's delay against the declared one."""
    underlay = underlay_of(cluster.topology)
    addresses = {name: cluster.node(name).address for name in underlay.nodes}
    return measure_links(cluster, underlay.links, addresses)


def real_timeline(lines: Sequence[str], write: Callable[[TimelineEvent], None]) -> Timeline:
    """The timeline language's."""
    raise MissingCapabilityError("timelines are not part of this version")


REAL = Tools(
    cluster=real_cluster,
    workload=plugins.workload,
    measurement=plugins.measurement,
    links=real_links,
    timeline=real_timeline,
)
