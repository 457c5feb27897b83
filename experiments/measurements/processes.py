"""Measurement `processes`: CPU and memory by group of the cluster's processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from experiments.design.model import Settings
from experiments.measurements.common import EVERY, Growth, Watching, watching
from experiments.scene import Reading, Scene
from experiments.workloads.common import seconds


class Processes(Watching):
    """The measurement."""

    summary = "CPU and memory of the cluster's processes: each service, each node's Open vSwitch, pods, other programs."
    parameters = (EVERY,)
    metrics: Final = {"cpu": "% of one CPU", "memory": "MiB"}
    labels = ("group", "node")

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """A look says each group's total; CPU is of the time since the look before."""
        return watching(scene, "processes", {"every": seconds(settings, "every")}, interpreter())


def interpreter() -> Callable[[Mapping[str, Any]], Iterable[Reading]]:
    """Makes readings of looks."""
    growth = Growth()
    last_s: list[float] = []

    def interpret(look: Mapping[str, Any]) -> Iterator[Reading]:
        at = float(look["time_s"])
        elapsed = at - last_s[-1] if last_s else 0.0
        last_s[:] = [at]
        for index, (group, node, used_s, memory_mib) in enumerate(look["found"]):
            labels = {"group": group, "node": node}
            yield Reading("memory", memory_mib, "MiB", at, index, node or "cluster", labels=labels)
            spent = growth.of((group, node), used_s)
            if elapsed > 0:
                yield Reading("cpu", 100 * spent / elapsed, "% of one CPU", at, index, node or "cluster", labels=labels)

    return interpret


PROCESSES: Final = Processes()
