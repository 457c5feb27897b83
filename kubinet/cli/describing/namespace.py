"""Namespaces."""

from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head

Object: TypeAlias = dict[str, Any]


def describe(obj: Object, related: Related) -> str:
    """Head, phase, events."""
    lines = Lines()
    head(lines, obj, namespaced=False)
    lines.add("Status", (obj.get("status") or {}).get("phase"))
    lines.events(related.events)
    return lines.text()
