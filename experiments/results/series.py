"""A metric over the time of a run, with the faults of its timeline marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.design.model import AnalysisDesign
from experiments.records import Figure
from experiments.report.style import BLUE, ORANGE
from experiments.results.analysing import columns_of
from experiments.results.drawing import canvas, finish, left_out_words
from experiments.results.grouping import group, samples_of, unit_of, where
from experiments.results.loading import Results
from experiments.results.panels import MOST_PANELS, Division, Panel
from experiments.results.wording import levels_text, with_unit

DONE: Final = ("injected", "healed", "renewed", "failed")
"""Events that say what was done; others say what was seen of it, and are not marked."""
_BINS: Final = 60
_POINTS: Final = 400
"""Of one run; more cannot be seen."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done to the network, at its median time over the runs."""

    seconds: float
    """After the workload's start."""
    text: str
    turn: int = 0
    """Which occurrence in its run, from 0: a link that flaps goes down several times."""

    @property
    def key(self) -> tuple[str, int]:
        """What it has in common with the same mark of another panel."""
        return self.text, self.turn


def with_seconds(results: Results, samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with a column `seconds`: their time after their run's workload started."""
    starts = results.runs.set_index("run")["workload_s"]
    return samples.assign(seconds=samples["time_s"] - samples["run"].map(starts))


def marks(events: pd.DataFrame) -> tuple[Mark, ...]:
    """What was done, once for each event and fault, at the median of its times over the runs, in that order.

    The n-th time that something happens in a run is an event of its own.
    """
    done = events[events["event"].isin(DONE)]
    if done.empty:
        return ()
    turn = done.groupby(["run", "event", "fault"]).cumcount()
    medians = done.assign(turn=turn).groupby(["event", "fault", "turn"])["seconds"].median().reset_index()
    ordered = medians.sort_values(["seconds", "event"])
    return tuple(Mark(float(row.seconds), f"{row.event}: {row.fault}", int(row.turn)) for row in ordered.itertuples())


def draw_series(results: Results, analysis: AnalysisDesign, name: str) -> Figure:
    """A panel for each combination: single runs as thin lines, the median over them as a thick one, faults marked."""
    by = columns_of(analysis, results.design)
    samples = with_seconds(results, samples_of(results.samples, analysis))
    unit = unit_of(samples, analysis.metric)
    groups = list(group(samples, by, results.design))
    shown = [dict(zip(by, levels, strict=True)) for levels in groups[:MOST_PANELS]]
    panels = tuple(Panel(levels_text(levels) if by else "", ()) for levels in shown)
    division = Division("", "", panels, len(groups) - len(shown))
    drawing, every = canvas(division, height=2.0, share_y=True)
    parts = [where(samples, levels) for levels in shown]
    # A mark belongs to the runs that it happened in: other levels have faults of their own, at times of their own.
    drawn = [results.events[results.events["run"].isin(part["run"])] for part in parts]
    numbers = {mark.key: number for number, mark in enumerate(marks(pd.concat(drawn)), 1)}
    done = [marks(events) for events in drawn]
    for axes, part, own in zip(every, parts, done, strict=True):
        _panel(axes, part)
        _mark(axes, own, numbers)
        axes.set_xlabel("seconds after the workload's start")
    if not analysis.log_y and float(samples["value"].min()) >= 0:
        every[0].set_ylim(bottom=0)
    finish(drawing, every, division, analysis, y_label=with_unit(analysis.metric, f"({unit})" if unit else ""))
    words = "; ".join(_words(key, number, done) for key, number in numbers.items())
    caption = (
        f"{analysis.title or f'{analysis.metric} over time'}: thin lines are single runs, the thick line is the median "
        f"over the runs in each {_BINS}th part of the time. "
        + (f"Marks: {words}." if words else "Nothing was done to the network during the runs.")
        + left_out_words(division)
    )
    return Figure(name, caption, drawing)


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    for _, run in part.groupby("run"):
        ordered = run.sort_values("seconds")
        step = max(1, len(ordered) // _POINTS)
        axes.plot(ordered["seconds"][::step], ordered["value"][::step], color=BLUE, linewidth=0.5, alpha=0.35)
    first, last = float(part["seconds"].min()), float(part["seconds"].max())
    edges = np.linspace(first, last if last > first else first + 1, _BINS + 1)
    place = np.digitize(part["seconds"], edges[1:-1])
    # The median of a run first, then over the runs: a run with many samples counts like the others.
    medians = part.groupby([place, part["run"]])["value"].median().groupby(level=0).median()
    middles = (edges[:-1] + edges[1:]) / 2
    axes.plot(middles[medians.index], medians.to_numpy(), color=BLUE, linewidth=1.6)


def _words(key: tuple[str, int], number: int, done: Sequence[Sequence[Mark]]) -> str:
    """`1 at 1.01 s injected: …`; from the earliest to the latest panel where they differ."""
    times = sorted({f"{mark.seconds:.2f}" for one in done for mark in one if mark.key == key}, key=float)
    return f"{number} at {' to '.join(times[:1] + times[1:][-1:])} s {key[0]}"


def _mark(axes: Axes, done: Sequence[Mark], numbers: Mapping[tuple[str, int], int]) -> None:
    for mark in done:
        number = numbers[mark.key]
        axes.axvline(mark.seconds, color=ORANGE, linestyle=":", linewidth=1)
        axes.annotate(
            str(number),
            (mark.seconds, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(2, -7 * ((number - 1) % 3)),
            textcoords="offset points",
            va="top",
            fontsize=6.5,
            color=ORANGE,
        )
