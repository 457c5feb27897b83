"""What a link really does, against what it declares: one-way delay, jitter, rate and loss of both directions.

Also how evenly a saturated link sends: the spacing of full frames against the time that each takes at the declared rate
(the invariant by which Mininet-HiFi judges a run: Handigol et al., CoNEXT 2012).
"""

import bisect
import itertools
import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from topologies.links.frames import Arrival, Direction, Load, spaced, streams
from topologies.links.mechanism import FRAME, Shaper, shaper
from topologies.links.testframes import frames_over
from topologies.links.wires import LinkEnds
from topologies.model import Link

RATE_TOLERANCE = 0.05
DELAY_TOLERANCE = 0.05
DELAY_MARGIN = 1e-3
"""A link keeps its word within 5 % of rate and delay, and 1 ms more of delay."""
JITTER_TOLERANCE = 0.2
"""Jitter may be a fifth off, as much more as the delay may, and what chance does to that many probes."""
SIGMAS = 4.0
"""Standard deviations of a sample that are chance: a false alarm in about 16,000 measurements."""
MEASURABLE_RATE = 500e6
"""Bits per second that the measuring itself can send; a faster link is only known to reach what was measured."""
_PROBES = 40
_AT_ONCE = 16
"""Links that are probed at the same time."""
_TOGETHER_RATE = 200e6
"""Bits per second of full frames that the measuring sends at the same time, on whichever links."""
_LEAST_GAP_S = 0.0005
"""Between two short frames, of whichever links."""
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
    """Standard deviation of the delay, seconds; from its quartiles, so that one late frame does not count."""
    rate: float | None
    """Bits per second of full frames with their Ethernet headers; None when the link declares no rate."""
    loss: float
    """Share of the frames that did not arrive."""
    frames: int
    """How many frames were sent."""
    probes: int = _PROBES
    """How many of them were short and alone on the link."""
    spacing: tuple[float, float] | None = None
    """Of a saturated link: median and 90th percentile of |gap between two frames / their time at the rate - 1|."""


@dataclass(frozen=True, slots=True)
class Check:
    """One quantity of one direction: declared, measured, and the range within which the link keeps its word."""

    source: str
    target: str
    quantity: str
    """`delay`, `jitter` (seconds), `rate` (bits per second), `loss` (share)."""
    declared: float
    measured: float | None
    """None: nothing arrived."""
    low: float
    high: float

    @property
    def kept(self) -> bool:
        """Whether the link keeps its word."""
        return self.measured is not None and self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class LinkMeasurement:
    """A link's declared quantities beside the measured ones."""

    link: Link
    directions: tuple[DirectionMeasurement, ...]

    def problems(self) -> tuple[str, ...]:
        """Where the link does not keep its word, in words; empty when it does."""
        return tuple(words for one in self.directions for words in _problems(self.link, one))

    def checks(self) -> tuple[Check, ...]:
        """Every quantity that was measured, of both directions."""
        return tuple(check for one in self.directions for check in _checks(self.link, one))


def measure(ends: LinkEnds, *, seconds: float = 0.5, probes: int = _PROBES) -> LinkMeasurement:
    """Measure both directions of one link; see `measure_links`."""
    return measure_links([ends], seconds=seconds, probes=probes)[0]


def measure_links(
    links: Sequence[LinkEnds], *, seconds: float = 0.5, load: Collection[str] | None = None, probes: int = _PROBES
) -> tuple[LinkMeasurement, ...]:
    """Measure links; `seconds` of full frames each way where a link has a rate, only of those that `load` names.

    Short frames are sent on up to 16 links at the same time, for they load neither the links nor the machine; full
    frames on so many directions as make 200 Mbit/s together. Without full frames, delay, jitter and loss are measured,
    the rate is not.

    The links carry test frames of an ethertype of their own meanwhile; other traffic on them distorts the result.
    """
    found: list[LinkMeasurement] = []
    for first in range(0, len(links), _AT_ONCE):
        some = links[first : first + _AT_ONCE]
        with ExitStack() as stack:
            ways = [way for ends in some for way in _ways(ends, stack)]
            # Wider than the jitter, so that frames cannot overtake each other and the wire is idle for each.
            gaps = [max(0.002, _LEAST_GAP_S * len(ways), min(0.02, 4 * way.link.jitter)) for way in ways]
            idle = spaced([way.frames for way in ways], probes, gaps, [way.patience for way in ways])
            loaded = [
                way
                for way, arrivals in zip(ways, idle, strict=True)
                if arrivals and (load is None or way.link.name in load)
            ]
            busy = _loaded(loaded, seconds)
            directions = [_direction(way, one, busy.get(way.key), probes) for way, one in zip(ways, idle, strict=True)]
        found += [
            LinkMeasurement(ends.link, tuple(directions[2 * number : 2 * number + 2]))
            for number, ends in enumerate(some)
        ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Way:
    """One direction of a link that is about to be measured."""

    link: Link
    mtu: int
    source: str
    target: str
    frames: Direction

    @property
    def key(self) -> tuple[str, str]:
        return self.link.name, self.source

    @property
    def bucket(self) -> Shaper | None:
        return shaper(self.link, self.mtu)

    @property
    def patience(self) -> float:
        return self.link.delay + 6 * self.link.jitter + 0.2


def _ways(ends: LinkEnds, stack: ExitStack) -> Iterator[_Way]:
    bucket = shaper(ends.link, ends.mtu)
    queue = bucket.limit if bucket is not None else 32 * FRAME
    for source, target, back in ((ends.link.a, ends.link.b, False), (ends.link.b, ends.link.a, True)):
        frames = stack.enter_context(frames_over(ends, queue, back=back))
        yield _Way(ends.link, ends.mtu, source, target, frames)


def _loaded(ways: Sequence[_Way], seconds: float) -> dict[tuple[str, str], list[Arrival]]:
    """What arrives of full frames on each way that has a rate; none where `seconds` is 0."""
    loads = [(way, _load(way, way.bucket, seconds)) for way in ways if way.bucket is not None and seconds > 0]
    found: dict[tuple[str, str], list[Arrival]] = {}
    while loads:
        rates = itertools.accumulate(way.link.rate or 0.0 for way, _ in loads)
        count = max(1, sum(rate <= _TOGETHER_RATE for rate in rates))
        some, loads = loads[:count], loads[count:]
        arrivals = streams([load for _, load in some])
        found |= {way.key: one for (way, _), one in zip(some, arrivals, strict=True)}
    return found


def _load(way: _Way, bucket: Shaper, seconds: float) -> Load:
    size = way.mtu + 14
    long_enough = _MINIMUM_FRAMES * size * 8 / bucket.rate
    return Load(way.frames, size, max(seconds, long_enough), way.patience + bucket.limit * 8 / bucket.rate)


def _direction(way: _Way, idle: Sequence[Arrival], busy: Sequence[Arrival] | None, probes: int) -> DirectionMeasurement:
    """What the short frames and the full ones, where they were sent, say."""
    bucket = way.bucket
    sent = way.frames.sent
    delays = [(one.received - one.sent) / 1e9 for one in idle]
    return DirectionMeasurement(
        source=way.source,
        target=way.target,
        delay_min=min(delays, default=None),
        delay_median=statistics.median(delays) if delays else None,
        jitter=robust_deviation(delays),
        rate=_rate(busy, bucket.burst) if bucket is not None and busy is not None else None,
        loss=1 - (len(idle) + len(busy or ())) / sent if sent else 1.0,
        frames=sent,
        probes=probes,
        spacing=_spacing(busy, bucket.burst, bucket.rate) if bucket is not None and busy is not None else None,
    )


def robust_deviation(values: Sequence[float]) -> float:
    """The standard deviation of a normal distribution with these values' quartiles; 0 for fewer than four values."""
    if len(values) < 4:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 1.349


def _rate(arrivals: Sequence[Arrival], burst: int) -> float:
    """Bits per second once the full bucket's burst is through."""
    ordered = sorted(arrivals, key=lambda one: one.received)
    through = list(itertools.accumulate(one.size for one in ordered))
    start = bisect.bisect_right(through, burst)
    if len(ordered) - start < 2:
        return 0.0
    duration = (ordered[-1].received - ordered[start].received) / 1e9
    return (through[-1] - through[start]) * 8 / duration if duration > 0 else 0.0


def _spacing(arrivals: Sequence[Arrival], burst: int, rate: float) -> tuple[float, float] | None:
    """How far the gaps between neighbours are from their time at this rate; None for fewer than ten gaps.

    Only frames that were sent one after the other count: between others one was lost.
    """
    ordered = sorted(arrivals, key=lambda one: one.number)
    through = itertools.accumulate(one.size for one in ordered)
    settled = [one for one, bytes_ in zip(ordered, through, strict=True) if bytes_ > burst]
    errors = [
        abs((after.received - before.received) / 1e9 * rate / (after.size * 8) - 1)
        for before, after in itertools.pairwise(settled)
        if after.number == before.number + 1
    ]
    if len(errors) < 10:
        return None
    return statistics.median(errors), statistics.quantiles(errors, n=10)[-1]


def _checks(link: Link, way: DirectionMeasurement) -> list[Check]:
    def check(quantity: str, declared: float, measured: float | None, low: float, high: float) -> Check:
        return Check(way.source, way.target, quantity, declared, measured, low, high)

    # The median of n normal values strays 1.25 sigma/sqrt(n), their quartiles' sigma 1.17/sqrt(n) of itself.
    probes = max(4, round(way.probes * (1 - way.loss)))
    allowed = link.delay * DELAY_TOLERANCE + DELAY_MARGIN + SIGMAS * 1.25 * link.jitter / math.sqrt(probes)
    found = [check("delay", link.delay, way.delay_median, link.delay - allowed, link.delay + allowed)]
    if way.delay_median is None:
        return found
    stray = link.jitter * (JITTER_TOLERANCE + SIGMAS * 1.17 / math.sqrt(probes)) + link.delay * DELAY_TOLERANCE
    stray += DELAY_MARGIN
    found.append(check("jitter", link.jitter, way.jitter, link.jitter - stray, link.jitter + stray))
    spread = SIGMAS * math.sqrt(link.loss * (1 - link.loss) / way.frames)
    if link.rate is not None and way.rate is not None:
        # Frames that are lost on the wire were sent at the declared rate.
        expected = min(link.rate, MEASURABLE_RATE) * (1 - link.loss - spread)
        high = link.rate * min(1.0, 1 - link.loss + spread)
        found.append(check("rate", link.rate, way.rate, expected * (1 - RATE_TOLERANCE), high * (1 + RATE_TOLERANCE)))
    one_frame = 1 / way.frames
    found.append(check("loss", link.loss, way.loss, link.loss - spread - one_frame, link.loss + spread + one_frame))
    return found


def _problems(link: Link, way: DirectionMeasurement) -> list[str]:
    where = f"link '{link.name}' from '{way.source}' to '{way.target}'"
    if way.delay_median is None:
        return [f"{where}: not one of {way.frames} frames arrived; is the link up?"]
    return [f"{where}: {_words(check)}" for check in _checks(link, way) if not check.kept]


def _words(check: Check) -> str:
    measured = check.measured or 0.0
    match check.quantity:
        case "rate":
            return f"rate {measured / 1e6:.2f} Mbit/s, declared {check.declared / 1e6:g} Mbit/s"
        case "loss":
            return f"{measured * 100:.2f} % lost, declared {check.declared * 100:g} %"
        case name:
            return f"{name} {measured * 1e3:.2f} ms, declared {check.declared * 1e3:g} ms"
