"""Tables as kubectl prints them: upper-case headers, columns padded to their widest cell and three blanks apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NOTHING = "<none>"


@dataclass(slots=True)
class TablePrinter:
    """Prints rows in columns; later batches (a watch) keep the widths of the earlier ones where they fit."""

    headers: Sequence[str]
    show_headers: bool = True
    _widths: list[int] = field(default_factory=list)

    def lines(self, rows: Iterable[Sequence[object]]) -> list[str]:
        """The lines for these rows, with the headers before the first batch."""
        batch = [[cell_text(cell) for cell in row] for row in rows]
        if not self._widths:
            self._widths = [0] * len(self.headers)
            if self.show_headers:
                batch.insert(0, list(self.headers))
        for row in batch:
            for index, cell in enumerate(row):
                self._widths[index] = max(self._widths[index], len(cell))
        return [self._line(row) for row in batch]

    def _line(self, row: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(row, self._widths, strict=True))
        return "   ".join(padded).rstrip()


def cell_text(value: object) -> str:
    """A cell on one line; `<none>` for nothing."""
    if value is None:
        return NOTHING
    return str(value).replace("\r", "\\r").replace("\n", "\\n").replace("\x1b", "^[")


def text_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, show_headers: bool = True) -> str:
    """A whole table as text, ending with a line break; empty without headers and rows."""
    lines = TablePrinter(headers, show_headers).lines(rows)
    return "".join(f"{line}\n" for line in lines)
