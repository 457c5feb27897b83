"""The few OpenFlow 1.5 answers that the controller reads, from bytes."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller.openflow.encode import BundleControl, MessageType, Multipart


@dataclass(frozen=True, slots=True)
class Refusal:
    """OFPT_ERROR: type and code of the specification's section 7.5.4."""

    xid: int
    type: int
    code: int


@dataclass(frozen=True, slots=True)
class BundleAnswer:
    """The switch's word on a bundle request."""

    xid: int
    bundle: int
    kind: int

    @property
    def committed(self) -> bool:
        """Whether the bundle's changes are in force."""
        return self.kind == BundleControl.COMMIT_REPLY


@dataclass(frozen=True, slots=True)
class FlowCount:
    """Answer to an aggregate request."""

    xid: int
    flows: int


@dataclass(frozen=True, slots=True)
class FlowCookies:
    """Cookies of the flows that a flow description lists; `more` parts may follow."""

    xid: int
    cookies: tuple[int, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class GroupIds:
    """Ids of the groups that group statistics list; `more` parts may follow."""

    xid: int
    groups: tuple[int, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet that a flow sent to the controller, with the registers that it had."""

    xid: int
    in_port: int
    registers: Mapping[int, int]
    """By number; those that are 0 are missing."""
    data: bytes
    table: int = 0
    """Whose flow sent it."""


Answer = Refusal | BundleAnswer | FlowCount | FlowCookies | GroupIds | PacketIn


def join(first: Answer, second: Answer) -> Answer:
    """Two parts of one answer as one; the second alone where the answer has no parts."""
    if isinstance(first, FlowCookies) and isinstance(second, FlowCookies):
        return FlowCookies(first.xid, first.cookies + second.cookies, second.more)
    if isinstance(first, GroupIds) and isinstance(second, GroupIds):
        return GroupIds(first.xid, first.groups + second.groups, second.more)
    return second


def decode(data: bytes) -> Answer | None:
    """What the message says; None for kinds that the controller does not ask for. ValueError when it is cut short."""
    try:
        return _decode(data)
    except struct.error as error:
        raise ValueError(f"OpenFlow message of {len(data)} bytes is cut short: {error}") from None


def _decode(data: bytes) -> Answer | None:
    _, kind, _, xid = struct.unpack_from("!BBHI", data)
    if kind == MessageType.ERROR:
        return Refusal(xid, *struct.unpack_from("!HH", data, 8))
    if kind == MessageType.PACKET_IN:
        return _packet_in(xid, data)
    if kind == MessageType.BUNDLE_CONTROL:
        return BundleAnswer(xid, *struct.unpack_from("!IH", data, 8))
    if kind == MessageType.MULTIPART_REPLY:
        part, flags = struct.unpack_from("!HH", data, 8)
        if part == Multipart.AGGREGATE:
            return FlowCount(xid, _count(data))
        if part == Multipart.FLOW_DESC:
            return FlowCookies(xid, tuple(_cookies(data)), bool(flags & 1))
        if part == Multipart.GROUP_STATS:
            return GroupIds(xid, tuple(_group_ids(data)), bool(flags & 1))
    return None


def _count(data: bytes) -> int:
    """The number of flows in the reply's statistics (OXS fields, section 7.2.4.1: class 0x8002, field 3)."""
    _, length = struct.unpack_from("!HH", data, 16)
    at, end = 20, 16 + length
    while at < end:
        (header,) = struct.unpack_from("!I", data, at)
        if header >> 9 == 0x8002 << 7 | 3:
            return int(struct.unpack_from("!I", data, at + 4)[0])
        at += 4 + (header & 0xFF)
    raise ValueError("aggregate reply without a flow count")


def _cookies(data: bytes) -> Iterator[int]:
    at = 16
    while at < len(data):
        (length,) = struct.unpack_from("!H", data, at)
        if length < 24:
            raise ValueError(f"flow description of {length} bytes")
        # ofp_flow_desc: length, pad[2], table, pad, priority, idle, hard, flags, importance, cookie
        (cookie,) = struct.unpack_from("!Q", data, at + 16)
        yield int(cookie)
        at += length


def _group_ids(data: bytes) -> Iterator[int]:
    at = 16
    while at < len(data):
        # ofp_group_stats: length, pad[2], group_id, ref_count, pad[4], counters, durations, buckets' counters
        length, identity = struct.unpack_from("!HxxI", data, at)
        if length < 16:
            raise ValueError(f"group statistics of {length} bytes")
        yield int(identity)
        at += length


_TABLE_AT = 15
_PACKET_REGISTERS = 0x8001
"""OXM class of the 64-bit registers (OpenFlow 1.5 section 7.2.3.10): each is two of Open vSwitch's 32-bit ones."""


def _packet_in(xid: int, data: bytes) -> PacketIn:
    # ofp_packet_in: header, buffer_id, total_len, reason, table_id, cookie, match, pad[2], data
    at = 24
    _, length = struct.unpack_from("!HH", data, at)
    at, end = at + 4, at + length
    in_port = 0
    registers: dict[int, int] = {}
    while at < end:
        (header,) = struct.unpack_from("!I", data, at)
        oxm_class, number, size = header >> 16, header >> 9 & 0x7F, header & 0xFF
        value = data[at + 4 : at + 4 + (size >> (header >> 8 & 1))]
        if oxm_class == 0x8000 and number == 0:
            in_port = int.from_bytes(value, "big")
        elif oxm_class == _PACKET_REGISTERS:
            high, low = struct.unpack("!II", value)
            registers |= {2 * number: high, 2 * number + 1: low}
        at += 4 + size
    start = 24 + (length + 7) // 8 * 8 + 2
    known = {number: one for number, one in registers.items() if one}
    return PacketIn(xid, in_port, known, data[start:], data[_TABLE_AT])
