"""OpenFlow 1.5 messages as bytes: flow mods in bundles; the framework's classes encode only 4,000 of them a second."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from controller.openflow.flow import Flow

VERSION = 6
_FLOW_MOD, _BUNDLE_CONTROL, _BUNDLE_ADD = 14, 33, 34
_ANY = 0xFFFFFFFF
_ALL_TABLES = 0xFF
_ATOMIC_ORDERED = 3


class Command(IntEnum):
    """ofp_flow_mod_command."""

    ADD = 0
    DELETE = 3
    DELETE_STRICT = 4


class BundleControl(IntEnum):
    """ofp_bundle_ctrl_type."""

    OPEN = 0
    COMMIT = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One flow mod of a bundle."""

    command: Command
    flow: Flow


def encode_flow_mod(command: Command, flow: Flow, generation: int, xid: int) -> bytes:
    """A flow mod; ADD replaces an equal match and priority, cookie included (MODIFY would keep the old cookie)."""
    match = b"".join(one.encode() for one in flow.match)
    instructions = _instructions(flow) if command is Command.ADD else b""
    return _flow_mod(
        command, flow.table, flow.priority, match, instructions, cookie=flow.cookie(generation), mask=0, xid=xid
    )


def encode_sweep(generation: int, xid: int) -> bytes:
    """A flow mod that deletes every flow whose cookie begins with this generation (16 bits)."""
    mask = 0xFFFF << 48
    return _flow_mod(Command.DELETE, _ALL_TABLES, 0, b"", b"", cookie=generation << 48, mask=mask, xid=xid)


def encode_clear(xid: int) -> bytes:
    """A flow mod that deletes all flows."""
    return _flow_mod(Command.DELETE, _ALL_TABLES, 0, b"", b"", cookie=0, mask=0, xid=xid)


def encode_bundle(bundle_id: int, messages: Iterable[bytes], first_xid: int) -> bytes:
    """Open, add all, commit: applied atomically and in order, or not at all."""
    parts = [_control(bundle_id, BundleControl.OPEN, first_xid)]
    for message in messages:
        # The inner message's transaction id must be that of the message that carries it.
        xid = message[4:8]
        head = struct.pack("!BBH", VERSION, _BUNDLE_ADD, 16 + len(message)) + xid
        parts.append(head + struct.pack("!I2xH", bundle_id, _ATOMIC_ORDERED) + message)
    parts.append(_control(bundle_id, BundleControl.COMMIT, first_xid))
    return b"".join(parts)


def _control(bundle_id: int, kind: BundleControl, xid: int) -> bytes:
    return struct.pack("!BBHIIHH", VERSION, _BUNDLE_CONTROL, 16, xid, bundle_id, kind, _ATOMIC_ORDERED)


def _instructions(flow: Flow) -> bytes:
    actions = b"".join(action.encode() for action in flow.actions)
    encoded = struct.pack("!HH4x", 4, 8 + len(actions)) + actions if actions else b""
    if flow.goto is not None:
        encoded += struct.pack("!HHB3x", 1, 8, flow.goto)
    return encoded


def _flow_mod(
    command: Command, table: int, priority: int, match: bytes, instructions: bytes, *, cookie: int, mask: int, xid: int
) -> bytes:
    match_length = 4 + len(match)
    padded = struct.pack("!HH", 1, match_length) + match
    padded = padded.ljust((match_length + 7) // 8 * 8, b"\0")
    # A delete without "any port, any group" would delete nothing.
    fixed = struct.pack("!QQBBHHHIIIHH", cookie, mask, table, command, 0, 0, priority, _ANY, _ANY, _ANY, 0, 0)
    body = fixed + padded + instructions
    return struct.pack("!BBHI", VERSION, _FLOW_MOD, 8 + len(body), xid) + body
