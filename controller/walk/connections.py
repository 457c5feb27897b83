"""Connection tracking as the walk follows it: what each node's tables of connections would hold. Pure.

`ofproto/trace` knows no connections: it assumes a state and does not undo translations. So the walk keeps the
connections that its own packets have made, by the datapath's own actions (`ct(commit,…)`), and says for every later
packet what the real table would: state, marks, and the packet with its addresses translated (ovs-actions(7), ct).

Where the datapath would choose a port from a range, the first one is taken.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TypeAlias

from controller.walk.datapath import Track, Translation
from controller.walk.packet import Packet, Tracked
from kubinet.transport import Protocol

NEW = frozenset({"trk", "new"})
ESTABLISHED = frozenset({"trk", "est"})
REPLY = frozenset({"trk", "est", "rpl"})


@dataclass(frozen=True, slots=True)
class Tuple:
    """What a connection is recognised by."""

    protocol: Protocol | None
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int

    def reversed(self) -> "Tuple":
        """As the other side sends it."""
        return Tuple(self.protocol, self.destination, self.destination_port, self.source, self.source_port)


@dataclass(slots=True)
class Connection:
    """One tracked connection of one zone of one node."""

    original: Tuple
    reply: Tuple
    """As replies arrive: the reverse of the translated original."""
    mark: int = 0
    label: int = 0
    answered: bool = False


_Place: TypeAlias = tuple[str, int]


@dataclass(slots=True)
class Connections:
    """The connection tables of all nodes, by node and zone."""

    port_blind: frozenset[Protocol] = frozenset()
    """Protocols that the datapath tracks by addresses alone: SCTP in userspace."""
    assume_established: bool = False
    """Packets of connections that nobody has made are of established ones, not the first of new ones."""
    _tables: dict[_Place, list[Connection]] = field(default_factory=dict)

    def track(self, node: str, action: Track, packet: Packet, mark: int = 0) -> tuple[Packet, Tracked]:
        """The packet behind `ct(…)`. `mark`: what an assumed connection would have been marked with."""
        place = (node, action.zone)
        seen = self._tuple(packet)
        known, is_reply = self._find(place, seen)
        if known is None and self.assume_established:
            # Made before: by the same action that would make it now.
            known = self._make(place, seen, action.translation if action.commit else None)
            known.mark, known.answered = mark, True
        if is_reply and known is not None:
            known.answered = True
        states = NEW
        if known is not None and known.answered:
            states = REPLY if is_reply else ESTABLISHED
        if action.commit:
            known = known or self._make(place, seen, action.translation)
            known.mark = _changed(known.mark, action.mark)
            known.label = _changed(known.label, action.label)
        if known is None:
            return packet, Tracked(states, action.zone)
        if action.translation is not None:
            packet = self._translated(packet, (known.original if is_reply else known.reply).reversed())
        return packet, Tracked(states, action.zone, known.mark, known.label)

    def settle(self) -> None:
        """Both sides have heard of each other: what is there is established."""
        for table in self._tables.values():
            for connection in table:
                connection.answered = True

    def mark(self, zone: int, bits: int, mask: int) -> None:
        """Change the marks of every node's connections in a zone."""
        for (_, number), table in self._tables.items():
            for connection in table if number == zone else ():
                connection.mark = _changed(connection.mark, (bits, mask))

    def _find(self, place: _Place, seen: Tuple) -> tuple[Connection | None, bool]:
        for connection in self._tables.get(place, ()):
            if connection.original == seen:
                return connection, False
            if connection.reply == seen:
                return connection, True
        return None, False

    def _make(self, place: _Place, seen: Tuple, translation: Translation | None) -> Connection:
        made = Connection(seen, self._aimed(seen, translation).reversed())
        self._tables.setdefault(place, []).append(made)
        return made

    def _aimed(self, seen: Tuple, translation: Translation | None) -> Tuple:
        if translation is None or translation.address is None:
            return seen
        ported = seen.protocol is not None and seen.protocol not in self.port_blind
        port = translation.first_port if ported else 0
        if translation.side == "src":
            return replace(seen, source=translation.address, source_port=port or seen.source_port)
        return replace(seen, destination=translation.address, destination_port=port or seen.destination_port)

    def _translated(self, packet: Packet, to: Tuple) -> Packet:
        moved = replace(packet, source=to.source, destination=to.destination)
        if packet.protocol is None or packet.protocol in self.port_blind:
            return moved
        return replace(moved, source_port=to.source_port, destination_port=to.destination_port)

    def _tuple(self, packet: Packet) -> Tuple:
        source, destination = (0, 0) if packet.protocol in self.port_blind else packet.ports
        return Tuple(packet.protocol, packet.source, source, packet.destination, destination)


def _changed(value: int, change: tuple[int, int]) -> int:
    new, mask = change
    return value & ~mask | new & mask
