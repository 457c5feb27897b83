"""Label and field selectors: parsed once, then asked per object."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.status import Object, bad_request

_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TOKEN = re.compile(r"\s*(==|=|!=|!|\(|\)|,|<|>|[^\s=!(),<>]+)")

FieldPaths = Mapping[str, tuple[str, ...]]
"""Selectable field label -> path in the object."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector: `key in (values)`, `!key`, …"""

    key: str
    operator: str
    """`in`, `notin`, `exists`, `!`, `gt`, `lt`."""
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy the term (an absent key satisfies `notin`, as upstream)."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        try:
            number, bound = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return number > bound if self.operator == "gt" else number < bound


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; empty selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether every requirement holds."""
        return all(requirement.matches(labels or {}) for requirement in self.requirements)


class _Tokens:
    def __init__(self, text: str) -> None:
        self.text = text
        self.items: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None:
                raise self.error()
            self.items.append(found[1])
            position = found.end()
        self.at = 0

    def error(self) -> Exception:
        return bad_request(f"unable to parse requirement: invalid label selector {self.text!r}")

    def peek(self) -> str:
        return self.items[self.at] if self.at < len(self.items) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token


def parse_labels(text: str) -> LabelSelector:
    """Parse `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>3`; raises the 400 Status that upstream gives."""
    tokens = _Tokens(text)
    if not tokens.items:
        return LabelSelector()
    found = [_requirement(tokens)]
    while tokens.peek():
        if tokens.take() != ",":
            raise tokens.error()
        found.append(_requirement(tokens))
    return LabelSelector(tuple(found))


def _key(token: str, tokens: _Tokens) -> str:
    if not _KEY.fullmatch(token):
        raise tokens.error()
    return token


def _value(token: str, tokens: _Tokens) -> str:
    if not _VALUE.fullmatch(token):
        raise tokens.error()
    return token


def _requirement(tokens: _Tokens) -> Requirement:
    token = tokens.take()
    if token == "!":  # noqa: S105 - a selector's
        return Requirement(_key(tokens.take(), tokens), "!")
    key = _key(token, tokens)
    following = tokens.peek()
    if following in ("", ","):
        return Requirement(key, "exists")
    operator = tokens.take()
    if operator in ("in", "notin"):
        return Requirement(key, operator, _set(tokens))
    if operator in ("<", ">"):
        value = _value(tokens.take(), tokens)
        if not re.fullmatch(r"-?[0-9]+", value):
            raise tokens.error()
        return Requirement(key, "lt" if operator == "<" else "gt", frozenset((value,)))
    if operator not in ("=", "==", "!="):
        raise tokens.error()
    value = "" if tokens.peek() in ("", ",") else _value(tokens.take(), tokens)
    return Requirement(key, "notin" if operator == "!=" else "in", frozenset((value,)))


def _set(tokens: _Tokens) -> frozenset[str]:
    if tokens.take() != "(":
        raise tokens.error()
    values: set[str] = set()
    while True:
        values.add("" if tokens.peek() in (",", ")") else _value(tokens.take(), tokens))
        closing = tokens.take()
        if closing == ")":
            return frozenset(values)
        if closing != ",":
            raise tokens.error()


def from_label_selector(selector: Object | None) -> LabelSelector:
    """A `LabelSelector` object (matchLabels, matchExpressions) of a spec; None selects everything."""
    selector = selector or {}
    terms = [Requirement(key, "in", frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()]
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}
    for term in selector.get("matchExpressions") or ():
        terms.append(Requirement(term["key"], operators[term["operator"]], frozenset(term.get("values") or ())))
    return LabelSelector(tuple(terms))


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of (path, wanted value, equal or not)."""

    terms: tuple[tuple[tuple[str, ...], str, bool], ...] = ()

    def matches(self, obj: Object) -> bool:
        """Whether every term holds; an absent field is the empty string."""
        return all((field_text(obj, path) == value) is equal for path, value, equal in self.terms)

    def name(self) -> str | None:
        """The object name if the selector pins it."""
        for path, value, equal in self.terms:
            if path == ("metadata", "name") and equal:
                return value
        return None


def field_text(obj: Object, path: tuple[str, ...]) -> str:
    """The field's value as a selector compares it."""
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parse_fields(text: str, allowed: FieldPaths) -> FieldSelector:
    r"""Parse `metadata.name=x,status.phase!=Running`; `\,` `\=` `\\` are literal. Unknown fields are a 400 Status."""
    terms: list[tuple[tuple[str, ...], str, bool]] = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        found = re.fullmatch(r"\s*([^=!]+?)\s*(==|!=|=)\s*(.*?)\s*", part)
        if found is None:
            raise bad_request(f"invalid field selector {text!r}: can't understand {part!r}")
        label, operator, value = found.groups()
        if label not in allowed:
            raise bad_request(f"field label not supported: {label}")
        terms.append((allowed[label], re.sub(r"\\([,=\\])", r"\1", value), operator != "!="))
    return FieldSelector(tuple(terms))


Predicate = Callable[[Object], bool]


def predicate(labels: LabelSelector, fields: FieldSelector) -> Predicate | None:
    """Both selectors as one question about an object; None when everything is selected."""
    if not labels.requirements and not fields.terms:
        return None
    return lambda obj: labels.matches(obj["metadata"].get("labels")) and fields.matches(obj)


def selector_query(selector: Object | None) -> str:
    """A `LabelSelector` object as the labelSelector parameter that selects the same; empty: everything."""
    text = selector_text(selector)
    return "" if text == _EVERYTHING else text


_EVERYTHING = "<none>"


def selector_text(selector: Object | None) -> str:
    """A `LabelSelector` object as kubectl prints it; `<none>` when it selects everything."""
    words = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for term in (selector or {}).get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        match term.get("operator"):
            case "In":
                words.append(f"{term['key']} in ({values})")
            case "NotIn":
                words.append(f"{term['key']} notin ({values})")
            case "Exists":
                words.append(str(term["key"]))
            case _:
                words.append(f"!{term.get('key')}")
    return ",".join(words) or _EVERYTHING
