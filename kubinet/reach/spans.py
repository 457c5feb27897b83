"""Ports in intervals within which no policy tells one port from another: asking about one of each asks about all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kubinet.policies import PortRange
from kubinet.reach.probes import ICMP, LAST_PORT, Probe, order
from kubinet.state import ClusterState
from kubinet.transport import Protocol

_FIRST_PORT: Final = 1


@dataclass(frozen=True, slots=True)
class Span:
    """Ports of a protocol that have the same answer, both ends included."""

    protocol: Protocol | None
    """None: ICMP, which has no ports."""
    first: int = 0
    last: int = 0

    @property
    def probe(self) -> Probe:
        """The port that stands for all of them."""
        return Probe(self.protocol, self.first)

    def __str__(self) -> str:
        if self.protocol is None:
            return "ICMP"
        if (self.first, self.last) == (_FIRST_PORT, LAST_PORT):
            return f"every port/{self.protocol.name}"
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol.name}"


def spans(states: Sequence[ClusterState]) -> list[Span]:
    """All ports of all protocols, and ICMP, in as few spans as these states' policies and named ports allow."""
    found: list[Span] = []
    for protocol in Protocol:
        borders = {_FIRST_PORT, LAST_PORT + 1}
        borders |= {number for state in states for number in _borders(state, protocol)}
        edges = sorted(number for number in borders if _FIRST_PORT <= number <= LAST_PORT + 1)
        found += [Span(protocol, first, end - 1) for first, end in pairwise(edges)]
    return [*found, Span(None)]


def _borders(state: ClusterState, protocol: Protocol) -> Iterator[int]:
    for policy in state.policies.values():
        for rule in (*policy.ingress, *policy.egress):
            for port in rule.ports or ():
                if isinstance(port, PortRange) and port.protocol is protocol:
                    yield from (port.first, port.last + 1)
    for pod in state.pods.values():
        for named in pod.named_ports:
            if named.protocol is protocol:
                yield from (named.number, named.number + 1)


def joined(found: Iterable[Span]) -> list[Span]:
    """The same ports with neighbours put together."""
    result: list[Span] = []
    for span in sorted(found, key=lambda one: order(one.probe)):
        before = result[-1] if result else None
        if before is not None and before.protocol is span.protocol is not None and before.last + 1 == span.first:
            result[-1] = Span(span.protocol, before.first, span.last)
        else:
            result.append(span)
    return result


def ports_words(found: Iterable[Span]) -> str:
    """`80/TCP, 1-52/UDP`; `everything` where nothing is missing."""
    parts = joined(found)
    if parts == [*(Span(protocol, _FIRST_PORT, LAST_PORT) for protocol in Protocol), Span(ICMP.protocol)]:
        return "everything"
    return ", ".join(map(str, parts))


def within(wanted: Span, states: Sequence[ClusterState]) -> list[Span]:
    """The spans of a range of ports: the same answers, cut where policies cut."""
    if wanted.protocol is None:
        return [wanted]
    return [
        Span(span.protocol, max(span.first, wanted.first), min(span.last, wanted.last))
        for span in spans(states)
        if span.protocol is wanted.protocol and span.first <= wanted.last and wanted.first <= span.last
    ]
