"""Values of `kubinet.cri` as JSON and back, driven by the dataclasses' own type hints.

The runtime's client and daemon are of one version, so the encoding has no versions either. A union of dataclasses is
written with the class's name under `type`.
"""

import base64
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def encode(value: object) -> Any:
    """`value` as what `json.dumps` takes: bytes as base64, times as ISO 8601, the rest by its text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (str, Path, IPv4Address)):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        encoded = {name: encode(getattr(value, name)) for name, _ in _hints(type(value))}
        return {"type": type(value).__name__, **encoded}
    raise TypeError(f"{type(value).__name__} has no place in the runtime's protocol")


def decode(kind: type[T], data: object) -> T:
    """The value of type `kind` that `encode` made `data` of; KeyError, TypeError or ValueError for anything else."""
    value: T = _decode(kind, data)
    return value


@cache
def _hints(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in fields(kind))


def _decode(kind: Any, data: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), data)
    if origin is tuple:
        return tuple(_decode(get_args(kind)[0], item) for item in data)
    if origin is Mapping:
        item_kind = get_args(kind)[1]
        return {key: _decode(item_kind, item) for key, item in data.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{name: _decode(hint, data[name]) for name, hint in _hints(kind)})
    if kind is bytes:
        return base64.b64decode(data, validate=True)
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind in (Path, IPv4Address) or issubclass(kind, StrEnum):
        return kind(data)
    if kind is float and isinstance(data, int):
        return float(data)
    if not isinstance(data, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(data).__name__}")
    return data


def _decode_union(options: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return _decode(options[0], data)
    return _decode(next(option for option in options if option.__name__ == data["type"]), data)
