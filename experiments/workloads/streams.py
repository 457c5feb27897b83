"""What a stream of numbered datagrams says: losses and their bursts, silences, outages, delays. Pure.

Times are seconds since 1970; all places of a cluster share one clock, so one-way delays can be taken as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Arrival:
    """One datagram that came."""

    number: int
    sent_s: float
    arrived_s: float
    place: str


@dataclass(frozen=True, slots=True)
class Burst:
    """Datagrams lost one after the other."""

    first: int
    last: int
    from_s: float
    """When the first lost one was sent."""
    to_s: float
    """When the next one that came was sent; the last lost one's time where none came any more."""

    @property
    def packets(self) -> int:
        """How many were lost."""
        return self.last - self.first + 1

    @property
    def seconds(self) -> float:
        """How long: service lost until service restored, as exact as the stream is dense."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which nothing arrived."""

    from_s: float
    to_s: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True)
class Stream:
    """A whole stream."""

    sent_s: tuple[float, ...]
    """When each datagram was sent, by its number."""
    arrivals: tuple[Arrival, ...]
    """The first arrival of each, in the order of time."""
    duplicates: int
    reordered: int
    """Datagrams that came after one with a higher number."""

    @property
    def lost(self) -> tuple[int, ...]:
        """The numbers of those that never came."""
        arrived = {one.number for one in self.arrivals}
        return tuple(number for number in range(len(self.sent_s)) if number not in arrived)

    @property
    def bursts(self) -> tuple[Burst, ...]:
        """Losses without an arrival between them, in the order of time."""
        found: list[Burst] = []
        run: list[int] = []
        for number in (*self.lost, None):
            if run and (number is None or number != run[-1] + 1):
                after = run[-1] + 1
                end = self.sent_s[after] if after < len(self.sent_s) else self.sent_s[run[-1]]
                found.append(Burst(run[0], run[-1], self.sent_s[run[0]], end))
                run = []
            if number is not None:
                run.append(number)
        return tuple(found)

    @property
    def longest_silence(self) -> Silence:
        """The longest time without an arrival, from the first datagram's sending to the last one's."""
        if not self.sent_s:
            return Silence(0.0, 0.0)
        times = [self.sent_s[0], *(one.arrived_s for one in self.arrivals)]
        times.append(max(times[-1], self.sent_s[-1]))
        gaps = [Silence(before, after) for before, after in pairwise(times)]
        return max(gaps, key=lambda gap: gap.seconds)

    def last_at(self, place: str) -> Arrival | None:
        """The last datagram that came to a place."""
        return next((one for one in reversed(self.arrivals) if one.place == place), None)


def stream(sent_s: Sequence[float], arrived: Mapping[str, Sequence[Sequence[int]]]) -> Stream:
    """Put together what sender and receivers say; `arrived`: place to (number, sent ns, arrived ns)."""
    everything = sorted(
        (Arrival(number, sent / 1e9, at / 1e9, place) for place, rows in arrived.items() for number, sent, at in rows),
        key=lambda one: one.arrived_s,
    )
    seen: set[int] = set()
    firsts: list[Arrival] = []
    highest, reordered = -1, 0
    for one in everything:
        if one.number in seen:
            continue
        seen.add(one.number)
        firsts.append(one)
        reordered += one.number < highest
        highest = max(highest, one.number)
    return Stream(tuple(sent_s), tuple(firsts), len(everything) - len(firsts), reordered)
