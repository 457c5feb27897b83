"""What a run is watched with: links before and after, the machine meanwhile, a verdict."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from experiments.base import RunningCluster
from experiments.links import measure_links
from experiments.monitor import MachineMonitor
from experiments.records import Assessment, LinkCheck, MachineSecond
from experiments.topology import underlay_of
from experiments.validity import assess_links, assess_machine


class RunWatch:
    """A context manager around warm-up and workload; what it found is there after leaving."""

    def __init__(self, cluster: RunningCluster, record: Callable[[MachineSecond], None]) -> None:
        self._cluster = cluster
        self._record = record
        self._seconds: list[MachineSecond] = []
        self._excused: set[str] = set()
        self._monitor = MachineMonitor(self._second)
        self.links: tuple[LinkCheck, ...] = ()
        self.assessment = Assessment()

    def excuse(self, subject: str) -> None:
        """What happens to this from now on is meant to happen: `link NAME`, `switch NODE` or `controller`."""
        self._excused.add(subject)

    def __enter__(self) -> Self:
        self.links = tuple(self._measure())
        self._monitor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._monitor.__exit__(kind, error, traceback)
        if error is not None:
            return
        self.links += tuple(check for check in self._measure() if f"link {check.name}" not in self._excused)
        self.assessment = assess_machine(self._seconds).merged(assess_links(self.links))

    def _second(self, second: MachineSecond) -> None:
        self._seconds.append(second)
        self._record(second)

    def _measure(self) -> Sequence[LinkCheck]:
        underlay = underlay_of(self._cluster.topology)
        addresses = {name: self._cluster.node(name).address for name in underlay.nodes}
        return measure_links(self._cluster, underlay.links, addresses)
