"""Destination ports as masked matches (ovs-fields(7)): a range is at most 30 of them."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from controller.openflow.fields import FRAGMENT, IP_PROTO, SCTP_DST, TCP_DST, UDP_DST, Field, Term
from kubinet.policies import PortRange
from kubinet.transport import Protocol

_LAST: Final = 0xFFFF
_FIELDS: Final[dict[Protocol, Field]] = {Protocol.TCP: TCP_DST, Protocol.UDP: UDP_DST, Protocol.SCTP: SCTP_DST}


class PortTerm(NamedTuple):
    """Ports of one protocol that equal `value` in the bits of `mask`; mask 0: all of them."""

    protocol: Protocol
    value: int
    mask: int

    def terms(self) -> tuple[Term, ...]:
        """What a flow matches."""
        protocol = IP_PROTO(self.protocol)
        return (protocol, _FIELDS[self.protocol](self.value, self.mask)) if self.mask else (protocol,)


class FragmentTerm(NamedTuple):
    """Pieces of datagrams of one protocol: they have no ports, and what denies some ports must not let them by."""

    protocol: Protocol

    def terms(self) -> tuple[Term, ...]:
        """What a flow matches."""
        return IP_PROTO(self.protocol), FRAGMENT


def port_terms(ranges: Iterable[PortRange]) -> frozenset[PortTerm]:
    """The fewest matches that cover the ranges, which may overlap."""
    found: set[PortTerm] = set()
    by_protocol: dict[Protocol, list[tuple[int, int]]] = {}
    for one in ranges:
        by_protocol.setdefault(one.protocol, []).append((one.first, one.last))
    for protocol, spans in by_protocol.items():
        for first, last in _merged(spans):
            found.update(PortTerm(protocol, value, mask) for value, mask in _blocks(first, last))
    return frozenset(found)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _blocks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Aligned blocks of 2^k ports, largest first that fits at `first`."""
    while first <= last:
        size = first & -first or _LAST + 1
        while first + size - 1 > last:
            size //= 2
        yield first, _LAST & ~(size - 1)
        first += size
