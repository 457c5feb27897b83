"""The packets of probes, and what arrives: bytes in, bytes out. Pure.

SCTP is written by hand (RFC 9260), so that it can be asked about where the kernel has no SCTP of its own.
"""

import struct
from typing import Final

from kubinet.transport import Protocol

_MAGIC: Final = b"kubinet?"
_SCTP_INIT: Final = 1
_SCTP_MAGIC: Final = 0x6B75
"""Upper half of a probe's initiate tag."""
_MASK: Final = 0xFFFF
_CRC32C: Final = 0x82F63B78


def udp_payload(number: int) -> bytes:
    """What a UDP probe carries."""
    return _MAGIC + struct.pack("!I", number)


def sctp_init(source: int, destination: int, number: int) -> bytes:
    """An INIT chunk in its packet: ports, tag 0, checksum; its initiate tag says which probe it is."""
    tag = _SCTP_MAGIC << 16 | number & _MASK
    chunk = struct.pack("!BBHIIHHI", _SCTP_INIT, 0, 20, tag, 0x10000, 1, 1, number or 1)
    plain = struct.pack("!HHI", source, destination, 0)
    # The checksum is the one field that goes with its low byte first (RFC 9260, appendix A).
    return plain + struct.pack("<I", crc32c(plain + bytes(4) + chunk)) + chunk


def arrived(packet: bytes) -> int | None:
    """Which probe an IPv4 packet is; None for other packets. `number` of SCTP probes: its lower 16 bits."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    inner = packet[(packet[0] & 0x0F) * 4 :]
    if packet[9] == Protocol.UDP and inner[8:16] == _MAGIC and len(inner) >= 20:
        return int(struct.unpack_from("!I", inner, 16)[0])
    if packet[9] == Protocol.SCTP and len(inner) >= 20 and inner[12] == _SCTP_INIT:
        (tag,) = struct.unpack_from("!I", inner, 16)
        return int(tag & _MASK) if tag >> 16 == _SCTP_MAGIC else None
    return None


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC of SCTP's checksum (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_CRC32C if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def transport_filter() -> bytes:
    """A classic BPF program for packet sockets that see IPv4 from its header on: UDP and SCTP, nothing else."""
    program = (
        (0x30, 0, 0, 9),  # load the protocol's byte
        (0x15, 1, 0, int(Protocol.UDP)),
        (0x15, 0, 1, int(Protocol.SCTP)),
        (0x06, 0, 0, 0xFFFF),  # accept
        (0x06, 0, 0, 0),  # drop
    )
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)
