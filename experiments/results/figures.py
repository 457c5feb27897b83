"""Figures of publication quality from samples: box plots with a point a run, distributions, lines over a factor.

The same samples give the same files: no dates, no randomness, fonts embedded or drawn as paths.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.design.model import AnalysisDesign, ExperimentDesign
from experiments.records import Figure
from experiments.report.style import SETTINGS
from experiments.results.analysing import columns_of
from experiments.results.dodging import make_room, margin, moved, shifts
from experiments.results.drawing import (
    axis_inches,
    canvas,
    colour_of,
    finish,
    left_out_words,
    legend,
    line_of,
    mark_of,
    name_levels,
    verdict_marks,
    verdict_words,
)
from experiments.results.grouping import Combination, Group, group, samples_of, unit_of
from experiments.results.loading import Results
from experiments.results.panels import MARKS, Series, axis_levels, axis_places, divide
from experiments.results.series import draw_series
from experiments.results.wording import with_unit
from experiments.runstats import estimate, statistic, value_of
from experiments.stats import derived_seed
from kubinet.errors import InvalidInputError

KINDS: Final = ("box", "ecdf", "line", "series")
_CURVE_POINTS: Final = 600
"""A distribution is drawn with so many points at most: more cannot be seen, and make the file large."""
_MOST_NAMED: Final = 8
"""A logarithmic axis names each of so many levels."""
_SPREAD: Final = (0.0, 0.5, -0.5, 0.25, -0.25, 0.75, -0.75)
"""Where points of one box stand beside each other, shares of half its width."""


def draw(results: Results, analysis: AnalysisDesign, name: str) -> Figure:
    """The figure of one analysis; InvalidInputError where there is nothing to draw or the kind is unknown."""
    if analysis.figure not in KINDS:
        raise InvalidInputError(f"figure '{analysis.figure}' does not exist; there are {', '.join(KINDS)}")
    with mpl.rc_context(SETTINGS):
        if analysis.figure == "series":
            return draw_series(results, analysis, name)
        return {"box": _box, "ecdf": _ecdf, "line": _line}[analysis.figure](results, analysis, name)


def _grouped(results: Results, analysis: AnalysisDesign) -> tuple[dict[Combination, Group], tuple[str, ...], str]:
    by = columns_of(analysis, results.design)
    samples = samples_of(results.samples, analysis)
    unit = unit_of(samples, analysis.metric)
    return group(samples, by, results.design), by, with_unit(analysis.metric, f"({unit})" if unit else "")


def _box(results: Results, analysis: AnalysisDesign, name: str) -> Figure:
    groups, by, label = _grouped(results, analysis)
    division = divide(groups, by, analysis.x or (by[0] if by else ""), results.design.factors)
    levels = axis_levels(division)
    wanted = statistic(analysis.statistics[0])
    drawing, panels = canvas(division, height=2.6, share_y=True)
    hues = list(dict.fromkeys(series.style for panel in division.panels for series in panel.series))
    width = 0.72 / max(1, len(hues))
    for axes, panel in zip(panels, division.panels, strict=True):
        for series in panel.series:
            shift = (hues.index(series.style) - (len(hues) - 1) / 2) * width
            for level, found in series.groups.items():
                values = {run: value_of(samples, wanted) for run, samples in found.runs.items()}
                _one_box(axes, levels.index(level) + shift, 0.8 * width, values, found.verdicts, colour_of(series))
        name_levels(axes, levels, len(division.panels))
        axes.set_xlim(-0.6, len(levels) - 0.4)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(_axis_label(results.design, division.axis))
    finish(drawing, panels, division, analysis, y_label=f"{wanted.name} of {label}")
    marks = verdict_marks(groups)
    legend(drawing, division, _boxes, marks)
    caption = (
        f"{_of(analysis, wanted.name)}: a point for each run, the box from the first to the third quartile of the runs "
        f"with their median. {verdict_words(marks)}{left_out_words(division)}"
    )
    return Figure(name, caption, drawing)


def _one_box(
    axes: Axes, at: float, width: float, values: Mapping[int, float], verdicts: Mapping[int, str], colour: str
) -> None:
    numbers = list(values.values())
    if len(numbers) >= 3:
        axes.boxplot(
            [numbers],
            positions=[at],
            widths=width,
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.18, "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 2},
            whiskerprops={"color": colour, "linewidth": 0.8},
            capprops={"linewidth": 0},
        )
    for place, (run, value) in enumerate(values.items()):
        x = at + _SPREAD[place % len(_SPREAD)] * width / 2
        axes.plot([x], [value], color=colour, linestyle="none", **mark_of(verdicts[run], 2.8))


def _ecdf(results: Results, analysis: AnalysisDesign, name: str) -> Figure:
    groups, by, label = _grouped(results, analysis)
    division = divide(groups, by, "", results.design.factors)
    drawing, panels = canvas(division, height=2.4, share_y=True)
    for axes, panel in zip(panels, division.panels, strict=True):
        lows, highs = [], []
        for series in panel.series:
            runs = list(series.groups[""].runs.values())
            if 1 < len(runs) <= 20:
                for run in runs:
                    axes.step(*_curve([run]), where="post", color=colour_of(series), linewidth=0.5, alpha=0.3)
            axes.step(*_curve(runs), where="post", color=colour_of(series), linestyle=line_of(series))
            lows.append(min(float(run.min()) for run in runs))
            highs.append(max(float(np.quantile(run, 0.995)) for run in runs))
        margin = 0.03 * (max(highs) - min(lows)) or 0.5
        if not analysis.log_x:
            axes.set_xlim(min(lows) - margin, max(highs) + margin)
        axes.set_ylim(0, 1.01)
        axes.set_xlabel(label)
    finish(drawing, panels, division, analysis, y_label="share of samples")
    marks = verdict_marks(groups)
    legend(drawing, division, _strokes, {})
    caption = (
        f"{analysis.title or f'Distribution of {analysis.metric}'}: every run counts the same; thin lines are single "
        f"runs. The horizontal axis ends at the largest 99.5th percentile of a run. "
        f"{verdict_words(marks, drawn=False)}{left_out_words(division)}"
    )
    return Figure(name, caption, drawing)


def _curve(runs: Sequence["np.ndarray[Any, np.dtype[np.float64]]"]) -> tuple[Any, Any]:
    values = np.concatenate(runs)
    weights = np.concatenate([np.full(len(run), 1 / (len(run) * len(runs))) for run in runs])
    order = np.argsort(values, kind="stable")
    values, shares = values[order], np.cumsum(weights[order])
    if len(values) > _CURVE_POINTS:
        kept = np.unique(np.searchsorted(shares, np.linspace(0, 1, _CURVE_POINTS)).clip(0, len(values) - 1))
        values, shares = values[kept], shares[kept]
    return np.concatenate([values[:1], values]), np.concatenate([[0.0], shares])


def _line(results: Results, analysis: AnalysisDesign, name: str) -> Figure:
    groups, by, label = _grouped(results, analysis)
    axis = analysis.x or (by[0] if by else "")
    if axis not in by:
        raise InvalidInputError(
            f"figure 'line' is drawn over a factor: '{axis}' is not among {', '.join(by) or 'none'}"
        )
    division = divide(groups, by, axis, results.design.factors)
    levels = axis_levels(division)
    places = axis_places(results.design.factors, axis, levels)
    numeric = places is not None
    at = places if places is not None else {level: float(index) for index, level in enumerate(levels)}
    wanted = statistic(analysis.statistics[0])
    log = analysis.log_x and numeric and len(levels) <= _MOST_NAMED and min(at.values()) > 0
    drawing, panels = canvas(division, height=2.5, share_y=True)
    styles = sorted({series.style for panel in division.panels for series in panel.series})
    inches = axis_inches(drawing, len(division.panels))
    beside = dict(zip(styles, shifts(len(styles), list(at.values()), inches=inches, log=log), strict=True))
    free = margin(list(beside.values()), inches=inches)
    for axes, panel in zip(panels, division.panels, strict=True):
        axes.set_xmargin(free)
        if log:
            axes.set_xscale("log")
        for series in panel.series:
            seed = derived_seed(results.design.seed, name, panel.title, series.label)
            order = sorted(series.groups, key=lambda level: at[level])
            found = [estimate(list(series.groups[level].runs.values()), wanted, seed=seed) for level in order]
            reach = [[one.value - one.low for one in found], [one.high - one.value for one in found]]
            x = [at[level] for level in order]
            axes.errorbar(
                x,
                [one.value for one in found],
                yerr=np.maximum(reach, 0),
                color=colour_of(series),
                linestyle=line_of(series),
                marker=MARKS[series.style % len(MARKS)],
                markersize=3.5,
                capsize=2,
                elinewidth=1,
                transform=moved(axes, beside[series.style]),
            )
            make_room(axes, x, *([getattr(one, end) for one in found] for end in ("low", "value", "high")))
        if not numeric:
            name_levels(axes, levels, len(division.panels))
        elif log:
            axes.set_xticks([at[level] for level in levels], levels)
            axes.minorticks_off()
        axes.set_xlabel(_axis_label(results.design, axis))
    if not analysis.log_y and _from_zero(groups):
        panels[0].set_ylim(bottom=0)
    finish(drawing, panels, division, analysis, y_label=f"{wanted.name} of {label}")
    marks = verdict_marks(groups)
    legend(drawing, division, _strokes_with_marks, {})
    caption = (
        f"{_of(analysis, wanted.name)} over {axis}: medians over the runs with 95 % intervals"
        f"{', beside each other where several are at one level' if len(styles) > 1 else ''}. "
        f"{verdict_words(marks, drawn=False)}{left_out_words(division)}"
    )
    return Figure(name, caption, drawing)


def _from_zero(groups: Mapping[Combination, Group]) -> bool:
    """Whether an axis from zero holds everything."""
    return all(float(run.min()) >= 0 for found in groups.values() for run in found.runs.values())


def _axis_label(design: ExperimentDesign, axis: str) -> str:
    unit = next((factor.unit for factor in design.factors if factor.name == axis), "")
    return f"{axis} ({unit})" if unit else axis


def _boxes(series: Series) -> Line2D:
    return Line2D([], [], color=colour_of(series), linewidth=5, alpha=0.5)


def _strokes(series: Series) -> Line2D:
    return Line2D([], [], color=colour_of(series), linestyle=line_of(series))


def _strokes_with_marks(series: Series) -> Line2D:
    mark = MARKS[series.style % len(MARKS)]
    return Line2D([], [], color=colour_of(series), linestyle=line_of(series), marker=mark, markersize=3.5)


def _of(analysis: AnalysisDesign, name: str) -> str:
    return analysis.title or f"{name} of {analysis.metric}"
