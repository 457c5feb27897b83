"""Label selectors as kubectl writes them: `app=front,tier in (a, b),tier!=c,!old`."""

import re
from typing import Final

from kubinet.policies import EVERYTHING, Operator, Requirement, Selector

_KEY: Final = r"(?P<key>[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?)"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_TERMS: Final = (
    (re.compile(rf"{_KEY}\s*==?\s*(?P<values>{_VALUE})"), Operator.IN),
    (re.compile(rf"{_KEY}\s*!=\s*(?P<values>{_VALUE})"), Operator.NOT_IN),
    (re.compile(rf"{_KEY}\s+in\s*\(\s*(?P<values>[^()]*)\)"), Operator.IN),
    (re.compile(rf"{_KEY}\s+notin\s*\(\s*(?P<values>[^()]*)\)"), Operator.NOT_IN),
    (re.compile(rf"!\s*{_KEY}"), Operator.DOES_NOT_EXIST),
    (re.compile(_KEY), Operator.EXISTS),
)
_COMMA: Final = re.compile(r",(?![^(]*\))")


def is_selector(text: str) -> bool:
    """Whether the text is meant as a label selector: it has what no name has."""
    return any(character in text for character in "=!(), ")


def parse_selector(text: str) -> Selector:
    """The selector; ValueError for what is none."""
    if not text.strip():
        return EVERYTHING
    return Selector(tuple(_requirement(term.strip(), text) for term in _COMMA.split(text)))


def _requirement(term: str, whole: str) -> Requirement:
    for pattern, operator in _TERMS:
        found = pattern.fullmatch(term)
        if found is not None:
            values = found.groupdict().get("values")
            texts = frozenset() if values is None else frozenset(value.strip() for value in values.split(","))
            if all(re.fullmatch(_VALUE, value) for value in texts):
                return Requirement(found["key"], operator, texts)
    raise ValueError(f"{whole!r} is no label selector: write app=web, tier!=db, tier in (a, b) or !old, with commas")
