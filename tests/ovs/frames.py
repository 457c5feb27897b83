"""Ethernet frames of IPv4 with TCP or UDP, as bytes and as values (RFC 791, 793, 768), and pcap files of them."""

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP, UDP = 6, 17


@dataclass(frozen=True)
class Frame:
    """One packet. `flags`, `seq` and `ack` are TCP's."""

    eth_src: str
    eth_dst: str
    src: str
    sport: int
    dst: str
    dport: int
    proto: int = TCP
    flags: int = SYN
    seq: int = 1000
    ack: int = 0
    ttl: int = 64

    @property
    def client(self) -> tuple[str, int]:
        """Source address and port."""
        return self.src, self.sport

    @property
    def server(self) -> tuple[str, int]:
        """Destination address and port."""
        return self.dst, self.dport

    def answer(self, flags: int = SYN | ACK, *, seq: int = 5000, ack: int | None = None) -> "Frame":
        """What the other side sends back."""
        acked = ack if ack is not None else self.seq + (self.flags & (SYN | FIN) != 0)
        back = replace(self, eth_src=self.eth_dst, eth_dst=self.eth_src, src=self.dst, sport=self.dport)
        return replace(back, dst=self.src, dport=self.sport, flags=flags, seq=seq, ack=acked, ttl=64)

    def pack(self) -> bytes:
        """The frame with right checksums."""
        ends = IPv4Address(self.src).packed + IPv4Address(self.dst).packed
        if self.proto == TCP:
            body = struct.pack(
                "!HHIIBBHHH", self.sport, self.dport, self.seq, self.ack, 5 << 4, self.flags, 64240, 0, 0
            )
            at = 16
        else:
            body, at = struct.pack("!HHHH", self.sport, self.dport, 12, 0) + b"ping", 6
        total = checksum(ends + struct.pack("!BBH", 0, self.proto, len(body)) + body)
        body = body[:at] + struct.pack("!H", total) + body[at + 2 :]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, self.ttl, self.proto, 0) + ends
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return _mac(self.eth_dst) + _mac(self.eth_src) + b"\x08\x00" + head + body


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def read(data: bytes) -> Frame | None:
    """The frame that the bytes are; None for anything but TCP and UDP over IPv4. Wrong checksums are an error."""
    if data[12:14] != b"\x08\x00" or data[23] not in (TCP, UDP):
        return None
    proto, length = data[23], int.from_bytes(data[16:18], "big")
    body = data[34 : 14 + length]
    assert checksum(data[14:34]) == 0
    assert checksum(data[26:34] + struct.pack("!BBH", 0, proto, len(body)) + body) == 0
    sport, dport = struct.unpack_from("!HH", body)
    seq, ack, flags = (*struct.unpack_from("!II", body, 4), body[13]) if proto == TCP else (0, 0, 0)
    src, dst = str(IPv4Address(data[26:30])), str(IPv4Address(data[30:34]))
    return Frame(_text(data[6:12]), _text(data[:6]), src, sport, dst, dport, proto, flags, seq, ack, data[22])


def read_pcap(path: Path, after: int = 0) -> list[bytes]:
    """The packets of a pcap file behind the first `after` ones."""
    data, at, found = path.read_bytes(), 24, []
    while at + 16 <= len(data):
        (size,) = struct.unpack_from("=I", data, at + 8)
        found.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return found[after:]


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(mac: bytes) -> str:
    return mac.hex(":")
