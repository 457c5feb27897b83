"""What all figures share: panels on a page, titles and scales, colours, legends, marks of verdicts."""

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from experiments.design.model import AnalysisDesign
from experiments.records import Verdict
from experiments.report.style import COLUMN_INCHES, GREY, PAGE_INCHES
from experiments.results.grouping import Combination, Group
from experiments.results.panels import COLOURS, LINES, Division, Series, axis_levels, grid

_PANEL_SHARE: Final = 0.85
"""How much of a panel's width its axis has."""
_CHARACTER_INCHES: Final = 0.075
"""Width of a character of the names on an axis."""
_HANDLE_INCHES: Final = 0.6
"""Width of a legend's line or box, and the room around it."""
_LONG_NAME: Final = 10
_LABEL_CHARACTERS: Final = 32
"""So much of a vertical axis' label stands beside a panel."""


def canvas(division: Division, *, height: float, share_y: bool) -> tuple[Drawing, list[Axes]]:
    """A drawing with a panel for each of the division."""
    rows, columns = grid(len(division.panels))
    wide = columns > 1 or len(axis_levels(division)) > 4
    drawing = Drawing(figsize=(PAGE_INCHES if wide else COLUMN_INCHES * 1.3, height * rows))
    axes = drawing.subplots(rows, columns, sharey=share_y, squeeze=False).flatten().tolist()
    for unused in axes[len(division.panels) :]:
        unused.set_visible(False)
    return drawing, axes[: len(division.panels)]


def finish(
    drawing: Drawing, panels: Sequence[Axes], division: Division, analysis: AnalysisDesign, *, y_label: str
) -> None:
    """Titles, labels, scales."""
    _, columns = grid(len(division.panels))
    for index, (axes, panel) in enumerate(zip(panels, division.panels, strict=True)):
        if panel.title:
            axes.set_title(textwrap.fill(panel.title, 84 // columns), fontsize=8 if columns < 3 else 7)
        if index % columns == 0:
            axes.set_ylabel(textwrap.fill(y_label, _LABEL_CHARACTERS))
        if analysis.log_y:
            axes.set_yscale("log")
        if analysis.log_x and analysis.figure == "ecdf":
            axes.set_xscale("log")
    if analysis.title and analysis.figure != "series":
        drawing.suptitle(analysis.title, fontsize=9, fontweight="bold")


def axis_inches(drawing: Drawing, panels: int) -> float:
    """About how long a panel's horizontal axis is."""
    return _PANEL_SHARE * drawing.get_figwidth() / grid(panels)[1]


def name_levels(axes: Axes, levels: Sequence[str], panels: int) -> None:
    """Name the places of a horizontal axis, aslant where they would not fit beside each other."""
    drawing = axes.get_figure(root=True)
    assert drawing is not None
    room = axis_inches(drawing, panels) / max(1, len(levels))
    names = [level.replace(" ", "\n") if len(level) > _LONG_NAME else level for level in levels]
    widest = max((len(line) for name in names for line in name.split("\n")), default=0)
    if widest * _CHARACTER_INCHES <= room:
        axes.set_xticks(range(len(levels)), names)
    else:
        axes.set_xticks(range(len(levels)), levels, rotation=35, ha="right", rotation_mode="anchor")


def legend(
    drawing: Drawing, division: Division, handle: Callable[[Series], Line2D], marks: Mapping[str, dict[str, Any]]
) -> None:
    """Colours by name below the panels, then what marks mean."""
    every = sorted((one for panel in division.panels for one in panel.series), key=lambda one: one.style)
    named = {one.label: one for one in every if one.label}
    handles = [handle(one) for one in named.values()]
    labels = [f"{division.colour} {label}" if len(named) == 1 else label for label in named]
    if len(marks) > 1 or (marks and Verdict.VALID not in marks):
        handles += [Line2D([], [], color=GREY, linestyle="none", **look) for look in marks.values()]
        labels += [f"{verdict} run" for verdict in marks]
    if handles:
        title = division.colour if len(named) > 1 else None
        room = _HANDLE_INCHES + _CHARACTER_INCHES * max(map(len, labels))
        columns = max(1, min(len(labels), 5, int(drawing.get_figwidth() / room)))
        drawing.legend(handles, labels, loc="outside lower center", ncols=columns, title=title)


def verdict_marks(groups: Mapping[Combination, Group]) -> dict[str, dict[str, Any]]:
    """The verdicts that occur, to how their points look."""
    present = Counter(verdict for found in groups.values() for verdict in found.verdicts.values())
    return {verdict.value: mark_of(verdict.value, 3.5) for verdict in Verdict if present[verdict.value]}


def mark_of(verdict: str, size: float) -> dict[str, Any]:
    """A full point for a valid run, an empty one for a suspect, a cross for an invalid one."""
    if verdict == Verdict.INVALID:
        return {"marker": "x", "markersize": size + 1, "markeredgewidth": 1.2}
    face = (
        {"markerfacecolor": "white", "markeredgewidth": 0.9} if verdict == Verdict.SUSPECT else {"markeredgewidth": 0}
    )
    return {"marker": "o", "markersize": size + (0.6 if verdict == Verdict.SUSPECT else 0), **face}


def colour_of(series: Series) -> str:
    """A series' colour."""
    return COLOURS[series.style % len(COLOURS)]


def line_of(series: Series) -> Any:
    """A series' line."""
    return LINES[series.style % len(LINES)]


def left_out_words(division: Division) -> str:
    """A sentence about panels that are not drawn, with a blank before it; empty where all are."""
    return f" {division.left_out} more panels are not drawn." if division.left_out else ""


def verdict_words(marks: Mapping[str, object], *, drawn: bool = True) -> str:
    """A sentence that says what the marks mean; with `drawn` false that runs of these verdicts are among the others."""
    words = {
        Verdict.SUSPECT.value: "an empty point is a suspect run",
        Verdict.INVALID.value: "a cross is an invalid run",
    }
    said = [text for verdict, text in words.items() if verdict in marks]
    if not said:
        return "All runs are valid."
    if drawn:
        text = " and ".join(said)
        return f"{text[0].upper()}{text[1:]}."
    return f"Among the runs are {' and '.join(name for name in words if name in marks)} ones."
