"""Whether frames get through a link, and how fast: a quick look, where `measure` takes its time."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from topologies.links.frames import Arrival, spaced
from topologies.links.mechanism import FRAME
from topologies.links.testframes import frames_over
from topologies.links.wires import LinkEnds

_GAP = 0.002


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of the frames of one direction."""

    source: str
    target: str
    sent: int
    arrived: int
    delay: float | None
    """Seconds one way, median; None where none arrived."""


def probe(ends: LinkEnds, frames: int) -> tuple[Passage, Passage]:
    """Send short frames in both directions, one each 2 ms, and wait for the last as long as the link declares."""
    patience = ends.link.delay + 6 * ends.link.jitter + 0.1
    queue = 32 * FRAME
    with frames_over(ends, queue) as away, frames_over(ends, queue, back=True) as back:
        there, here = spaced((away, back), frames, (_GAP, _GAP), (patience, patience))
    return (
        _passage(ends.link.a, ends.link.b, frames, there),
        _passage(ends.link.b, ends.link.a, frames, here),
    )


def _passage(source: str, target: str, frames: int, arrived: Sequence[Arrival]) -> Passage:
    delays = [(one.received - one.sent) / 1e9 for one in arrived]
    return Passage(source, target, frames, len(arrived), statistics.median(delays) if delays else None)
