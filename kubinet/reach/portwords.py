"""Ports as expectations name them: one, a range, all of a protocol, or any at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubinet.reach.probes import LAST_PORT, parse_probe
from kubinet.reach.spans import Span, spans, within
from kubinet.state import ClusterState
from kubinet.transport import Protocol


@dataclass(frozen=True, slots=True)
class Ports:
    """What was written, and the spans that it means; none: all there are."""

    words: str
    spans: tuple[Span, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether it means more than one port."""
        return not self.spans or any(span.first != span.last for span in self.spans)

    def asked(self, states: Sequence[ClusterState]) -> list[Span]:
        """The spans to ask about, cut where these states' policies cut."""
        if not self.spans:
            return spans(states)
        return [part for span in self.spans for part in within(span, states)]

    def __str__(self) -> str:
        return self.words


def parse_ports(text: object) -> Ports:
    """`80/TCP`, `8000-8010/TCP`, `any/UDP`, `any`, `ICMP`; ValueError says what is wrong."""
    words = str(text).strip()
    if words.lower() == "any":
        return Ports(words)
    number, _, protocol = words.partition("/")
    if number.lower() == "any" and protocol.upper() in Protocol.__members__:
        return Ports(words, (Span(Protocol[protocol.upper()], 1, LAST_PORT),))
    first, dash, last = number.partition("-")
    begin = parse_probe(f"{first}/{protocol}" if protocol else first)
    end = parse_probe(f"{last}/{protocol}" if protocol else last) if dash else begin
    if end.port < begin.port:
        raise ValueError(f"{words!r}: the range ends before it begins")
    return Ports(words, (Span(begin.protocol, begin.port, end.port),))
