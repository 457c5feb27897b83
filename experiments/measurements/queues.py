"""Measurement `queues`: what waits at both ends of the underlay's links, and what their queues dropped."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.measurements.common import Growth, Watching, watching
from experiments.measurements.links import LINKS, looking
from experiments.scene import Reading, Scene


class Queues(Watching):
    """The measurement."""

    summary = "Each link end's queueing discipline: packets and bytes that wait, drops."
    parameters = (Parameter("every", "100ms", "100ms", "time between two looks, such as `20ms`"), LINKS)
    metrics: Final = {"queued packets": "packets", "queued": "bytes", "queue drops": "packets"}
    labels = ("link", "discipline")

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """Labels: the link, and the kind of its discipline. Ends without one (links without a rate) are left out."""
        return watching(scene, "linkstats", looking(scene, settings), interpreter())


def interpreter() -> Callable[[Mapping[str, Any]], Iterable[Reading]]:
    """Makes readings of looks; drops are those since the look before."""
    growth = Growth()
    number = [0]

    def interpret(look: Mapping[str, Any]) -> Iterator[Reading]:
        at, sequence = float(look["time_s"]), number[0]
        number[0] += 1
        for link, vertex, _, queue in look["found"]:
            if queue is None:
                continue
            labels = {"link": link, "discipline": queue["kind"]}
            yield Reading("queued packets", queue["queued_packets"], "packets", at, sequence, vertex, labels=labels)
            yield Reading("queued", queue["queued_bytes"], "bytes", at, sequence, vertex, labels=labels)
            drops = growth.of((link, vertex), queue["drops"])
            if sequence:
                yield Reading("queue drops", drops, "packets", at, sequence, vertex, labels=labels)

    return interpret


QUEUES: Final = Queues()
