"""Figures of a results folder: what is drawn where, and what their captions say."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Drawing
from matplotlib.image import imread
from resultsfolders import OVERLAYS, write_folder

from experiments.design.model import AnalysisDesign, FactorDesign, Level
from experiments.records import Figure
from experiments.report.style import PAGE_INCHES, SETTINGS
from experiments.results import load
from experiments.results.dodging import shifts
from experiments.results.figures import draw
from experiments.results.loading import Results
from experiments.results.panels import MOST_PANELS, axis_places, divide, grid
from experiments.results.series import Mark, marks
from experiments.results.writing import put_figure
from kubinet.errors import InvalidInputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    suspect = {"verdict": {"verdict": "suspect", "reasons": ["the hypervisor took 12% of the CPU time"]}}
    return load(write_folder(tmp_path_factory.mktemp("r") / "results", changes={2: suspect}, events=True))


@pytest.mark.parametrize("kind", ["box", "ecdf", "line", "series"])
def test_figures_draw_every_combination(results: Results, kind: str) -> None:
    """Each kind of figure says in its caption what is drawn, and that a run is suspect where points show it."""
    figure = draw(results, AnalysisDesign("rtt", by=("overlay",), figure=kind), "f")
    assert figure.drawing.axes
    assert {"box": "An empty point is a suspect run.", "series": "1 at 1.01 s injected: link leaf1-spine1 down"}.get(
        kind, "Among the runs are suspect ones."
    ) in figure.caption


def test_unknown_figures_are_refused(results: Results) -> None:
    """A figure that does not exist is refused with the list of those that do; a line needs a factor."""
    with pytest.raises(InvalidInputError, match="figure 'pie' does not exist; there are box, ecdf, line, series"):
        draw(results, AnalysisDesign("rtt", figure="pie"), "f")
    with pytest.raises(InvalidInputError, match="'load' is not among overlay"):
        draw(results, AnalysisDesign("rtt", by=("overlay",), x="load", figure="line"), "f")


def test_a_numeric_factor_has_a_numeric_axis(tmp_path: Path) -> None:
    """Levels that are numbers stand where the numbers are; others one beside the other."""
    text = OVERLAYS.replace("levels: [direct, vxlan, geneve]", "levels: [64, 512, 1400]").split("  claims:")[0]
    text = text.replace("topology.network.overlay", "workload.rtt.payload").replace(", baseline: {overlay: direct}", "")
    levels = ("64", "512", "1400")

    def readings(run, dice):
        yield {
            "source": "",
            "target": "",
            "metric": "rtt",
            "sequence": 0,
            "time_s": 1,
            "value": int(run.levels["overlay"]),
            "unit": "ms",
        }

    path = write_folder(tmp_path / "r", experiment=text, factors={"overlay": levels}, repetitions=2, readings=readings)
    figure = draw(load(path), AnalysisDesign("rtt", figure="line"), "f")
    [line] = [line for line in figure.drawing.axes[0].lines if len(line.get_xdata()) == 3 and line.get_marker() == "o"]
    assert line.get_xdata().tolist() == [64, 512, 1400]
    assert line.get_ydata().tolist() == [64, 512, 1400]


@pytest.mark.parametrize(
    ("series", "places", "log", "expected"),
    [
        (1, [1, 2, 4], False, (0.0,)),
        (2, [0, 1, 2], False, (-2.25, 2.25)),
        (3, [0, 1, 2], False, (-4.5, 0.0, 4.5)),
        (3, [5], False, (-4.5, 0.0, 4.5)),
        (4, [0, 1, 4], False, (-5.4, -1.8, 1.8, 5.4)),
        (4, [1, 10, 1000], True, (-6.75, -2.25, 2.25, 6.75)),
        (3, [0, 1, 1000], False, (-1.5, 0.0, 1.5)),
    ],
)
def test_series_of_a_level_stand_beside_each_other(
    series: int, places: list[float], log: bool, expected: tuple[float, ...]
) -> None:
    """Points right of the level on an axis of one inch: an interval's width, less where levels are near."""
    assert shifts(series, places, inches=1, log=log) == pytest.approx(expected)


def test_intervals_of_several_series_do_not_cover_each_other(results: Results) -> None:
    """The lines of two series are moved aside on the page, not in their numbers; all intervals are inside the axes."""
    rows = results.samples.assign(stream=lambda one: np.where(one["sequence"] % 2, "odd", "even"))
    design = AnalysisDesign("rtt", by=("overlay", "stream"), x="overlay", figure="line")
    figure = draw(replace(results, samples=rows), design, "f")
    [axes] = figure.drawing.axes
    lines = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    assert [line.get_xdata().tolist() for line in lines] == [[0, 1, 2], [0, 1, 2]]
    left, right = (line.get_transform().transform((1, 1.0))[0] for line in lines)
    assert right - left == pytest.approx(4.5 / 72 * figure.drawing.dpi)
    ends = [end for bars in axes.collections for segment in bars.get_segments() for end in segment[:, 1]]
    assert len(ends) == 12
    low, high = axes.get_ylim()
    assert low <= min(ends) < max(ends) <= high
    assert "with 95 % intervals, beside each other where several are at one level." in figure.caption


def test_levels_with_units_stand_at_their_numbers() -> None:
    """The value of a level says where it stands, or its name, where that is the number of a value with a unit."""
    delay = FactorDesign("delay", (Level("1", {}, "1ms"), Level("20", {}, "20ms")), "")
    named = FactorDesign("load", (Level("idle", {}, 0), Level("full", {}, 5)), "")
    assert axis_places([delay, named], "delay", ["1", "20"]) == {"1": 1.0, "20": 20.0}
    assert axis_places([delay, named], "load", ["idle", "full"]) == {"idle": 0.0, "full": 5.0}
    assert axis_places([delay, named], "overlay", ["direct", "vxlan"]) is None


def test_marks_are_what_was_done_at_its_median_time() -> None:
    """What was seen is not marked; the second flap is a mark of its own."""
    rows = [
        (0, 1.0, "injected", "flap"), (0, 1.1, "present", "flap"), (0, 3.0, "injected", "flap"),
        (1, 1.4, "injected", "flap"), (1, 3.2, "injected", "flap"), (2, 1.1, "injected", "flap"),
    ]  # fmt: skip
    events = pd.DataFrame(rows, columns=["run", "seconds", "event", "fault"])
    assert marks(events) == (Mark(1.1, "injected: flap"), Mark(3.1, "injected: flap", 1))
    assert marks(events.iloc[:0]) == ()


def test_panel_has_marks_of_its_own_runs_only(results: Results) -> None:
    """One fault at two times, and none in the runs of a third level; numbers and caption go for all panels."""
    times = {"vxlan": 1.0, "geneve": 2.0}
    rows = [
        (run, times[level], "injected", "link a down")
        for run, level in zip(results.runs["run"], results.runs["overlay"], strict=True)
        if level in times
    ]
    events = pd.DataFrame(rows, columns=["run", "seconds", "event", "fault"])
    figure = draw(replace(results, events=events), AnalysisDesign("rtt", by=("overlay",), figure="series"), "f")
    shown = {axes.get_title(): [(text.get_text(), text.xy[0]) for text in axes.texts] for axes in figure.drawing.axes}
    assert shown == {"overlay=direct": [], "overlay=vxlan": [("1", 1.0)], "overlay=geneve": [("1", 2.0)]}
    assert "Marks: 1 at 1.00 to 2.00 s injected: link a down." in figure.caption


def test_panels_are_shared_out() -> None:
    """The axis, then colours, then panels; no more panels than can be read."""
    groups = {(a, b, c): None for a in "xy" for b in "12" for c in map(str, range(20))}
    division = divide(groups, ("a", "b", "c"), "a")  # type: ignore[arg-type]
    assert (division.axis, division.colour, len(division.panels), division.left_out) == ("a", "b", MOST_PANELS, 8)
    assert division.panels[0].title == "c=0"
    assert [series.label for series in division.panels[0].series] == ["1", "2"]
    assert [grid(count) for count in (1, 2, 3, 4, 5, 7)] == [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]


def test_colours_are_given_in_the_order_of_the_factors_levels() -> None:
    """Whichever level comes first: a figure's legend reads as the design does."""
    groups = {("x", "1500"): None, ("y", "576"): None, ("y", "1500"): None}
    mtu = FactorDesign("mtu", tuple(Level(name, {}, name) for name in ("576", "1500", "9000")), "")
    division = divide(groups, ("a", "mtu"), "a", (mtu,))  # type: ignore[arg-type]
    assert [(series.label, series.style) for series in division.panels[0].series] == [("576", 0), ("1500", 1)]


@pytest.mark.parametrize("label", ["least-connections", "topology.kubernetes.io/zone"])
def test_long_labels_stay_clear_of_the_edge(tmp_path: Path, label: str) -> None:
    """A long label at an axis ends at least 0.02 inches inside the page, as figures are saved."""
    with mpl.rc_context(SETTINGS):
        drawing = Drawing(figsize=(PAGE_INCHES, 3))
        left, right = drawing.subplots(1, 2, sharey=True)
        for panel in (left, right):
            panel.barh(range(2), [1, 2])
            panel.set_yticks(range(2), ["hash", label])
    put_figure(tmp_path, Figure("long", "", drawing))
    picture = imread(tmp_path / "figures" / "long.png")
    columns = np.flatnonzero((picture[..., :3] < 0.98).any(axis=(0, 2)))
    assert columns[0] >= 4  # of 200 in an inch
    assert columns[-1] < picture.shape[1] - 4
