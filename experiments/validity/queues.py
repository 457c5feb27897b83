"""Whether queues and wires behaved like their declaration: pure rules over the counters of a link's ends.

The model of a shaped end is its token bucket (tc-tbf(8)): it sends at its rate once its burst is used up, lets `limit`
bytes wait and drops what comes then. What was sent and what waits bounds what can have waited, so a wrong or a missing
drop can be told from counters alone. The rules are one-sided: what they report cannot happen on the declared link.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.records import Assessment, LinkCheck, Verdict
from experiments.validity.counters import EndSample, Sample
from experiments.validity.limits import DEFAULT_LIMITS, Limits
from topologies.links.mechanism import FRAME, Shaper, shaper
from topologies.model import Link

_ROUNDING: Final = 0.005
"""The kernel keeps rates in bytes per second and bursts in ticks of 64 ns."""
_SKEW_S: Final = 0.1
"""Both ends are read one after the other, and the wire's programs may be this late."""
_WAITING_FRAMES: Final = 10
_LEAST_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a declared link, and its two ends' samples in order of time."""

    link: Link
    source: str
    target: str
    mtu: int
    sending: Sequence[EndSample]
    receiving: Sequence[EndSample]

    @property
    def frame(self) -> int:
        """A full frame, bytes."""
        return self.mtu + FRAME - 1500

    @property
    def where(self) -> str:
        """For reasons."""
        return f"link {self.link.name} from {self.source} to {self.target}"


def directions(links: Iterable[Link], mtu: int, samples: Sequence[Sample]) -> tuple[Direction, ...]:
    """Both directions of the links whose ends were watched; `mtu`: of links that declare none, bytes."""
    ends: dict[str, list[EndSample]] = {}
    for sample in samples:
        for key, end in sample.ends.items():
            ends.setdefault(key, []).append(end)
    found = []
    for link in links:
        for source, target in ((link.a, link.b), (link.b, link.a)):
            sending, receiving = (ends.get(f"{link.name} {vertex}", []) for vertex in (source, target))
            if len(sending) > 1 and len(receiving) > 1:
                found.append(Direction(link, source, target, link.mtu or mtu, sending, receiving))
    return tuple(found)


def assess_queues(watched: Iterable[Direction], limits: Limits = DEFAULT_LIMITS) -> Assessment:
    """Judge shapers, queues and wires by their counters."""
    return Assessment().merged(*(found for one in watched for found in _judge(one, limits)))


def loss_checks(watched: Iterable[Direction], limits: Limits = DEFAULT_LIMITS) -> tuple[LinkCheck, ...]:
    """The share of each direction's frames that were lost during the run, against what is declared."""
    return tuple(check for one in watched if (check := _loss(one, limits)) is not None)


def _judge(one: Direction, limits: Limits) -> Iterator[Assessment]:
    bucket = shaper(one.link, one.mtu)
    if bucket is not None:
        yield from _settings(one, bucket, limits)
        yield from _tail_drops(one, bucket)
        yield from _excess(one, bucket, limits)
        yield from _starving(one, bucket, limits)
    dropped = one.sending[-1].port.tx_dropped - one.sending[0].port.tx_dropped
    if dropped > 0:
        yield _suspect(f"{one.where}: its wire dropped {dropped} frames outside of the declared queue")


def _settings(one: Direction, bucket: Shaper, limits: Limits) -> Iterator[Assessment]:
    """The shaper that is there is the declared one, at every moment."""
    for end in one.sending:
        queue = end.queue
        if queue.rate is None or queue.limit is None:
            reason = f"{one.where}: no shaper (its queue is '{queue.kind}'), {bucket.rate / 1e6:g} Mbit/s declared"
            yield Assessment(Verdict.INVALID, (reason,))
            return
        off = abs(queue.rate - bucket.rate) / bucket.rate
        if off > _ROUNDING:
            reason = f"{one.where}: shaped to {queue.rate / 1e6:g} Mbit/s, {bucket.rate / 1e6:g} Mbit/s declared"
            yield Assessment(Verdict.INVALID if off > limits.far else Verdict.SUSPECT, (reason,))
            return
        if queue.limit != bucket.limit:
            yield _suspect(f"{one.where}: its queue holds {queue.limit} bytes, {bucket.limit} bytes declared")
            return


def _tail_drops(one: Direction, bucket: Shaper) -> Iterator[Assessment]:
    """Frames are dropped only by a full queue: what waited then was sent since, or waits still."""
    drops, fullest = 0, 0
    for before, after in itertools.pairwise(one.sending):
        dropped = after.queue.drops - before.queue.drops
        waited = after.queue.sent_bytes - before.queue.sent_bytes + after.queue.backlog
        if dropped > 0 and 0 <= waited < bucket.limit - 2 * one.frame:
            drops += dropped
            fullest = max(fullest, waited)
    if drops:
        yield _suspect(
            f"{one.where}: dropped {drops} frames although its queue of {bucket.limit} bytes held {fullest} at most"
        )


def _excess(one: Direction, bucket: Shaper, limits: Limits) -> Iterator[Assessment]:
    """Nothing beyond rate and burst is sent, and nothing beyond the limit waits: the rest must be dropped."""
    longest = max(end.queue.backlog for end in one.sending)
    if longest > bucket.limit + one.frame:
        yield _suspect(f"{one.where}: {longest} bytes waited in a queue of {bucket.limit}: it must have dropped them")
    worst = 0.0
    for before, after in itertools.pairwise(one.sending):
        span = after.ended_s - before.began_s
        sent = after.queue.sent_bytes - before.queue.sent_bytes - bucket.burst - one.frame
        worst = max(worst, sent * 8 / span if span > 0 else 0.0)
    if worst > bucket.rate * (1 + limits.rate_over):
        reason = f"{one.where}: sent {worst / 1e6:.3g} Mbit/s, {bucket.rate / 1e6:g} Mbit/s declared"
        yield Assessment(Verdict.INVALID if worst > bucket.rate * (1 + limits.far) else Verdict.SUSPECT, (reason,))


def _starving(one: Direction, bucket: Shaper, limits: Limits) -> Iterator[Assessment]:
    """While frames wait, frames leave at the rate: the coarse form of Mininet-HiFi's time between two dequeues."""
    waiting, slow = 0, 0
    for before, after in itertools.pairwise(one.sending):
        if min(before.queue.backlog, after.queue.backlog) < _WAITING_FRAMES * one.frame:
            continue
        span = max(0.0, after.began_s - before.ended_s)
        sent = after.queue.sent_bytes - before.queue.sent_bytes + one.frame
        waiting += 1
        slow += sent * 8 < bucket.rate * span * (1 - limits.rate_under)
    if waiting >= _LEAST_SAMPLES and slow > limits.busy_share * waiting:
        yield _suspect(
            f"{one.where}: sent below its rate in {slow} of {waiting} samples although frames waited: "
            "the machine was late, not the link"
        )


def _loss(one: Direction, limits: Limits) -> LinkCheck | None:
    """What left one end and did not reach the other; None where too little was sent to say anything."""
    window = one.link.delay + 6 * one.link.jitter + _SKEW_S
    start = _after(one.sending, one.sending[0].ended_s + window)
    end = _before(one.sending, one.sending[-1].began_s - window)
    first, last = one.sending[start], one.sending[-1]
    sent = last.port.tx_packets - first.port.tx_packets
    # Both ends of a sample are read one right after the other.
    opposite = min(one.receiving, key=lambda sample: abs(sample.ended_s - first.ended_s))
    received = one.receiving[-1].port.rx_packets - opposite.port.rx_packets
    if sent <= 0:
        return None
    # What was sent just before the first and the last look may have been on the wire then.
    flight = first.port.tx_packets - one.sending[0].port.tx_packets
    flight += last.port.tx_packets - one.sending[end].port.tx_packets
    spread = limits.loss_sigmas * math.sqrt(one.link.loss * (1 - one.link.loss) * sent)
    expected = one.link.loss * sent
    lost = sent - received
    if flight + spread > sent / 10 and abs(lost - expected) <= flight + spread:
        return None
    return LinkCheck(
        name=one.link.name,
        quantity="loss",
        declared=one.link.loss * 100,
        measured=max(0.0, lost / sent) * 100,
        unit="%",
        within_tolerance=abs(lost - expected) <= flight + spread + 1,
        direction=f"from {one.source} to {one.target}",
        moment="during",
    )


def _after(ends: Sequence[EndSample], time_s: float) -> int:
    """The first sample after this moment; the last but one where there is none."""
    return next((number for number, end in enumerate(ends) if end.began_s >= time_s), len(ends) - 2)


def _before(ends: Sequence[EndSample], time_s: float) -> int:
    """The last sample before this moment; the first where there is none."""
    return next((number for number in reversed(range(len(ends))) if ends[number].ended_s <= time_s), 0)


def _suspect(reason: str) -> Assessment:
    return Assessment(Verdict.SUSPECT, (reason,))
