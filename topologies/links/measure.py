"""What a link really does, against what it declares: one-way delay, jitter, rate and loss of both directions."""

import bisect
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from topologies.links.frames import Arrival, Place, direction
from topologies.links.mechanism import FRAME, shaper
from topologies.links.wires import LinkEnds
from topologies.model import Link

RATE_TOLERANCE = 0.05
DELAY_TOLERANCE = 0.05
DELAY_MARGIN = 1e-3
"""A link keeps its word within 5 % of rate and delay, and 1 ms more of delay."""
MEASURABLE_RATE = 500e6
"""Bits per second that the measuring itself can send; a faster link is only known to reach what was measured."""
_PROBES = 40
_MINIMUM_FRAMES = 60


@dataclass(frozen=True, slots=True)
class DirectionMeasurement:
    """One direction of a link as it was measured."""

    source: str
    target: str
    delay_min: float | None
    """Seconds, one way, of short frames on an idle link; None when not one arrived."""
    delay_median: float | None
    jitter: float
    """Standard deviation of the delay, seconds."""
    rate: float | None
    """Bits per second of full frames with their Ethernet headers; None when the link declares no rate."""
    loss: float
    """Share of the frames that did not arrive."""
    frames: int
    """How many frames were sent."""


@dataclass(frozen=True, slots=True)
class LinkMeasurement:
    """A link's declared quantities beside the measured ones."""

    link: Link
    directions: tuple[DirectionMeasurement, ...]

    def problems(self) -> tuple[str, ...]:
        """Where the link does not keep its word, in words; empty when it does."""
        return tuple(words for one in self.directions for words in _problems(self.link, one))


def measure(ends: LinkEnds, *, seconds: float = 0.5, probes: int = _PROBES) -> LinkMeasurement:
    """Measure both directions, one after the other; `seconds` of full frames each where the link has a rate or loss.

    The link carries test frames of an ethertype of its own meanwhile; other traffic on it distorts the result.
    """
    a = Place(ends.pid_a, ends.a.name, ends.a.mac)
    b = Place(ends.pid_b, ends.b.name, ends.b.mac)
    ways = ((ends.link.a, a, ends.link.b, b), (ends.link.b, b, ends.link.a, a))
    return LinkMeasurement(
        ends.link,
        tuple(
            _measure(ends, (source, at), (target, to), seconds=seconds, probes=probes)
            for source, at, target, to in ways
        ),
    )


def _measure(
    ends: LinkEnds, source: tuple[str, Place], target: tuple[str, Place], *, seconds: float, probes: int
) -> DirectionMeasurement:
    link = ends.link
    patience = link.delay + 6 * link.jitter + 0.2
    bucket = shaper(link)
    with direction(source[1], target[1], bucket.limit if bucket is not None else 32 * FRAME) as way:
        # Wider than the jitter, so that frames cannot overtake each other and the wire is idle for each.
        gap = max(0.002, min(0.02, 4 * link.jitter))
        idle = way.spaced(probes, gap, patience)
        size = ends.mtu + 14
        busy: list[Arrival] = []
        if idle and bucket is not None:
            long_enough = _MINIMUM_FRAMES * size * 8 / bucket.rate
            busy = way.stream(size, max(seconds, long_enough), patience + bucket.limit * 8 / bucket.rate)
        sent = way.sent
    delays = [(one.received - one.sent) / 1e9 for one in idle]
    return DirectionMeasurement(
        source=source[0],
        target=target[0],
        delay_min=min(delays, default=None),
        delay_median=statistics.median(delays) if delays else None,
        jitter=statistics.stdev(delays) if len(delays) > 1 else 0.0,
        rate=_rate(busy, bucket.burst) if bucket is not None else None,
        loss=1 - (len(idle) + len(busy)) / sent,
        frames=sent,
    )


def _rate(arrivals: Sequence[Arrival], burst: int) -> float:
    """Bits per second once the full bucket's burst is through."""
    ordered = sorted(arrivals, key=lambda one: one.received)
    through = list(itertools.accumulate(one.size for one in ordered))
    start = bisect.bisect_right(through, burst)
    if len(ordered) - start < 2:
        return 0.0
    duration = (ordered[-1].received - ordered[start].received) / 1e9
    return (through[-1] - through[start]) * 8 / duration if duration > 0 else 0.0


def _problems(link: Link, way: DirectionMeasurement) -> list[str]:
    where = f"link '{link.name}' from '{way.source}' to '{way.target}'"
    if way.delay_median is None:
        return [f"{where}: not one of {way.frames} frames arrived; is the link up?"]
    found = []
    allowed = link.delay * DELAY_TOLERANCE + DELAY_MARGIN
    if abs(way.delay_median - link.delay) > allowed:
        found.append(f"{where}: delay {way.delay_median * 1e3:.2f} ms, declared {link.delay * 1e3:g} ms")
    if link.rate is not None and way.rate is not None:
        # Frames that are lost on the wire were sent at the declared rate.
        expected = min(link.rate, MEASURABLE_RATE) * (1 - link.loss)
        low, high = expected * (1 - RATE_TOLERANCE), link.rate * (1 + RATE_TOLERANCE)
        if not low <= way.rate <= high:
            found.append(f"{where}: rate {way.rate / 1e6:.2f} Mbit/s, declared {link.rate / 1e6:g} Mbit/s")
    # Four standard deviations of a binomial distribution and one frame: a false alarm in about 16,000 measurements.
    spread = 4 * (link.loss * (1 - link.loss) / way.frames) ** 0.5 + 1 / way.frames
    if abs(way.loss - link.loss) > spread:
        found.append(f"{where}: {way.loss * 100:.2f} % lost, declared {link.loss * 100:g} %")
    return found
