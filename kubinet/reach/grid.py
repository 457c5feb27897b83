"""Truth tables as text, in the layout of policy-assistant: a row for each source, a column for each destination."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

ALLOWED: Final = "."
DENIED: Final = "X"
SELF: Final = "#"
UNKNOWN: Final = "?"
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Grid:
    """One table. Cells that are missing are empty."""

    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]

    def lines(self) -> list[str]:
        """With a frame; a line between namespaces."""
        table = [[self.corner, *self.columns]]
        table += [[row, *(self.cells.get((row, column), "") for column in self.columns)] for row in self.rows]
        widths = [max(len(cells[index]) for cells in table) for index in range(len(self.columns) + 1)]
        rule = "+".join(["", *("-" * (width + 2) for width in widths), ""])
        found = [rule, _line(table[0], widths), rule]
        for index, cells in enumerate(table[1:]):
            if index and _group(self.rows[index]) != _group(self.rows[index - 1]):
                found.append(rule)
            found.append(_line(cells, widths))
        return [*found, rule]

    def text(self) -> str:
        """All lines."""
        return "".join(f"{line}\n" for line in self.lines())


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (f" {cell.ljust(width)} " for cell, width in zip(cells, widths, strict=True))
    return "|".join(["", first, *others, ""])


def _group(name: str) -> str:
    return name.partition("/")[0]


def beside(titled: Iterable[tuple[str, Grid]], width: int) -> str:
    """Tables beside each other under their titles where `width` characters have room for them, else one by one."""
    blocks = [[title, *grid.lines()] for title, grid in titled]
    sizes = [max(map(len, block)) for block in blocks]
    if sum(sizes) + len(_GAP) * (len(sizes) - 1) > width:
        return "\n".join("".join(f"{line}\n" for line in block) for block in blocks)
    lines = zip_longest(*blocks, fillvalue="")
    padded = (_GAP.join(part.ljust(size) for part, size in zip(line, sizes, strict=True)).rstrip() for line in lines)
    return "".join(f"{line}\n" for line in padded)
