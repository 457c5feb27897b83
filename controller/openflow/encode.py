"""OpenFlow 1.5 messages as bytes (OpenFlow Switch Specification 1.5.1; Nicira's extensions: nicira-ext.h).

Written with `struct` because the framework's encoders are fifty times slower; tests compare with `ovs-ofctl ofp-print`.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Final

from controller.openflow.actions import (
    Action,
    Conjunction,
    CopyField,
    Ct,
    DecrementTtl,
    Goto,
    Learn,
    Multipath,
    Nat,
    Output,
    OutputRegister,
    Resubmit,
    SetField,
    ToController,
    ToGroup,
)
from controller.openflow.fields import Bits, Match, Term
from controller.openflow.flow import Bucket, Flow, Group, GroupKind, Meter, Selection

VERSION: Final = 6
"""OpenFlow 1.5 on the wire."""

NO_BUFFER: Final = 0xFFFFFFFF
ANY: Final = 0xFFFFFFFF
ALL_TABLES: Final = 0xFF
_NICIRA: Final = 0x00002320
_NO_TABLE: Final = 0xFF
_GROUP_ADD_OR_MODIFY: Final = 0x8000
_GROUP_DELETE: Final = 2
ALL_GROUPS: Final = 0xFFFFFFFC
_NTR: Final = 0x0000154D  # Netronome's extension: how a group selects
_NO_BUCKET: Final = 0xFFFFFFFF  # OFPG_BUCKET_ALL
_MAX_BYTES: Final = 0xFFFF
_METER_ADD, _METER_DELETE = 0, 2
_METER_PACKETS, _METER_BURST, _METER_STATS = 2, 4, 8


class MessageType(IntEnum):
    """OFPT_*."""

    ERROR = 1
    PACKET_IN = 10
    PACKET_OUT = 13
    FLOW_MOD = 14
    GROUP_MOD = 15
    MULTIPART_REQUEST = 18
    MULTIPART_REPLY = 19
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21
    METER_MOD = 29
    BUNDLE_CONTROL = 33
    BUNDLE_ADD = 34


class FlowCommand(IntEnum):
    """OFPFC_*: ADD replaces a flow of equal key, DELETE takes every flow that the match covers."""

    ADD = 0
    DELETE = 3
    DELETE_STRICT = 4


class BundleControl(IntEnum):
    """OFPBCT_*."""

    OPEN_REQUEST = 0
    OPEN_REPLY = 1
    COMMIT_REQUEST = 4
    COMMIT_REPLY = 5
    DISCARD_REQUEST = 6


class BundleFlags(IntFlag):
    """OFPBF_*: all or nothing, and in the order sent."""

    ATOMIC = 1
    ORDERED = 2


class Multipart(IntEnum):
    """OFPMP_*."""

    FLOW_DESC = 1
    AGGREGATE = 2
    GROUP_STATS = 6


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


@lru_cache(maxsize=65536)
def _oxm(term: Term) -> bytes:
    length = term.field.length
    head = struct.pack("!I", term.field.header(masked=not term.exact)) + term.value.to_bytes(length, "big")
    return head if term.exact else head + term.mask.to_bytes(length, "big")


def encode_match(match: Match) -> bytes:
    """`ofp_match` with its padding."""
    fields = b"".join([_oxm(term) for term in match.terms])
    return _padded(struct.pack("!HH", 1, 4 + len(fields)) + fields)


def _nicira(subtype: int, body: bytes) -> bytes:
    data = _padded(struct.pack("!IH", _NICIRA, subtype) + body + bytes(-(10 + len(body)) % 8))
    length = (10 + len(body) + 7) // 8 * 8
    return struct.pack("!HH", 0xFFFF, length) + data[: length - 4]


def _nat(nat: Nat) -> bytes:
    address = nat.source or nat.destination
    flags = 0 if address is None else 1 if nat.source is not None else 2
    present, ranges = 0, b""
    if address is not None:
        present, ranges = 1, address.packed
    if nat.ports is not None:
        first, last = nat.ports
        present |= 16 if first == last else 48
        ranges += struct.pack("!H", first) if first == last else struct.pack("!HH", first, last)
    return _nicira(36, struct.pack("!2xHH", flags, present) + ranges)


def _ct(ct: Ct) -> bytes:
    marks = [mark if isinstance(mark, CopyField) else SetField(mark) for mark in ct.marks]
    nested = (_nat(ct.nat) if ct.nat is not None else b"") + b"".join(map(_action, marks))
    table = _NO_TABLE if ct.table is None else ct.table
    return _nicira(35, struct.pack("!HIHB3xH", int(ct.commit), 0, ct.zone, table, 0) + nested)


def _copy_field(action: CopyField) -> bytes:
    source, target = action.source, action.target
    body = struct.pack("!HHH2x", source.width, source.first, target.first)
    body += struct.pack("!II", source.field.header(masked=False), target.field.header(masked=False))
    length = (4 + len(body) + 7) // 8 * 8
    return struct.pack("!HH", 28, length) + body + bytes(length - 4 - len(body))


def _multipath(action: Multipath) -> bytes:
    target = action.target
    packed = target.first << 6 | target.width - 1
    head = struct.pack("!HH2xHHI2xH", action.fields, action.basis, 0, action.count - 1, 0, packed)
    return _nicira(10, head + struct.pack("!I", target.field.header(masked=False)))


def _learn(action: Learn) -> bytes:
    """NXAST_LEARN2; a specification's header is `from_constant:1 at 13 | load:1 at 11 | bits:11` (nicira-ext.h)."""

    def spec(target: Bits, source: Bits | int, *, loads: bool) -> bytes:
        constant = isinstance(source, int)
        head = struct.pack("!H", constant << 13 | loads << 11 | target.width)
        if isinstance(source, int):
            head += source.to_bytes((target.width + 15) // 16 * 2, "big")
        else:
            head += struct.pack("!IH", source.field.header(masked=False), source.first)
        return head + struct.pack("!IH", target.field.header(masked=False), target.first)

    specs = [spec(bits, term.value >> bits.first, loads=False) for term in action.constant for bits in (term.bits,)]
    specs += [spec(Bits.whole(field), Bits.whole(field), loads=False) for field in action.equal]
    specs += [spec(bits, bits, loads=True) for bits in action.loads]
    delete_learned = 2
    head = (action.idle_seconds, 0, action.priority, action.cookie, delete_learned, action.table, 0, 0)
    limit = struct.pack("!IHxx", action.limit, 0)
    return _nicira(45, struct.pack("!HHHQHBxHH", *head) + limit + b"".join(specs))


def _to_controller(action: ToController) -> bytes:
    limit = struct.pack("!HHH2x", 0, 6, action.max_len)
    userdata = _padded(struct.pack("!HH", 3, 4 + len(action.userdata)) + action.userdata)
    meter = b"" if action.meter is None else struct.pack("!HHI", 5, 8, action.meter)
    return _nicira(37, bytes(6) + limit + userdata + meter)


def _conjunction(action: Conjunction) -> bytes:
    return _nicira(34, struct.pack("!BBI", action.clause, action.clauses, action.id))


def _set_field(action: SetField) -> bytes:
    body = _oxm(action.term)
    return _padded(struct.pack("!HH", 25, (4 + len(body) + 7) // 8 * 8) + body)


def _output_register(action: OutputRegister) -> bytes:
    packed = action.source.first << 6 | action.source.width - 1
    return _nicira(15, struct.pack("!HIH6x", packed, action.source.field.header(masked=False), 0))


def _simple(action: Output | DecrementTtl | ToGroup | Resubmit) -> bytes:
    match action:
        case Output(port):
            return struct.pack("!HHIH6x", 0, 16, port, 0)
        case DecrementTtl():
            return struct.pack("!HH4x", 24, 8)
        case ToGroup(group):
            return struct.pack("!HHI", 22, 8, group)
        case Resubmit(table):
            return _nicira(14, struct.pack("!HB3x", 0xFFF8, table))


@lru_cache(maxsize=65536)
def _action(action: Action) -> bytes:
    match action:
        case SetField():
            return _set_field(action)
        case CopyField():
            return _copy_field(action)
        case OutputRegister():
            return _output_register(action)
        case Ct():
            return _ct(action)
        case Multipath():
            return _multipath(action)
        case Learn():
            return _learn(action)
        case ToController():
            return _to_controller(action)
        case Conjunction():
            return _conjunction(action)
        case Goto():
            raise ValueError("goto is an instruction: it stands last in a flow, and never in a bucket")
        case _:
            return _simple(action)


def encode_instructions(actions: tuple[Action, ...]) -> bytes:
    """Apply-actions and goto; nothing at all for a drop."""
    goto = b""
    if actions and isinstance(actions[-1], Goto):
        goto, actions = struct.pack("!HHB3x", 1, 8, actions[-1].table), actions[:-1]
    if not actions:
        return goto
    body = b"".join([_action(action) for action in actions])
    return struct.pack("!HH4x", 4, 8 + len(body)) + body + goto


def message(kind: MessageType, xid: int, body: bytes) -> bytes:
    """A message with its header; ValueError above OpenFlow's limit of 65,535 bytes."""
    if len(body) + 8 > _MAX_BYTES:
        raise ValueError(f"{kind.name}: {len(body) + 8} bytes do not fit one OpenFlow message")
    return struct.pack("!BBHI", VERSION, kind, 8 + len(body), xid) + body


def _flow_mod(command: FlowCommand, xid: int, table: int, priority: int, cookie: int, mask: int, rest: bytes) -> bytes:
    head = struct.pack("!QQBBHHHIIIHH", cookie, mask, table, command, 0, 0, priority, NO_BUFFER, ANY, ANY, 0, 0)
    return message(MessageType.FLOW_MOD, xid, head + rest)


def add_flow(flow: Flow, generation: int, xid: int) -> bytes:
    """Add a flow, or replace the one of equal table, priority and match (its counters go on)."""
    rest = encode_match(flow.match) + encode_instructions(flow.actions)
    return _flow_mod(FlowCommand.ADD, xid, flow.table, flow.priority, flow.cookie(generation), 0, rest)


def delete_flow(flow: Flow, xid: int) -> bytes:
    """Delete exactly this flow, whatever its cookie."""
    return _flow_mod(FlowCommand.DELETE_STRICT, xid, flow.table, flow.priority, 0, 0, encode_match(flow.match))


def delete_by_cookie(cookie: int, mask: int, xid: int) -> bytes:
    """Delete the flows of all tables whose cookie equals `cookie` in the bits of `mask`."""
    return _flow_mod(FlowCommand.DELETE, xid, ALL_TABLES, 0, cookie, mask, encode_match(Match()))


def _bucket(bucket: Bucket, kind: GroupKind) -> bytes:
    actions = b"".join([_action(action) for action in bucket.actions])
    weight = struct.pack("!HHH2x", 0, 8, bucket.weight) if kind is GroupKind.SELECT else b""
    return struct.pack("!HHI", 8 + len(actions) + len(weight), len(actions), bucket.id) + actions + weight


def _selection(selection: Selection) -> bytes:
    """The group property of Netronome's extension (group-selection-method-property.txt)."""
    fields = b"".join(
        struct.pack("!I", field.header(masked=False)) + field.all_ones.to_bytes(field.length, "big")
        for field in selection.fields
    )
    body = struct.pack("!II4x16sQ", _NTR, 1, selection.method.encode(), selection.parameter) + fields
    return _padded(struct.pack("!HH", 0xFFFF, 4 + len(body)) + body)


def _group_mod(command: int, kind: int, group: int, xid: int, buckets: bytes = b"", properties: bytes = b"") -> bytes:
    head = struct.pack("!HBxIH2xI", command, kind, group, len(buckets), _NO_BUCKET)
    return message(MessageType.GROUP_MOD, xid, head + buckets + properties)


def put_group(group: Group, xid: int) -> bytes:
    """Add a group, or replace all of the one with its id."""
    buckets = b"".join([_bucket(bucket, group.kind) for bucket in group.buckets])
    properties = _selection(group.selection) if group.selection is not None else b""
    return _group_mod(_GROUP_ADD_OR_MODIFY, group.kind, group.id, xid, buckets, properties)


def delete_group(group: int, xid: int) -> bytes:
    """Delete a group and whatever flows still point to it; no error when there is none."""
    return _group_mod(_GROUP_DELETE, GroupKind.ALL, group, xid)


def put_meter(meter: Meter, xid: int) -> list[bytes]:
    """Make a meter what is wanted: away with the one of its id, if there is one, and add it.

    Flows whose `controller` action names it stay, and find the new one when they are added again.
    """
    flags = _METER_PACKETS | _METER_BURST | _METER_STATS
    band = struct.pack("!HHII4x", 1, 16, meter.rate, meter.burst)  # OFPMBT_DROP
    return [
        message(MessageType.METER_MOD, xid, struct.pack("!HHI", _METER_DELETE, 0, meter.id)),
        message(MessageType.METER_MOD, xid, struct.pack("!HHI", _METER_ADD, flags, meter.id) + band),
    ]


def packet_out(packet: bytes, in_port: int, actions: Iterable[Action], xid: int) -> bytes:
    """Have the switch carry out actions on a packet as if it had come from `in_port`."""
    match = _padded(struct.pack("!HHII", 1, 12, 0x80000004, in_port))
    packed = b"".join([_action(action) for action in actions])
    return message(MessageType.PACKET_OUT, xid, struct.pack("!IH2x", NO_BUFFER, len(packed)) + match + packed + packet)


def bundle_control(bundle: int, kind: BundleControl, xid: int) -> bytes:
    """Open, commit or discard an atomic, ordered bundle."""
    flags = BundleFlags.ATOMIC | BundleFlags.ORDERED
    return message(MessageType.BUNDLE_CONTROL, xid, struct.pack("!IHH", bundle, kind, flags))


def bundle_add(bundle: int, inner: bytes) -> bytes:
    """A message as a part of a bundle; it keeps its transaction id."""
    (xid,) = struct.unpack_from("!I", inner, 4)
    flags = BundleFlags.ATOMIC | BundleFlags.ORDERED
    return message(MessageType.BUNDLE_ADD, xid, struct.pack("!I2xH", bundle, flags) + inner)


def bundle(number: int, inner: Iterable[bytes], *, open_xid: int, commit_xid: int) -> bytes:
    """A whole bundle, from open to commit."""
    parts = [bundle_control(number, BundleControl.OPEN_REQUEST, open_xid)]
    parts += [bundle_add(number, one) for one in inner]
    parts.append(bundle_control(number, BundleControl.COMMIT_REQUEST, commit_xid))
    return b"".join(parts)


def _flow_request(kind: Multipart, table: int, cookie: int, mask: int, xid: int) -> bytes:
    body = struct.pack("!HH4xB3xII4xQQ", kind, 0, table, ANY, ANY, cookie, mask) + encode_match(Match())
    return message(MessageType.MULTIPART_REQUEST, xid, body)


def aggregate_request(cookie: int, mask: int, xid: int, table: int = ALL_TABLES) -> bytes:
    """Ask how many flows have such a cookie."""
    return _flow_request(Multipart.AGGREGATE, table, cookie, mask, xid)


def flow_desc_request(xid: int, table: int = ALL_TABLES) -> bytes:
    """Ask for the flows of a table."""
    return _flow_request(Multipart.FLOW_DESC, table, 0, 0, xid)


def group_stats_request(xid: int) -> bytes:
    """Ask for all groups; their descriptions, which say more, are what os-ken and Ryu cannot read in OpenFlow 1.5."""
    return message(MessageType.MULTIPART_REQUEST, xid, struct.pack("!HH4xI4x", Multipart.GROUP_STATS, 0, ALL_GROUPS))
