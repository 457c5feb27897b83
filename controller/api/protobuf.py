"""Kubernetes' protobuf request bodies: typed commands of kubectl >= 1.32 send them. Answers are always JSON.

The wire form is four magic bytes and a `runtime.Unknown` message (apiVersion, kind, raw bytes). Messages are declared
in `protofields`; a field that is not declared is skipped, as protobuf demands.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from controller.api.protofields import MESSAGES
from controller.api.status import Object, bad_request

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
MAGIC: Final = b"k8s\x00"
_DEPTH = 40


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than 64 bits")


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("the message is truncated")
        yield number, data[at : at + size]
        at += size


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _time(data: bytes) -> str | None:
    parts = dict(_fields(data))
    if not parts.get(1):
        return None
    return datetime.fromtimestamp(_signed(parts[1]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_fields(data))
    return str(parts.get(3, b""), "utf-8") if parts.get(1) == 1 else _signed(parts.get(2, 0))


def _scalar(kind: str, value: Any) -> Any:
    match kind:
        case "string":
            return value.decode()
        case "int":
            return _signed(value)
        case "bool":
            return bool(value)
        case "bytes":
            return base64.b64encode(value).decode()
        case "Time":
            return _time(value)
        case "IntOrString":
            return _int_or_string(value)
        case "Quantity":
            return dict(_fields(value)).get(1, b"").decode()
    raise ValueError(f"field type {kind}")


_SCALARS = ("string", "int", "bool", "bytes", "Time", "IntOrString", "Quantity")


def _value(kind: str, value: Any, depth: int) -> Any:
    return _scalar(kind, value) if kind in _SCALARS else _message(kind, value, depth + 1)


def _message(name: str, data: bytes, depth: int = 0) -> Object:
    if depth > _DEPTH:
        raise ValueError("nested too deep")
    declared = MESSAGES[name]
    result: Object = {}
    for number, value in _fields(data):
        if number not in declared:
            continue
        field, kind = declared[number]
        if kind.startswith("inline "):
            result |= _message(kind[7:], value, depth + 1)
        elif kind.startswith("repeated "):
            result.setdefault(field, []).append(_value(kind[9:], value, depth))
        elif kind.startswith("map "):
            entry = dict(_fields(value))
            result.setdefault(field, {})[entry.get(1, b"").decode()] = _value(kind[4:], entry.get(2, b""), depth)
        else:
            decoded = _value(kind.removeprefix("pointer "), value, depth)
            # Go always writes fields that are not pointers: their zero means unset.
            if decoded or (kind.startswith("pointer ") and decoded is not None):
                result[field] = decoded
    return result


def decode(body: bytes) -> Object:
    """The object in a protobuf body; 400 where it is malformed or of a kind without declared fields."""
    if not body.startswith(MAGIC):
        raise bad_request("the protobuf body does not start with k8s\\x00")
    try:
        unknown = dict(_fields(body[len(MAGIC) :]))
        type_meta = dict(_fields(unknown.get(1, b"")))
        version, kind = type_meta.get(1, b"").decode(), type_meta.get(2, b"").decode()
        if kind not in MESSAGES:
            raise bad_request(f"protobuf bodies of kind {kind!r} ({version}) are not understood: send JSON")
        return {"apiVersion": version, "kind": kind, **_message(kind, unknown.get(2, b""))}
    except (ValueError, IndexError, UnicodeDecodeError, TypeError, AttributeError, OverflowError) as error:
        raise bad_request(f"malformed protobuf body: {error}") from error
