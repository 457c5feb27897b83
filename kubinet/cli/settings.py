"""`--set KEY=VALUE`: values as YAML reads them, so that numbers are numbers and `true` is true."""

from collections.abc import Sequence
from typing import Any

from kubinet.errors import InvalidInputError, UsageError
from kubinet.yamldata import parse_documents


def parse_settings(words: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """The settings by key; UsageError for a word without `=` and for a key given twice."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{option} {word!r}: write KEY=VALUE, such as leaves=4")
        if key in found:
            raise UsageError(f"{option} {key} is given twice; keep one")
        try:
            found[key] = next((document.value for document in parse_documents(text, f"{option} {key}")), "")
        except InvalidInputError as error:
            raise UsageError(f"{option} {key}: {text!r} is no YAML value; quote it if it is text") from error
    return found
