"""`$(name)`: a factor's level or a parameter in a text. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from experiments.design.places import spelled
from experiments.records import Value
from kubinet.errors import InvalidInputError

_REFERENCE: Final = re.compile(r"(\$?)\$\(([^()\s]*)\)")


def substitute(value: Value, known: Mapping[str, Value]) -> Value:
    """The value with every `$(name)` replaced; InvalidInputError for an unknown name.

    A text that is nothing but `$(name)` becomes the value itself, with its type. `$$(name)` is the text `$(name)`.
    """
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole is not None and not whole[1]:
        return _value(whole[2], known, value)

    def replaced(match: re.Match[str]) -> str:
        return match[0][1:] if match[1] else spelled(_value(match[2], known, value))

    return _REFERENCE.sub(replaced, value)


def substitute_text(text: str, known: Mapping[str, Value]) -> str:
    """The text with every `$(name)` replaced, as text."""
    return spelled(substitute(text, known))


def substitute_manifest(text: str, known: Mapping[str, Value]) -> str:
    """A manifest with known names replaced; others, and `$$(name)`, are Kubernetes' own and stay."""

    def replaced(match: re.Match[str]) -> str:
        return match[0] if match[1] or match[2] not in known else spelled(known[match[2]])

    return _REFERENCE.sub(replaced, text)


def references(text: str) -> Iterator[str]:
    """The names that a text refers to."""
    return (match[2] for match in _REFERENCE.finditer(text) if not match[1])


def _value(name: str, known: Mapping[str, Value], text: str) -> Value:
    if name not in known:
        names = ", ".join(known) or "none"
        raise InvalidInputError(
            f"{text!r}: there is no factor or parameter '{name}'; there are: {names} ($$({name}) is the text itself)"
        )
    return known[name]
