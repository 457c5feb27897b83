"""The form of a description: `Name:   value` lines with aligned values, nested blocks indented by two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kubinet.cli.durations import age
from kubinet.cli.happenings import last_seen
from kubinet.cli.table import NOTHING, cell_text

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Related:
    """What was asked of the API besides the object itself."""

    events: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    endpoint_slices: Sequence[Object] = ()
    sets: Sequence[Object] = ()
    """A namespace's ReplicaSets."""
    namespaces: Sequence[Object] = ()


Describer: TypeAlias = Callable[[Object, Related], str]


@dataclass(slots=True)
class Lines:
    """Collects lines; values line up within each block when the text is made."""

    _rows: list[tuple[int, str, str | None]] = field(default_factory=list)

    def add(self, label: str, value: object, indent: int = 0) -> None:
        """One `Label:  value` line."""
        self._rows.append((indent, f"{label}:", cell_text(value) if value not in ("", None) else NOTHING))

    def add_some(self, label: str, value: object, indent: int = 0) -> None:
        """The same, but nothing for a value that is not set."""
        if value not in ("", None, [], {}):
            self.add(label, value, indent)

    def heading(self, label: str, indent: int = 0) -> None:
        """A line that a block follows."""
        self._rows.append((indent, f"{label}:", None))

    def plain(self, text: str, indent: int = 0) -> None:
        """A line as it is."""
        self._rows.append((indent, cell_text(text), None))

    def mapping(self, label: str, values: Mapping[str, object] | None, separator: str = "=") -> None:
        """A label with one `key=value` a line."""
        pairs = [f"{key}{separator}{value}" for key, value in sorted((values or {}).items())] or [NOTHING]
        self._rows.append((0, f"{label}:", pairs[0]))
        self._rows += [(0, "", pair) for pair in pairs[1:]]

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]], indent: int = 2) -> None:
        """Columns with underlined headers, two blanks apart."""
        body = [[cell_text(cell) for cell in row] for row in rows]
        grid = [list(headers), ["-" * len(header) for header in headers], *body]
        widths = [max(len(row[index]) for row in grid) for index in range(len(headers))]
        for row in grid:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._rows.append((indent, line.rstrip(), None))

    def events(self, events: Sequence[Object]) -> None:
        """The last part of each description."""
        if not events:
            self.add("Events", None)
            return
        self.heading("Events")
        rows = [
            (
                one.get("type"),
                one.get("reason"),
                age(last_seen(one)) + (f" (x{one['count']})" if (one.get("count") or 1) > 1 else ""),
                (one.get("source") or {}).get("component") or one.get("reportingComponent"),
                one.get("message"),
            )
            for one in events
        ]
        self.table(("Type", "Reason", "Age", "From", "Message"), rows)

    def text(self) -> str:
        """All lines."""
        lines: list[str] = []
        for start, end in self._blocks():
            block = self._rows[start:end]
            width = max((len(label) for _, label, value in block if value is not None), default=0)
            for indent, label, value in block:
                body = label if value is None else f"{label.ljust(width)}  {value}"
                lines.append(" " * indent + body.rstrip())
        return "".join(f"{line}\n" for line in lines)

    def _blocks(self) -> list[tuple[int, int]]:
        """Runs of rows with the same indent: values line up within one."""
        blocks: list[tuple[int, int]] = []
        for index, row in enumerate(self._rows):
            if blocks and self._rows[blocks[-1][0]][0] == row[0]:
                blocks[-1] = (blocks[-1][0], index + 1)
            else:
                blocks.append((index, index + 1))
        return blocks


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def selector_text(selector: Object | None) -> str:
    """A LabelSelector on one line; the empty one selects everything."""
    parts = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for one in (selector or {}).get("matchExpressions") or ():
        values = f" ({','.join(one.get('values') or ())})" if one.get("values") else ""
        words = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "doesnotexist"}
        parts.append(f"{one['key']} {words.get(one['operator'], one['operator'])}{values}")
    return ",".join(parts)


def head(lines: Lines, obj: Object, *, namespaced: bool = True) -> None:
    """Name, namespace, labels, annotations: how every description begins."""
    metadata = obj["metadata"]
    lines.add("Name", metadata["name"])
    if namespaced:
        lines.add("Namespace", metadata.get("namespace"))
    lines.mapping("Labels", metadata.get("labels"))
    annotations = metadata.get("annotations") or {}
    shown = {key: value for key, value in annotations.items() if not key.endswith("last-applied-configuration")}
    lines.mapping("Annotations", shown, ": ")
