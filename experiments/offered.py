"""What a workload puts on the network by itself: `kubinet run` compares it with the calibration. Pure."""

import math
from dataclasses import dataclass
from typing import Final

DATAGRAM: Final = 1472
"""Bytes of UDP payload in an unfragmented packet where the MTU is 1,500 bytes."""
SMALL_SEGMENT: Final = 536
"""Segments of TCP up to this size are counted as packets: a sender's default (RFC 9293, 3.7.1)."""
CONNECTION: Final = 6
"""Packets that open and close a TCP connection (RFC 9293, 3.5 and 3.6)."""
FLOW: Final = 12
"""Packets of a short flow with its connection: header, payload and the receiver's answer, each acknowledged."""
EXCHANGE: Final = 2
"""Packets of a short request and its answer; each acknowledges the other."""
_ICMP_HEADER: Final = 8


@dataclass(frozen=True, slots=True)
class OfferedLoad:
    """What is sent both ways together, a second, while the workload sends; None is what it does not limit itself."""

    packets_per_s: float | None = 0.0
    """Datagrams, echoes, requests and answers. Full segments of a TCP stream are left out: the calibrated rate was
    found with them."""
    bits_per_s: float | None = 0.0
    """Payload, without any header."""
    way: tuple[str, str] | None = None
    """From where to where all of it is TCP, which adapts to the links on that way; None: it does not adapt."""


NOTHING: Final = OfferedLoad()
"""What sends nothing of its own."""
AS_ANSWERED: Final = OfferedLoad(None, None)
"""What sends the next as soon as the last was answered: the network decides how fast that is."""


def packets_of(payload: int) -> int:
    """The packets of a datagram, 1 or, where it is larger than 1,472 bytes, its fragments."""
    return max(1, math.ceil(payload / DATAGRAM))


def echoes(per_second: float, payload: int) -> OfferedLoad:
    """ICMP echo requests at a rate, each with its reply of the same size."""
    return OfferedLoad(2 * per_second * packets_of(payload + _ICMP_HEADER), 2 * per_second * payload * 8)


def datagrams(per_second: float, payload: int) -> OfferedLoad:
    """Datagrams of one size at a rate."""
    return OfferedLoad(per_second * packets_of(payload), per_second * payload * 8)
