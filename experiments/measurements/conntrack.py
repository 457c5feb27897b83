"""Measurement `conntrack`: entries of each node's connection tracking, of Open vSwitch and of the node's kernel."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from experiments.design.model import Settings
from experiments.measurements.common import EVERY, Watching, watching
from experiments.scene import Reading, Scene
from experiments.workloads.common import seconds


class Conntrack(Watching):
    """The measurement."""

    summary = "Entries of each node's connection tracking: Open vSwitch's by protocol, and the node's kernel's."
    parameters = (EVERY,)
    metrics: Final = {"tracked connections": "connections"}
    labels = ("tracker",)

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """Label `tracker` says whose they are: `Total` and protocols of Open vSwitch, or `kernel`."""
        return watching(scene, "conntrack", {"every": seconds(settings, "every")}, interpret)


def interpret(look: Mapping[str, Any]) -> Iterable[Reading]:
    """Readings of one look."""
    at = float(look["time_s"])
    for node, trackers in look["found"].items():
        for tracker, count in trackers.items():
            yield Reading("tracked connections", count, "connections", at, source=node, labels={"tracker": tracker})


CONNTRACK: Final = Conntrack()
