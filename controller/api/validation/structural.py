"""Objects of kinds that a CRD defines: defaults, and what breaks the schema, in the API server's words and paths.

Source: Kubernetes' structural schemas; what is checked is what the vendored documents use. A keyword that is not known
here is a ValueError when its kind is first used, so that no bound is overlooked. Unknown fields are found before, by
`controller.api.schema`.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Final

from controller.api.schema import definitions, reference
from controller.api.status import Cause, Object
from controller.api.validation.causes import (
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from controller.api.validation.celrules import RULES

Check = Callable[[Any, str], list[Cause]]

_TYPES: Final = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip
_ANNOTATIONS: Final = frozenset(("description", "default", "x-kubernetes-group-version-kind", "x-kubernetes-map-type"))
_FORMATS: Final = frozenset(("int32", "int64", "date-time"))
"""The integers' only say how wide a reader's type is: the bounds are stated beside."""
_BLOCKING: Final = frozenset(
    ("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid")
)
_UNCHECKED: Final = Cause(
    "FieldValueInvalid",
    'Invalid value: "null": some validation rules were not checked because the object was invalid; '
    "correct the existing errors to complete validation",
    "<nil>",
)


def fill(definition: str, obj: Object) -> None:
    """The schema's defaults, in place; null counts as absent where there is one. Whole numbers become integers."""
    _fill(definitions()[definition], obj)


def violations(definition: str, obj: Object) -> list[Cause]:
    """Every broken bound; with none that makes the rest senseless, the rules (CEL) that do not hold, too."""
    check, rules = _compiled(definition)
    found = check(obj, "")
    if any(cause.reason in _BLOCKING for cause in found):
        return [*found, _UNCHECKED]
    return found + rules(obj, "")


@cache
def _compiled(definition: str) -> tuple[Check, Check]:
    node = definitions()[definition]
    return _bounds(node), _rules(node)


def _fill(node: Object, value: Any) -> None:
    if type(value) is dict:
        for name, inner in (node.get("properties") or {}).items():
            if "default" in inner and value.get(name) is None:
                value[name] = inner["default"]
            if inner.get("type") == "integer" and type(value.get(name)) is float and value[name].is_integer():
                value[name] = int(value[name])
            _fill(inner, value.get(name))
    elif type(value) is list and "items" in node:
        for inner in value:
            _fill(node["items"], inner)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _bounds(node: Object) -> Check:
    if reference(node):
        return _nothing  # checked when it was decoded
    wanted, node_format = node["type"], node.get("format")
    if node_format not in (None, *_FORMATS):
        raise ValueError(f"format {node_format!r} of a CRD's schema is not supported")
    checks = [make(node[word]) for word, make in _KEYWORDS.items() if word in node]
    if node_format == "date-time":
        checks.append(_date_time)
    unknown = set(node) - set(_KEYWORDS) - _ANNOTATIONS - {"type", "format", "x-kubernetes-validations"}
    unknown -= {"x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
    if unknown:
        raise ValueError(f"keywords {sorted(unknown)} of a CRD's schema are not supported")
    if node.get("x-kubernetes-list-type", "atomic") != "atomic":
        checks.append(_unique(node.get("x-kubernetes-list-map-keys") or ()))

    def check(value: Any, path: str) -> list[Cause]:
        got = _TYPES[type(value)]
        if got != wanted and (got, wanted) != ("integer", "number"):
            return [type_invalid(path, got, f'{path} in body must be of type {wanted}: "{got}"')]
        return [cause for one in checks for cause in one(value, path)]

    return check


def _nothing(_value: Any, _path: str) -> list[Cause]:
    return []


def _required(names: list[str]) -> Check:
    return lambda value, path: [required(_below(path, name)) for name in names if name not in value]


def _properties(nodes: Object) -> Check:
    fields = {name: _bounds(node) for name, node in nodes.items()}
    return lambda value, path: [
        cause for name, inner in value.items() if name in fields for cause in fields[name](inner, _below(path, name))
    ]


def _values(node: Object) -> Check:
    check = _bounds(node)
    return lambda value, path: [cause for key, inner in value.items() for cause in check(inner, _below(path, key))]


def _items(node: Object) -> Check:
    check = _bounds(node)
    return lambda value, path: [cause for i, inner in enumerate(value) for cause in check(inner, f"{path}[{i}]")]


def _enum(words: list[str]) -> Check:
    return lambda value, path: [] if value in words else [not_supported(path, value, words)]


def _limit(text: str, holds: Callable[[Any], bool], shown: Callable[[Any], Any] = lambda value: value) -> Check:
    return lambda value, path: [] if holds(value) else [invalid(path, shown(value), f"{path} in body should {text}")]


def _at_most(limit: int) -> Check:
    return lambda value, path: [too_many(path, len(value), limit)] if len(value) > limit else []


def _pattern(text: str) -> Check:
    # Python's `$` also matches before a last newline; Go's does not.
    expression = re.compile(re.sub(r"\$$", r"\\Z", text), re.ASCII)
    return _limit(f"match '{text}'", lambda value: expression.search(value) is not None)


def _date_time(value: Any, path: str) -> list[Cause]:
    try:
        if datetime.fromisoformat(value).tzinfo is not None and "T" in value.upper():
            return []
    except ValueError:
        pass
    return [type_invalid(path, value, f'{path} in body must be of type date-time: "{value}"')]


def _unique(keys: tuple[str, ...] | list[str]) -> Check:
    def check(value: Any, path: str) -> list[Cause]:
        found, seen = [], []
        for index, item in enumerate(value):
            identity = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
            if identity in seen:
                found.append(duplicate(f"{path}[{index}]", identity))
            seen.append(identity)
        return found

    return check


_KEYWORDS: Final[dict[str, Callable[[Any], Check]]] = {
    "required": _required,
    "enum": _enum,
    "minimum": lambda least: _limit(f"be greater than or equal to {least}", lambda value: value >= least),
    "maximum": lambda most: _limit(f"be less than or equal to {most}", lambda value: value <= most),
    "minLength": lambda least: _limit(f"be at least {least} chars long", lambda value: len(value) >= least),
    "maxLength": lambda most: lambda value, path: [too_long(path, most)] if len(value) > most else [],
    "pattern": _pattern,
    "minItems": lambda least: _limit(f"have at least {least} items", lambda value: len(value) >= least, len),
    "maxItems": _at_most,
    "minProperties": lambda least: _limit(f"have at least {least} properties", lambda value: len(value) >= least, len),
    "maxProperties": _at_most,
    "properties": _properties,
    "additionalProperties": _values,
    "items": _items,
}
"""What bounds a value, in the order in which findings are named."""


def _rules(node: Object) -> Check:
    own = [(RULES[rule["rule"]], rule["message"]) for rule in node.get("x-kubernetes-validations") or ()]
    fields = {name: _rules(inner) for name, inner in (node.get("properties") or {}).items()}
    items = _rules(node["items"]) if "items" in node else _nothing
    kind = node.get("type")

    def check(value: Any, path: str) -> list[Cause]:
        found = [invalid(path or "<nil>", kind, message) for holds, message in own if not holds(value)]
        if kind == "object":
            for name, inner in value.items():
                found += fields.get(name, _nothing)(inner, _below(path, name))
        elif kind == "array":
            for index, inner in enumerate(value):
                found += items(inner, f"{path}[{index}]")
        return found

    return check
