"""YAML and JSON text to plain data with lines, as go-yaml (kubectl's) reads it, with limits against hostile input.

Built on libyaml's events instead of a ready loader because a manifest needs what loaders do not do together: YAML 1.1
scalars without dates and base-60 numbers, duplicate keys refused, aliases paid for at their expanded size, lines kept.
"""

import json
import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from kubinet.errors import InvalidInputError

MAX_NODES: Final = 1_000_000
"""Scalars, lists and mappings of one text, each alias counted at what it expands to."""

MAX_DEPTH: Final = 100

Lines: TypeAlias = MutableMapping[tuple[str | int, ...], int]

_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE: Final = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER: Final = re.compile(r"([-+]?)(?:0x([0-9a-fA-F]+)|0o?([0-7]+)|0b([01]+)|(0|[1-9][0-9]*))")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a text."""

    value: Any
    line: int
    """Where its content begins."""
    number: int
    """1 for the first."""


def parse_documents(
    text: str, source: str, *, lines_of: int | None = None, lines: Lines | None = None
) -> Iterator[Document]:
    """The documents of `text`; InvalidInputError names `source`, line and what is wrong.

    `lines` receives the line of each field of document number `lines_of`.
    """
    if text.lstrip().startswith("{") and lines is None:
        try:
            yield Document(json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant), 1, 1)
            return
        except (ValueError, RecursionError):
            pass  # YAML's flow style begins like JSON; the YAML reader's message names the line
    try:
        yield from _Composer(text, source, lines_of, lines).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        raise InvalidInputError(f"{source}:{line}: not valid YAML: {detail}") from error
    except yaml.reader.ReaderError as error:
        raise InvalidInputError(f"{source}:{_line_at(text, error)}: not valid YAML: {error.reason}") from error
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{source}: not valid YAML: {error}") from error


def _line_at(text: str, error: yaml.reader.ReaderError) -> int:
    """The line of the character that the reader refuses; libyaml counts bytes, Python's own reader characters."""
    if error.encoding == "unicode":
        return text[: error.position].count("\n") + 1
    return text.encode()[: error.position].count(b"\n") + 1


class _Composer:
    """Events to data. One text's state: anchors, the budget of nodes, where we are."""

    def __init__(self, text: str, source: str, lines_of: int | None, lines: Lines | None) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Event] = yaml.parse(text, Loader=loader)
        self._source = source
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._spent = 0
        self._lines_of = lines_of
        self._lines = lines
        self._record: Lines | None = None

    def documents(self) -> Iterator[Document]:
        number = 0
        for event in self._events:
            if isinstance(event, StreamStartEvent | StreamEndEvent | DocumentEndEvent):
                continue
            assert isinstance(event, DocumentStartEvent)
            number += 1
            self._anchors.clear()
            self._record = self._lines if number == self._lines_of else None
            first = next(self._events)
            value = self._node(first, ())
            yield Document(value, _line(first), number)

    def _fail(self, event: Event, problem: str) -> InvalidInputError:
        return InvalidInputError(f"{self._source}:{_line(event)}: {problem}")

    def _pay(self, event: Event, nodes: int) -> None:
        self._spent += nodes
        if self._spent > MAX_NODES:
            raise self._fail(event, f"more than {MAX_NODES:,} values after its aliases are expanded; split the file")

    def _node(self, event: Event, path: tuple[str | int, ...]) -> Any:
        if self._record is not None:
            self._record.setdefault(path, _line(event))
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise self._fail(event, f"alias *{event.anchor} has no anchor &{event.anchor} complete before it")
            value, weight = self._anchors[event.anchor]
            self._pay(event, weight)
            return value
        before = self._spent
        self._pay(event, 1)
        if len(path) > MAX_DEPTH:
            raise self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(path)
        else:
            assert isinstance(event, MappingStartEvent)
            value = self._mapping(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._spent - before
        return value

    def _sequence(self, path: tuple[str | int, ...]) -> list[Any]:
        values: list[Any] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            values.append(self._node(event, (*path, len(values))))
        return values

    def _mapping(self, start: Event, path: tuple[str | int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event)
            if self._record is not None:
                self._record[(*path, key)] = _line(event)
            value = self._node(next(self._events), (*path, key))
            if key == "<<" and isinstance(event, ScalarEvent) and event.implicit[0]:
                merged += self._merge_sources(event, value)
            elif key in values:
                raise self._fail(event, f"key {json.dumps(key)} is given twice in one mapping; keep one")
            else:
                values[key] = value
        for source in merged:
            self._pay(start, len(source))
            for key, value in source.items():
                values.setdefault(key, value)
        return values

    def _merge_sources(self, event: Event, value: object) -> list[dict[str, Any]]:
        values: list[Any] = value if isinstance(value, list) else [value]
        sources = [item for item in values if isinstance(item, dict)]
        if len(sources) != len(values):
            raise self._fail(event, "<< merges mappings only")
        return sources

    def _key(self, event: Event) -> str:
        if not isinstance(event, ScalarEvent | AliasEvent):
            raise self._fail(event, "a mapping's key must be text")
        value = self._node(event, ("",)) if isinstance(event, AliasEvent) else self._scalar(event)
        if isinstance(value, str):
            return value
        if value is None or isinstance(value, dict | list):
            raise self._fail(event, "a mapping's key must be text")
        return json.dumps(value)

    def _scalar(self, event: ScalarEvent) -> Any:
        text: str = event.value
        tag = event.tag
        if tag is None or tag == "!":
            return self._plain(event, text) if event.implicit[0] and tag is None else text
        short = tag.removeprefix(_TAG)
        if short == "str":
            return text
        value = self._plain(event, text)
        fits = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(short)
        if fits is None:
            raise self._fail(event, f"tag {tag!r} has no meaning in a manifest; remove it")
        if short == "float" and type(value) is int:
            return float(value)
        if type(value) is not fits:
            raise self._fail(event, f"{text!r} is not of type {short}")
        return value

    def _plain(self, event: Event, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text[0] not in "+-.0123456789":
            return text
        plain = text.replace("_", "")
        integer = _INTEGER.fullmatch(plain)
        if integer is not None:
            return self._integer(event, integer)
        if _FLOAT.fullmatch(plain):
            value = float(plain)
            if value in (float("inf"), float("-inf")):
                raise self._fail(event, f"{text} is too large a number")
            return value
        if _NOT_FINITE.fullmatch(text):
            raise self._fail(event, f"{text} has no form in JSON, which Kubernetes objects are; quote it if it is text")
        return text

    def _integer(self, event: Event, match: re.Match[str]) -> int | float:
        sign, hexadecimal, octal, binary, decimal = match.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (octal, 8), (binary, 2), (decimal, 10)) if d)
        if len(digits) > 400:
            raise self._fail(event, f"a number with {len(digits)} digits is too large")
        value = int(digits, base) * (-1 if sign == "-" else 1)
        if -(1 << 63) <= value < 1 << 64:
            return value
        return float(value) if value.bit_length() < 1000 else self._too_large(event)

    def _too_large(self, event: Event) -> float:
        raise self._fail(event, "the number is too large")


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice")
    return values


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
