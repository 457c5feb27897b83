"""Frozen dataclasses to JSON and back, by their type hints: what a results folder and a worker process are handed."""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast

from kubinet.errors import InvalidInputError

Kind = TypeVar("Kind")


def to_data(value: object) -> Any:
    """Dictionaries, lists, texts and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_data(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidInputError(f"{value!r} has no form in JSON")


def from_data(kind: type[Kind], data: object) -> Kind:
    """The value that `to_data` was given; InvalidInputError where the data are of another kind."""
    try:
        return cast(Kind, _read(kind, data))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"this is no {kind.__name__}: {error!r}; another version of Kubinet wrote it"
        ) from error


def _read(kind: Any, data: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _read_union(arguments, data)
    if origin is tuple:
        return tuple(_read(arguments[0], item) for item in data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(arguments[1], item) for key, item in data.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _read(hints[name], item) for name, item in data.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    if kind is float and type(data) is int:
        return float(data)
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is no {kind.__name__}")
    return data


def _read_union(kinds: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    if all(kind in (str, int, float, bool) for kind in rest):
        if type(data) not in rest and not (type(data) is int and float in rest):
            raise TypeError(f"{data!r} is none of {rest}")
        return data if type(data) in rest else float(data)
    return _read(rest[0], data)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
