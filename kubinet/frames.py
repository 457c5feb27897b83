"""Captured frames as the IPv4 packets in them, also inside VXLAN and Geneve. Pure.

Formats: RFC 791, 9293, 768, 792; RFC 7348 (VXLAN), RFC 8926 (Geneve); link types Ethernet, LINUX_SLL and LINUX_SLL2.
"""

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

_IPV4: Final = b"\x08\x00"
_ICMP, _TCP, _UDP, _SCTP = 1, 6, 17, 132
VXLAN_PORT: Final = 4789
GENEVE_PORT: Final = 6081
_WORDS: Final = {_ICMP: "ICMP", _TCP: "TCP", _UDP: "UDP", _SCTP: "SCTP"}
_FLAGS: Final = ((2, "SYN"), (16, "ACK"), (4, "RST"), (1, "FIN"))


@dataclass(frozen=True, slots=True)
class Frame:
    """One IPv4 packet."""

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    source_port: int
    """ICMP: the type."""
    destination_port: int
    """ICMP: the code."""
    identification: int
    ttl: int
    flags: int = 0
    """TCP's."""
    outer: tuple[IPv4Address, IPv4Address, int] | None = None
    """Source, destination and UDP port of the tunnel's packet around it."""

    def talk(self, source: str, destination: str) -> str:
        """Protocol, both ends as they are called here, ports and TCP's flags."""
        words = _WORDS.get(self.protocol, f"protocol {self.protocol}")
        if self.protocol not in (_TCP, _UDP, _SCTP):
            return f"{words} {source} > {destination}"
        flags = "+".join(name for bit, name in _FLAGS if self.protocol == _TCP and self.flags & bit)
        return f"{words} {source}:{self.source_port} > {destination}:{self.destination_port}" + f" {flags}" * bool(
            flags
        )

    def __str__(self) -> str:
        text = self.talk(str(self.source), str(self.destination)) + f", ttl {self.ttl}, id {self.identification:#06x}"
        if self.outer is None:
            return text
        return f"{text}, inside UDP {self.outer[0]} > {self.outer[1]}:{self.outer[2]}"


def read(data: bytes) -> Frame | None:
    """The innermost IPv4 packet of a captured frame; None for anything else, and for what was cut."""
    offset = _network_header(data)
    try:
        return _packet(data, offset) if offset is not None else None
    except (struct.error, IndexError):
        return None


def _network_header(data: bytes) -> int | None:
    """Where the IPv4 header begins. Captures on all interfaces of a host have Linux' cooked headers."""
    if data[12:14] == _IPV4:
        return 14
    if data[14:16] == _IPV4:
        return 16
    return 20 if data[:2] == _IPV4 else None


def _packet(data: bytes, offset: int) -> Frame | None:
    if data[offset] >> 4 != 4:
        return None
    body = offset + (data[offset] & 0xF) * 4
    identification, _, ttl, protocol = struct.unpack_from("!HHBB", data, offset + 4)
    ports, flags = (0, 0), 0
    if protocol in (_TCP, _UDP, _SCTP):
        ports = struct.unpack_from("!HH", data, body)
    elif protocol == _ICMP:
        ports = struct.unpack_from("!BB", data, body)
    if protocol == _TCP:
        flags = data[body + 13]
    source, destination = (IPv4Address(data[offset + at : offset + at + 4]) for at in (12, 16))
    found = Frame(source, destination, protocol, *ports, identification, ttl, flags)
    inner = _inner(data, body, ports[1]) if protocol == _UDP else None
    return replace(inner, outer=(source, destination, ports[1])) if inner is not None else found


def _inner(data: bytes, udp: int, port: int) -> Frame | None:
    """The packet in a tunnel's, whose headers after UDP have eight bytes; Geneve's options come on top."""
    if port not in (VXLAN_PORT, GENEVE_PORT):
        return None
    options = (data[udp + 8] & 0x3F) * 4 if port == GENEVE_PORT else 0
    ethernet = udp + 8 + 8 + options
    return _packet(data, ethernet + 14) if data[ethernet + 12 : ethernet + 14] == _IPV4 else None
