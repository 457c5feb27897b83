"""Kubinet's own documents (Topology, PolicyTest) against their JSON Schemas: what is wrong, where, in words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jsonschema

from kubinet.errors import InvalidInputError

Path: TypeAlias = Sequence[str | int]
Where: TypeAlias = Callable[[Path], str]
"""Turns a path into the document into words for a message, such as `net.yaml:12: spec.links[0].rate`."""


def spell(path: Path) -> str:
    """`spec.links[0].rate`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "document"


def check_document(document: Mapping[str, Any], schema: Mapping[str, Any], where: Where) -> None:
    """InvalidInputError for the first field that the schema (2020-12) does not allow."""
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if error is not None:
        raise InvalidInputError(f"{where([*error.absolute_path, *_unknown(error)[:1]])}: {_words(error)}")


_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def _unknown(error: jsonschema.ValidationError) -> list[str]:
    """The fields that the schema does not know, where that is the error."""
    if error.validator != "additionalProperties" or not isinstance(error.schema, dict):
        return []
    return sorted(set(map(str, _items(error.instance))) - set(error.schema.get("properties", {})))


def _items(value: object) -> list[object]:
    """The items of what the schema's library calls anything."""
    return list(value) if isinstance(value, list | dict) else []


def _examples(schema: object) -> str:
    examples = _items(schema.get("examples")) if isinstance(schema, dict) else []
    return f" such as {' or '.join(map(str, examples))}" if examples else ""


def _words(error: jsonschema.ValidationError) -> str:
    match error.validator:
        case "additionalProperties":
            properties = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            return f"unknown field {', '.join(map(repr, _unknown(error)))}; known: {', '.join(properties)}"
        case "enum":
            return f"{error.instance!r} is not one of {', '.join(map(str, _items(error.validator_value)))}"
        case "const":
            return f"must be {error.validator_value!r}, not {str(error.instance)[:60]!r}"
        case "required":
            missing = [name for name in _items(error.validator_value) if name not in _items(error.instance)]
            return f"the field {', '.join(map(repr, missing))} is missing"
        case "type":
            wanted = error.validator_value
            kinds = [wanted] if isinstance(wanted, str) else _items(wanted)
            shown = "nothing" if error.instance is None else repr(error.instance)[:60]
            return f"must be {' or '.join(_KINDS[str(kind)] for kind in kinds)}{_examples(error.schema)}, not {shown}"
        case "minimum":
            return f"{error.instance!r} is too small; it must be at least {error.validator_value}"
        case "maximum":
            return f"{error.instance!r} is too large; it must be at most {error.validator_value}"
        case "pattern" if isinstance(error.schema, dict) and "description" in error.schema:
            return f"{error.instance!r} is not {error.schema['description']}"
        case "pattern":
            return f"{error.instance!r} is no name: use lower-case letters, digits and inner dashes"
        case _:
            return error.message if len(error.message) < 200 else f"{error.message[:200]}…"
