"""Two workloads of one kind in one experiment are told apart, and an analysis can be about a part of the samples."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from resultsfolders import Run, write_folder

from experiments.design.model import AnalysisDesign
from experiments.results.analysing import analyse
from experiments.results.figures import draw
from experiments.results.loading import Results, load

VALUES = {("near", "direct"): 1.0, ("near", "vxlan"): 2.0, ("far", "direct"): 10.0, ("far", "vxlan"): 20.0}


def two_pings(run: Run, dice: random.Random) -> Iterator[dict[str, object]]:
    """An echo of `near` and one of `far`; the run itself records how long it took."""
    for name in ("near", "far"):
        value = VALUES[name, run.levels["overlay"]]
        yield {"recorder": name, "metric": "rtt", "sequence": 0, "time_s": 1.0, "value": value, "unit": "ms"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three runs of each of two overlays."""
    place = tmp_path_factory.mktemp("two") / "r"
    return load(write_folder(place, factors={"overlay": ("direct", "vxlan")}, repetitions=3, readings=two_pings))


def medians(results: Results, *wanted: AnalysisDesign) -> list[tuple[tuple[str, ...], float]]:
    """Levels and value of every row."""
    with_these = replace(results, design=replace(results.design, analysis=wanted))
    return [(tuple(row.levels.values()), row.found.value) for one in analyse(with_these) for row in one.rows]


def test_workloads_have_rows_of_their_own(results: Results) -> None:
    """`recorder` is a column as labels are: rows can be made of it."""
    assert medians(results, AnalysisDesign("rtt", by=("recorder", "overlay"))) == [
        (("far", "direct"), 10.0),
        (("far", "vxlan"), 20.0),
        (("near", "direct"), 1.0),
        (("near", "vxlan"), 2.0),
    ]


def test_without_analyses_workloads_are_kept_apart(results: Results) -> None:
    """The median of each metric by what varies, also by whose readings they are."""
    assert medians(results) == [
        (("direct", "far"), 10.0),
        (("direct", "near"), 1.0),
        (("vxlan", "far"), 20.0),
        (("vxlan", "near"), 2.0),
    ]


def test_workloads_that_stand_together_are_said(results: Results) -> None:
    """An analysis that does not tell them apart has a note."""
    wanted = replace(results.design, analysis=(AnalysisDesign("rtt", by=("overlay",)),))
    (answer,) = analyse(replace(results, design=wanted))
    assert answer.notes[0] == "Samples of all levels of recorder stand together in a row."


def test_workloads_that_rows_tell_apart_by_other_columns_are_not_said(results: Results) -> None:
    """Where each source has one workload, rows by source mix nothing."""
    samples = results.samples.assign(source="node/" + results.samples["recorder"])
    design = replace(results.design, analysis=(AnalysisDesign("rtt", by=("source", "overlay")),))
    (answer,) = analyse(replace(results, samples=samples, design=design))
    assert len(answer.rows) == 4
    assert not [note for note in answer.notes if "stand together" in note]


def test_analysis_is_about_what_where_says(results: Results) -> None:
    """Others' samples are left out, and rows say so: the level stands behind what rows are made of."""
    far = AnalysisDesign("rtt", by=("overlay",), where={"recorder": "far"})
    assert medians(results, far) == [(("direct", "far"), 10.0), (("vxlan", "far"), 20.0)]
    direct = AnalysisDesign("rtt", by=("recorder",), where={"overlay": "direct"})
    assert medians(results, direct) == [(("far", "direct"), 10.0), (("near", "direct"), 1.0)]


def test_factor_that_where_fixes_is_no_row_of_its_own(results: Results) -> None:
    """Without `by` rows are made of the other factors; no level is said to be missing that is left out on purpose."""
    one = AnalysisDesign("rtt", where={"recorder": "near", "overlay": "vxlan"})
    wanted = replace(results.design, analysis=(one,))
    (answer,) = analyse(replace(results, design=wanted))
    assert (answer.by, [row.found.value for row in answer.rows], answer.notes) == (("recorder", "overlay"), [2.0], ())


def test_comparison_is_among_what_where_leaves(results: Results) -> None:
    """VXLAN costs the near workload 1 ms; without `where` the far one's samples would be in it."""
    one = AnalysisDesign("rtt", by=("overlay",), baseline={"overlay": "direct"}, where={"recorder": "near"})
    (answer,) = analyse(replace(results, design=replace(results.design, analysis=(one,))))
    compared = [row.contrast.difference.value for row in answer.rows if row.contrast is not None]
    assert compared == [1.0]


def test_where_without_samples_is_said(results: Results) -> None:
    """The analysis is a note, the others go on."""
    one = AnalysisDesign("rtt", where={"recorder": "nearby"})
    (answer,) = analyse(replace(results, design=replace(results.design, analysis=(one,))))
    assert answer.notes == ("Nothing can be said: metric 'rtt' has no samples with recorder=nearby.",)


@pytest.mark.parametrize("kind", ["box", "ecdf", "series"])
def test_figures_draw_what_where_leaves(results: Results, kind: str) -> None:
    """Nothing of the far workload, whose times are ten times as long, is in the figure of the near one."""
    one = AnalysisDesign("rtt", by=("overlay",), figure=kind, where={"recorder": "near"})
    axes = draw(results, one, "figure").drawing.axes[0]
    drawn = [
        float(value) for line in axes.lines for value in (line.get_xdata() if kind == "ecdf" else line.get_ydata())
    ]
    assert drawn
    assert max(drawn) <= 2.0


def test_folder_from_before_can_be_read(tmp_path: Path) -> None:
    """Samples written before they said whose they are have no such column; nothing else changes."""
    assert "recorder" not in load(write_folder(tmp_path / "r", repetitions=1)).samples.columns
