"""Whether frames get through a link, and how fast: a quick look, where `measure` takes its time."""

import statistics
from dataclasses import dataclass

from topologies.links.frames import Place, direction
from topologies.links.mechanism import FRAME
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
    a = Place(ends.pid_a, ends.a.name, ends.a.mac)
    b = Place(ends.pid_b, ends.b.name, ends.b.mac)
    patience = ends.link.delay + 6 * ends.link.jitter + 0.1
    return (
        _passage(ends.link.a, a, ends.link.b, b, frames, patience),
        _passage(ends.link.b, b, ends.link.a, a, frames, patience),
    )


def _passage(source: str, at: Place, target: str, to: Place, frames: int, patience: float) -> Passage:
    with direction(at, to, 32 * FRAME) as way:
        arrived = way.spaced(frames, _GAP, patience)
    delays = [(one.received - one.sent) / 1e9 for one in arrived]
    return Passage(source, target, frames, len(arrived), statistics.median(delays) if delays else None)
