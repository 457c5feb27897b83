"""A report as blocks, and the blocks as an HTML page without other files, or as Markdown. Pure."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from experiments.records import NOTHING, TIMES, Table


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """Something that nobody should miss."""

    kind: str
    """`finding`, or a verdict: `valid`, `suspect`, `invalid`."""
    title: str
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """A table."""

    table: Table


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure; the file is `figures/<name>.svg`."""

    name: str
    caption: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Details that most readers skip: closed until they are asked for."""

    title: str
    blocks: tuple["Block", ...]


Block: TypeAlias = Heading | Paragraph | Items | Box | Grid | Picture | Fold

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1b1f24; margin: 0 auto; max-width: 1120px; }
body { padding: 24px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 8px; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 16px; margin: 24px 0 6px; }
.box { border-left: 4px solid; padding: 10px 16px; margin: 12px 0; } .box ul { margin: 6px 0 0; }
.finding { border-color: #0072B2; background: #f2f7fc; } .valid { border-color: #009E73; background: #eefaf5; }
.suspect { border-color: #E69F00; background: #fff8e8; } .invalid { border-color: #D55E00; background: #fdeee6; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; margin: 8px 0; }
th, td { padding: 5px 10px; border-bottom: 1px solid #d0d7de; text-align: right; vertical-align: top; }
th { background: #f6f8fa; vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, td:first-child, td.text { text-align: left; } td.long { white-space: normal; min-width: 16em; }
th.text { text-align: left; }
td.suspect { background: #fff8e8; } td.invalid { background: #fdeee6; }
figure { margin: 16px 0 28px; } figure img { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: 14px; max-width: 900px; }
summary { cursor: pointer; color: #0072B2; margin: 8px 0; }
footer { color: #666; font-size: 13px; margin-top: 40px; border-top: 1px solid #d0d7de; padding-top: 8px; }
@media print { body { padding: 0; font-size: 11px; } figure, table { break-inside: avoid; } }
"""
_TEXT: Final = ' class="text"'
_LONG: Final = 48
"""A cell with more characters breaks into lines."""


def to_html(title: str, blocks: Iterable[Block], pictures: Mapping[str, bytes], footer: str) -> str:
    """The whole page: no script, no other file, every text escaped. `pictures`: name to SVG."""
    numbers = _Numbers()
    body = "\n".join(_html(block, pictures, numbers) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<footer>{_text(footer)}</footer>\n</body>\n</html>\n"
    )


class _Numbers:
    """Figures are counted from 1."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last


def _html(block: Block, pictures: Mapping[str, bytes], numbers: _Numbers) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_text(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_text(text)}</p>"
        case Items(texts):
            return _list(texts)
        case Box(kind, title, text, items):
            return f'<div class="box {kind}"><strong>{_text(title)}</strong> {_text(text)}{_list(items)}</div>'
        case Grid(table):
            return _table(table)
        case Picture(name, caption):
            data = base64.b64encode(pictures[name]).decode("ascii")
            return (
                f'<figure><img alt="{_text(caption)}" src="data:image/svg+xml;base64,{data}">'
                f"<figcaption><strong>Figure {numbers.next()}.</strong> {_text(caption)}</figcaption></figure>"
            )
        case Fold(title, inner):
            body = "\n".join(_html(one, pictures, numbers) for one in inner)
            return f"<details><summary>{_text(title)}</summary>\n{body}\n</details>"


def _table(table: Table) -> str:
    texts = [any(not _is_number(row[place]) for row in table.rows) for place in range(len(table.columns))]
    head = "".join(
        f"<th{_TEXT if text else ''}>{_text(column)}</th>" for column, text in zip(table.columns, texts, strict=True)
    )
    rows = "\n".join(
        "<tr>" + "".join(_cell(cell, text) for cell, text in zip(row, texts, strict=True)) + "</tr>"
        for row in table.rows
    )
    grid = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    if not table.caption:
        return grid
    # A <caption> is as wide as its table, and so would be cut off with one that is wider than the page.
    return f"<figure><figcaption>{_text(table.caption)}</figcaption>{grid}</figure>"


def _cell(cell: str, text: bool) -> str:
    names = ["text"] if text else []
    if len(cell) > _LONG and text:
        names.append("long")
    names += [verdict for verdict in ("suspect", "invalid") if cell.startswith(verdict)]
    attribute = f' class="{" ".join(names)}"' if names else ""
    return f"<td{attribute}>{_text(cell)}</td>"


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in (NOTHING, "+", "-", TIMES, "[", "<", ">", "\N{MINUS SIGN}")


def _list(texts: Sequence[str]) -> str:
    entries = "".join(f"<li>{_text(text)}</li>" for text in texts)
    return f"<ul>{entries}</ul>" if entries else ""


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def to_markdown(blocks: Iterable[Block], footer: str) -> str:
    """The same as Markdown; pictures are the files under figures/."""
    numbers = _Numbers()
    parts = [_markdown(block, numbers) for block in blocks]
    return "\n\n".join([*parts, "---", _escaped(footer)]) + "\n"


def _markdown(block: Block, numbers: _Numbers) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_escaped(text)}"
        case Paragraph(text):
            return _escaped(text)
        case Items(texts):
            return "\n".join(f"- {_escaped(text)}" for text in texts)
        case Box(_, title, text, items):
            lines = [f"**{_escaped(title)}** {_escaped(text)}".rstrip(), *([""] * bool(items))]
            return "\n".join(f"> {line}".rstrip() for line in [*lines, *(f"- {_escaped(item)}" for item in items)])
        case Grid(table):
            return _pipes(table)
        case Picture(name, caption):
            return f"![{_escaped(caption)}](figures/{name}.svg)\n\n*Figure {numbers.next()}. {_escaped(caption)}*"
        case Fold(title, inner):
            return "\n\n".join([f"**{_escaped(title)}**", *(_markdown(one, numbers) for one in inner)])


def _pipes(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(_escaped(cell) for cell in cells)} |"

    lines = [line(table.columns), line("---" for _ in table.columns).replace("\\", ""), *map(line, table.rows)]
    return (f"*{_escaped(table.caption)}*\n\n" if table.caption else "") + "\n".join(lines)


def _escaped(text: str) -> str:
    """Characters that Markdown would read as marks, each with a backslash; on one line."""
    plain = " ".join(text.split("\n"))
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#&" else sign for sign in plain)
