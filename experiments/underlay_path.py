"""What a topology declares for the way between two nodes: round-trip time, bottleneck rate and hops. Pure.

The declared values are the yardstick of every measurement: an emulated link that is slower than declared is an error
of the emulation, and no finding.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kubinet.errors import InvalidInputError

ETHERNET_HEADER: Final = 14
"""Bytes per frame that a shaped link's rate includes besides the IP packet (no preamble, no checksum)."""

IPV4_TCP_HEADERS: Final = 20 + 32
"""IPv4 header, TCP header with the timestamp option (RFC 9293, RFC 7323), bytes."""


@dataclass(frozen=True, slots=True)
class UnderlayLink:
    """One declared link; what holds for both directions."""

    name: str
    a: str
    b: str
    rate_mbit: float | None = None
    """10^6 bits per second; None: not limited."""
    delay_ms: float = 0.0
    """One way."""
    jitter_ms: float = 0.0
    """Standard deviation of the delay."""
    loss: float = 0.0
    """Share of packets per direction, 0 to 1."""

    def other(self, end: str) -> str:
        """The end that is not `end`."""
        return self.b if end == self.a else self.a


@dataclass(frozen=True, slots=True)
class DeclaredPath:
    """What the topology promises between two nodes, over a way with the fewest hops and, of those, the least delay."""

    source: str
    target: str
    links: tuple[UnderlayLink, ...]

    @property
    def rtt_ms(self) -> float:
        """Twice the sum of the links' delays; excludes the time that frames need at the links' rates."""
        return 2 * sum(link.delay_ms for link in self.links)

    @property
    def bottleneck_mbit(self) -> float | None:
        """The slowest link's rate, None when no link is limited."""
        return min((link.rate_mbit for link in self.links if link.rate_mbit is not None), default=None)

    @property
    def round_trip_loss(self) -> float:
        """The share of echo requests that the links lose on the way there or back."""
        kept = 1.0
        for link in self.links:
            kept *= (1 - link.loss) ** 2
        return 1 - kept

    def goodput_mbit(self, packet_bytes: int, outer_bytes: int = 0) -> float | None:
        """The most TCP payload per second that the bottleneck carries, 10^6 bit/s; None when it is not limited.

        `packet_bytes`: size of a full inner IP packet; `outer_bytes`: what an overlay adds to it.
        """
        if self.bottleneck_mbit is None:
            return None
        payload = packet_bytes - IPV4_TCP_HEADERS
        return self.bottleneck_mbit * payload / (packet_bytes + outer_bytes + ETHERNET_HEADER)


def declared_path(links: Sequence[UnderlayLink], source: str, target: str) -> DeclaredPath:
    """The declared way from `source` to `target`; InvalidInputError when the links do not join them."""
    if source == target:
        return DeclaredPath(source, target, ())
    neighbours: dict[str, list[UnderlayLink]] = {}
    for link in links:
        neighbours.setdefault(link.a, []).append(link)
        neighbours.setdefault(link.b, []).append(link)
    best: dict[str, tuple[UnderlayLink, ...]] = {source: ()}
    queue = deque([source])
    while queue:
        here = queue.popleft()
        for link in neighbours.get(here, ()):
            there, way = link.other(here), (*best[here], link)
            if there not in best:
                queue.append(there)
            elif len(best[there]) < len(way) or _delay(best[there]) <= _delay(way):
                continue
            best[there] = way
    if target not in best:
        raise InvalidInputError(f"topology: no links join node '{source}' and node '{target}'; add a link")
    return DeclaredPath(source, target, best[target])


def _delay(way: Iterable[UnderlayLink]) -> float:
    return sum(link.delay_ms for link in way)


@dataclass(frozen=True, slots=True)
class Underlay:
    """A resolved topology as experiments see it: nodes with their rack, and links."""

    racks: Mapping[str, str]
    """Node name to rack, in the topology's order of nodes."""
    links: tuple[UnderlayLink, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Node names in the topology's order."""
        return tuple(self.racks)

    def path(self, source: str, target: str) -> DeclaredPath:
        """The declared way between two nodes."""
        return declared_path(self.links, source, target)

    def pairs(self, *, same_rack: bool) -> tuple[tuple[str, str], ...]:
        """All ordered pairs of different nodes that share, or do not share, their rack."""
        return tuple(
            (a, b) for a in self.nodes for b in self.nodes if a != b and (self.racks[a] == self.racks[b]) == same_rack
        )
