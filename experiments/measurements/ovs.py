"""Measurement `ovs`: each node's Open vSwitch: datapath flows, hits, misses, losses, OpenFlow rules and messages."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from experiments.design.model import Settings
from experiments.measurements.common import EVERY, Growth, Watching, watching
from experiments.scene import Reading, Scene
from experiments.workloads.common import seconds

_UNITS: Final = {
    "datapath flows": "flows",
    "hits": "lookups",
    "misses": "lookups",
    "upcalls lost": "packets",
    "OpenFlow rules": "rules",
    "OpenFlow messages sent": "messages",
    "OpenFlow messages received": "messages",
}
_LEVELS: Final = ("datapath flows", "OpenFlow rules")
"""Metrics that are as they are; the others grow, and are recorded as their growth since the look before."""


class Ovs(Watching):
    """The measurement."""

    summary = "Each node's Open vSwitch: datapath flows, hits, misses (upcalls), losses, OpenFlow rules and messages."
    parameters = (EVERY,)
    metrics: Final = _UNITS

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """Counters are recorded as their growth since the look before."""
        return watching(scene, "ovs", {"every": seconds(settings, "every")}, interpreter())


def interpreter() -> Callable[[Mapping[str, Any]], Iterable[Reading]]:
    """Makes readings of looks."""
    growth = Growth()
    number = [0]

    def interpret(look: Mapping[str, Any]) -> Iterator[Reading]:
        at, sequence = float(look["time_s"]), number[0]
        number[0] += 1
        for node, values in look["found"].items():
            for metric, value in values.items():
                if metric in _LEVELS:
                    yield Reading(metric, value, _UNITS[metric], at, sequence, node)
                    continue
                grown = growth.of((node, metric), value)
                if sequence:
                    yield Reading(metric, grown, _UNITS[metric], at, sequence, node)

    return interpret


OVS: Final = Ovs()
