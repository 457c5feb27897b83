"""Capture files: tcpdump's stream read piece by piece, and several such streams written as one pcapng file.

Formats: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), the latter because it names interfaces.
"""

import heapq
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import BinaryIO, Final

from kubinet.errors import KubinetError

_NANOSECOND_MAGIC: Final = 0xA1B23C4D
_MICROSECOND_MAGIC: Final = 0xA1B2C3D4
_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_IPV4_NAME: Final = 1
_COMMENT, _OS, _APPLICATION = 1, 3, 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_FILTER = 2, 3, 9, 11
_END_OF_OPTIONS: Final = struct.pack("<HH", 0, 0)
ETHERNET: Final = 1
"""LINKTYPE_ETHERNET."""


@dataclass(frozen=True, slots=True, order=True)
class Packet:
    """One captured packet; sorts by time."""

    nanoseconds: int
    """Since the epoch."""
    interface: int
    data: bytes
    length: int
    """On the wire; more than `len(data)` where the capture was cut."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of the capture, as the file names it."""

    name: str
    description: str
    filter: str = ""


@dataclass(slots=True)
class PcapStream:
    """Decodes what tcpdump writes to a pipe (`-w -`); feed it bytes as they come."""

    interface: int
    link_type: int | None = None
    _rest: bytes = b""
    _form: str = ""
    _unit: int = 1

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete now; KubinetError when it is no pcap stream."""
        self._rest += data
        if self.link_type is None:
            if len(self._rest) < 24:
                return
            self._header()
        position = 0
        while len(self._rest) - position >= 16:
            seconds, fraction, kept, length = struct.unpack_from(f"{self._form}IIII", self._rest, position)
            if len(self._rest) - position - 16 < kept:
                break
            start = position + 16
            moment = seconds * 1_000_000_000 + fraction * self._unit
            yield Packet(moment, self.interface, self._rest[start : start + kept], length)
            position = start + kept
        self._rest = self._rest[position:]

    def _header(self) -> None:
        for form in "<>":
            magic = struct.unpack_from(f"{form}I", self._rest)[0]
            if magic in (_NANOSECOND_MAGIC, _MICROSECOND_MAGIC):
                self._form = form
                self._unit = 1 if magic == _NANOSECOND_MAGIC else 1000
                self.link_type = struct.unpack_from(f"{form}I", self._rest, 20)[0] & 0xFFFF
                self._rest = self._rest[24:]
                return
        raise KubinetError("capture: tcpdump wrote no packet capture; is another program of that name on the PATH?")


class PcapngWriter:
    """Writes one section with all interfaces and names first, then packets in the order of the calls."""

    def __init__(
        self,
        stream: BinaryIO,
        interfaces: Sequence[Interface],
        *,
        comment: str,
        system: str,
        names: Mapping[IPv4Address, str] | None = None,
    ) -> None:
        self._stream = stream
        options = _option(_COMMENT, comment) + _option(_OS, system) + _option(_APPLICATION, "kubinet")
        self._block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options + _END_OF_OPTIONS)
        for one in interfaces:
            options = _option(_IF_NAME, one.name) + _option(_IF_DESCRIPTION, one.description)
            options += _option(_IF_TSRESOL, b"\x09")
            if one.filter:
                options += _option(_IF_FILTER, b"\x00" + one.filter.encode())
            self._block(_INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0) + options + _END_OF_OPTIONS)

        if names:
            self._name(names)

    def _name(self, names: Mapping[IPv4Address, str]) -> None:
        """A Name Resolution Block: readers show these names instead of addresses."""
        records = b""
        for address, name in names.items():
            value = address.packed + name.encode() + b"\x00"
            records += struct.pack("<HH", _IPV4_NAME, len(value)) + _padded(value)
        self._block(_NAMES, records + _END_OF_OPTIONS + _option(_COMMENT, "Names of the cluster") + _END_OF_OPTIONS)

    def write(self, packet: Packet, comment: str = "") -> None:
        """Append the packet."""
        high, low = packet.nanoseconds >> 32, packet.nanoseconds & 0xFFFFFFFF
        head = struct.pack("<IIIII", packet.interface, high, low, len(packet.data), packet.length)
        options = _option(_COMMENT, comment) + _END_OF_OPTIONS if comment else b""
        self._block(_PACKET, head + _padded(packet.data) + options)

    def _block(self, kind: int, body: bytes) -> None:
        size = len(body) + 12
        self._stream.write(struct.pack("<II", kind, size) + body + struct.pack("<I", size))


@dataclass(slots=True)
class Sorter:
    """Brings several interfaces' packets into the order of time, holding each back for a short while."""

    hold_back: int = 250_000_000
    """Nanoseconds; streams are further apart than this only on an overloaded machine."""
    _heap: list[Packet] = field(default_factory=list)

    def add(self, packet: Packet) -> None:
        """Take a packet."""
        heapq.heappush(self._heap, packet)

    def due(self, now: int) -> Iterator[Packet]:
        """Packets older than the hold-back at `now` (nanoseconds since the epoch), oldest first."""
        while self._heap and self._heap[0].nanoseconds <= now - self.hold_back:
            yield heapq.heappop(self._heap)

    def rest(self) -> Iterator[Packet]:
        """All that are left, oldest first."""
        while self._heap:
            yield heapq.heappop(self._heap)


def _option(code: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<HH", code, len(data)) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\x00" * (-len(data) % 4)
