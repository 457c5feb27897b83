"""What is asked of a destination: a port of a protocol, or something without ports (ICMP echo)."""

import re
from dataclasses import dataclass
from typing import Final

from kubinet.transport import Protocol

LAST_PORT: Final = 65535
_TEXT: Final = re.compile(r"([0-9]{1,5})(?:/([A-Za-z]+))?")


@dataclass(frozen=True, slots=True)
class Probe:
    """One question, written `80/TCP` or `ICMP`."""

    protocol: Protocol | None
    """None: ICMP."""
    port: int = 0

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol.name}" if self.protocol is not None else "ICMP"


ICMP: Final = Probe(None)


def parse_probe(text: object) -> Probe:
    """A probe as people write it: `80/TCP`, `53/udp`, `80` (TCP) or `ICMP`. ValueError says what is wrong."""
    words = str(text).strip()
    if words.upper() == "ICMP":
        return ICMP
    found = _TEXT.fullmatch(words)
    name = (found[2] or "TCP").upper() if found else ""
    if found is None or name not in Protocol.__members__ or not 0 < int(found[1]) <= LAST_PORT:
        raise ValueError(f"{words!r} is no port: write NUMBER/PROTOCOL, such as 80/TCP, 53/UDP, 9000/SCTP, or ICMP")
    return Probe(Protocol[name], int(found[1]))


def order(probe: Probe) -> tuple[int, int]:
    """For sorting: by protocol, then port; ICMP last."""
    return (256 if probe.protocol is None else int(probe.protocol), probe.port)
