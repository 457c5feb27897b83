"""Any kind: every field, words of the field names apart."""

import re
from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head

Object: TypeAlias = dict[str, Any]
_HIDDEN = frozenset(("metadata", "apiVersion", "kind"))


def describe(obj: Object, related: Related) -> str:
    """Head, all fields, events."""
    lines = Lines()
    head(lines, obj, namespaced="namespace" in obj["metadata"])
    lines.add("API Version", obj["apiVersion"])
    lines.add("Kind", obj["kind"])
    lines.add("Creation Timestamp", obj["metadata"].get("creationTimestamp"))
    for key, value in obj.items():
        if key not in _HIDDEN:
            _field(lines, key, value, 0)
    lines.events(related.events)
    return lines.text()


def _field(lines: Lines, key: str, value: object, indent: int) -> None:
    label = words(key)
    if isinstance(value, dict) and value:
        lines.heading(label, indent)
        for inner, one in value.items():
            _field(lines, inner, one, indent + 2)
    elif isinstance(value, list) and value:
        lines.heading(label, indent)
        for one in value:
            if isinstance(one, dict):
                for inner, part in one.items():
                    _field(lines, inner, part, indent + 2)
            else:
                lines.plain(str(one), indent + 2)
    else:
        lines.add(label, None if value in ({}, []) else value, indent)


def words(key: str) -> str:
    """`matchLabels` to `Match Labels`; keys that are no field names (with dots, slashes, dashes) stay."""
    if not re.fullmatch(r"[a-z][A-Za-z0-9]*", key):
        return key
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]", key)
    return " ".join(part[0].upper() + part[1:] for part in parts)
