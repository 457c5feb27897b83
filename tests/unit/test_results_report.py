"""Analysis, claims, figures and the report of a results folder."""

import html.parser
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resultsfolders import OVERLAYS, write_folder

from experiments.design.model import AnalysisDesign, Claim
from experiments.records import NOTHING, Analysis, Assessment, Recording, SummaryRow, Table, Verdict
from experiments.results import load, report
from experiments.results.analysing import analyse
from experiments.results.circumstances import link_blocks
from experiments.results.claims import Outcome, evaluate, outcome
from experiments.results.document import Grid, Paragraph, Picture, to_html, to_markdown
from experiments.results.grouping import natural
from experiments.results.loading import Results
from experiments.results.own import own_analysis
from experiments.results.reporting import Report
from experiments.results.wording import number, p_text
from experiments.stats import Estimate
from kubinet.cli.main import run as kubinet
from kubinet.errors import InvalidInputError

pytestmark = pytest.mark.slow

INVALID = {"verdict": {"verdict": "invalid", "reasons": ["no idle CPU in 5 of 8 s"]}}
SUSPECT = {"verdict": {"verdict": "suspect", "reasons": ["the hypervisor took 12% of the CPU time"]}}
_HEAD, _CLAIMS = OVERLAYS.split("  claims:")
SHORT = "  claims:".join([_HEAD.split("  - {metric: rtt, by: [overlay], figure: ecdf")[0], _CLAIMS])
FAILED = {"state": "failed", "error": "DeadlineError: pod a is not ready"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {1: INVALID, 2: SUSPECT, 4: FAILED}
    return write_folder(tmp_path_factory.mktemp("r") / "results", changes=changes, events=True)


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load(folder)


@pytest.fixture(scope="module")
def made(results: Results) -> Report:
    return report(results)


def with_analysis(results: Results, *analyses: AnalysisDesign) -> Results:
    return replace(results, design=replace(results.design, analysis=analyses))


def test_rows_are_medians_of_runs_in_the_designs_order(results: Results) -> None:
    """A row for each statistic and level; its value is the median of the runs' statistics."""
    first = analyse(results)[0]
    assert [(row.levels["overlay"], row.statistic) for row in first.rows] == [
        *(("direct", "p50"), ("vxlan", "p50"), ("geneve", "p50")),
        *(("direct", "p99"), ("vxlan", "p99"), ("geneve", "p99")),
    ]
    chosen = results.samples[results.samples["overlay"] == "vxlan"]
    assert first.rows[1].found.value == float(np.median(chosen.groupby("run")["value"].median()))
    assert (first.unit, first.rows[1].unit) == ("ms", "ms")
    assert first.rows[1].found.covers(first.rows[1].found.value)


def test_comparison_pairs_runs_of_one_block(results: Results) -> None:
    """An overlay of 1.4 against 1.0 differs by about 0.4; the baseline itself is compared with nothing."""
    direct, vxlan, geneve = analyse(results)[0].rows[:3]
    assert direct.contrast is None
    assert vxlan.contrast is not None
    assert vxlan.contrast.paired
    assert vxlan.contrast.difference.covers(0.4)
    assert (vxlan.baseline, vxlan.contrast.delta.value) == ({"overlay": "direct"}, 1.0)
    assert geneve.contrast is not None
    # Six whole blocks: the smallest p-value is 2 / 2^6, times four comparisons.
    assert vxlan.p_corrected is not None
    assert vxlan.contrast.p_value < vxlan.p_corrected <= 0.125


def test_verdicts_of_rows_count_runs(results: Results) -> None:
    """A row with a suspect run is suspect and says of how many."""
    suspect = results.runs[results.runs["verdict"] == "suspect"]["overlay"].item()
    row = next(row for row in analyse(results)[0].rows if row.levels["overlay"] == suspect)
    assert row.verdict == "suspect"
    assert row.verdicts["suspect"] == 1


def test_without_analyses_every_metric_is_shown(results: Results) -> None:
    """A design without analyses has the median of each metric by the factors that vary."""
    [answer] = analyse(with_analysis(results))
    assert (answer.design.metric, answer.by, len(answer.rows)) == ("rtt", ("overlay",), 3)


@pytest.mark.parametrize(
    ("analysis", "note"),
    [
        (AnalysisDesign("jitter"), "metric 'jitter' has no samples here; there are samples of 'rtt'"),
        (
            AnalysisDesign("rtt", by=("colour",)),
            "'colour' is no factor or label of the samples; there are overlay, source",
        ),
        (AnalysisDesign("rtt", ("median",)), "statistic 'median' does not exist"),
        (AnalysisDesign("rtt", baseline={"colour": "red"}), "'colour' is no factor or label"),
    ],
)
def test_an_analysis_of_nothing_says_so(results: Results, analysis: AnalysisDesign, note: str) -> None:
    """An analysis that cannot be made is a note; the others are still made."""
    nothing, something = analyse(with_analysis(results, analysis, AnalysisDesign("rtt")))
    assert nothing.rows == ()
    assert note in nothing.notes[0]
    assert len(something.rows) == 3


def test_mixed_levels_are_said(results: Results) -> None:
    """A row that holds samples of several levels says so."""
    [answer] = analyse(with_analysis(results, AnalysisDesign("rtt", by=("source",))))
    assert answer.notes == ("Samples of all levels of overlay stand together in a row.",)
    [row] = answer.rows
    assert row.found.repetitions == 22


def test_levels_without_a_usable_run_are_said(tmp_path: Path) -> None:
    """A level whose runs all failed is not silently missing."""
    path = write_folder(tmp_path / "r", repetitions=1)
    levels = load(path).runs.set_index("run")["overlay"]
    gone = int(levels[levels == "vxlan"].index[0])
    record = path / "runs" / f"{gone:04}" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | FAILED))
    assert "No sample of overlay vxlan can be used; see the runs left out." in analyse(load(path))[0].notes


def claim(relation: str, tolerance: float = 0.05) -> Claim:
    return Claim("C", "", "m", "p50", {}, {}, relation, None, tolerance)


@pytest.mark.parametrize(
    ("relation", "low", "value", "high", "expected"),
    [
        (">", 1.06, 1.2, 1.3, Outcome.SHOWN),
        (">", 1.02, 1.2, 1.3, Outcome.UNCLEAR),
        (">", 0.97, 1.0, 1.03, Outcome.NOT_SHOWN),
        (">", 0.5, 0.6, 0.7, Outcome.NOT_SHOWN),
        ("<", 0.5, 0.6, 0.7, Outcome.SHOWN),
        ("<", 0.9, 0.94, 0.96, Outcome.UNCLEAR),
        ("<", 1.06, 1.2, 1.3, Outcome.NOT_SHOWN),
        ("~", 0.96, 1.0, 1.04, Outcome.SHOWN),
        ("~", 0.9, 1.2, 1.3, Outcome.UNCLEAR),
        ("~", 1.06, 1.2, 1.3, Outcome.NOT_SHOWN),
    ],
)
def test_outcome_of_a_claim(relation: str, low: float, value: float, high: float, expected: Outcome) -> None:
    """Against 1 with a tolerance of 5 %: shown and not shown need the whole interval."""
    assert outcome(claim(relation), Estimate(value, low, high, 9, 9), 1.0) is expected


@pytest.mark.parametrize("relation", ["<", "~", ">"])
def test_one_run_settles_no_claim(relation: str) -> None:
    """Whatever its samples say: how much the next run would differ is not known."""
    assert outcome(claim(relation), Estimate(9.0, 8.9, 9.1, 1000, 1), 1.0) is Outcome.UNCLEAR


def test_one_run_each_is_no_finding(tmp_path: Path) -> None:
    """The difference is told without an interval, and as what it is."""
    made = report(load(write_folder(tmp_path / "one", repetitions=1)))
    assert made.finding.startswith("rtt, p50: overlay=vxlan against overlay=direct was +0.")
    assert "in one run each: the next may say otherwise." in made.finding
    assert "[" not in made.finding


@settings(deadline=None)
@given(st.floats(0.1, 10), st.floats(0, 1), st.floats(0.1, 10), st.floats(0, 0.5))
def test_at_most_one_relation_is_shown(value: float, width: float, bound: float, tolerance: float) -> None:
    """Below, equal and above exclude each other, and one of the three is not contradicted."""
    found = Estimate(value, value - width, value + width, 9, 9)
    outcomes = [outcome(claim(relation, tolerance), found, bound) for relation in "<~>"]
    assert outcomes.count(Outcome.SHOWN) <= 1
    assert set(outcomes) != {Outcome.NOT_SHOWN}


def test_claims_are_evaluated_on_the_samples(results: Results) -> None:
    """VXLAN costs more than 5 %, Geneve as much as VXLAN within 10 %, and direct routing is far from a second."""
    found = evaluate(results)
    assert [one.outcome for one in found] == [Outcome.SHOWN, Outcome.SHOWN, Outcome.NOT_SHOWN]
    assert found[0].words.startswith("rtt, p50 of overlay=vxlan is 1.3")
    assert found[0].words.endswith("claimed is above 1.000 by more than 5%.")
    assert found[2].words.endswith("claimed is above 1000 ms.")


def test_a_claim_about_nothing_has_no_data(results: Results) -> None:
    """A claim on levels that no run has says that."""
    claims = (replace(results.design.claims[0], where={"overlay": "ipip"}),)
    [found] = evaluate(replace(results, design=replace(results.design, claims=claims)))
    assert found.outcome is Outcome.NO_DATA
    assert found.words == "there is no usable sample of rtt with overlay=ipip."


def test_the_report_says_everything(folder: Path, made: Report) -> None:
    """Verdict, claims, values, comparison, what was left out and why, events, order, links, machine, versions."""
    text = made.text.read_text()
    for part in (
        "**22 of 24 planned runs are used: 21 valid, 1 suspect.** 2 failed or invalid ones are left out.",
        "| C1 | VXLAN costs round-trip time. | shown |",
        "Example Conference 2020, figure 3 | an overlay costs a tenth of a millisecond | C1 shown |",
        "| left out | invalid: no idle CPU in 5 of 8 s |",
        "| left out | failed: DeadlineError: pod a is not ready |",
        "| suspect | the hypervisor took 12% of the CPU time |",
        "| link leaf1-spine1 down | injected | 22 | 1.010 s |",
        "| seed | 7 |",
        "| order | blocked |",
        "| leaf1-spine1 | delay | 2.000 ms | 2.030 to 2.050 ms | 2.040 | 22 | 0 of 44 |",
        "| cpu model | A processor |",
        "| git | commit 0123abcd; dirty False |",
        "![p50 of rtt",
    ):
        assert part in text, part
    assert made.finding in text.replace("\\", "")
    assert made.finding == (
        "Shown: VXLAN costs round-trip time (C1); Geneve costs what VXLAN costs (C2). "
        "Not shown: Direct routing takes more than a second (C3)."
    )
    names = [f"{stem}.{kind}" for stem in ("01-rtt", "02-rtt", "03-rtt", "topology") for kind in ("pdf", "png", "svg")]
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(names)


class Page(html.parser.HTMLParser):
    """What a page refers to, and which tags are open at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img":
            self.images.append(given["src"] or "")
        elif tag not in ("meta", "br"):
            self.open.append(tag)
        self.others += [value or "" for name, value in attrs if name in ("href", "src") and tag != "img"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_no_other_file(made: Report) -> None:
    """Pictures are inside the page, nothing else is referred to, every tag is closed."""
    page = Page()
    page.feed(made.page.read_text())
    assert page.open == []
    assert page.others == []
    assert [image.partition(",")[0] for image in page.images] == ["data:image/svg+xml;base64"] * 4


def test_reports_are_the_same_again(tmp_path: Path) -> None:
    """The same samples give the same bytes in every file."""
    short = OVERLAYS.replace("  - {metric: rtt, by: [overlay], figure: series}\n", "")
    folder = write_folder(tmp_path / "r", experiment=short, repetitions=2)

    def written() -> dict[str, bytes]:
        report(load(folder))
        names = ("report.html", "report.md", "summary.csv", "summary.json")
        return {
            path.name: path.read_bytes() for path in [*(folder / "figures").iterdir(), *map(folder.joinpath, names)]
        }

    assert written() == written()


def test_summary_has_every_row(folder: Path, made: Report) -> None:
    """summary.csv has six rows with value, interval and effect; summary.json has the claims as well."""
    table = pd.read_csv(folder / "summary.csv")
    assert table["statistic"].tolist() == ["p50"] * 3 + ["p99"] * 3
    assert table.iloc[1]["baseline"] == "overlay=direct"
    assert table.iloc[1]["difference"] == pytest.approx(0.4, abs=0.05)
    document = json.loads((folder / "summary.json").read_text())
    assert document["runs"]["planned"] == 24
    assert document["runs"]["excluded"]["1"] == "invalid: no idle CPU in 5 of 8 s"
    assert [one["outcome"] for one in document["claims"]] == ["shown", "shown", "not shown"]


def test_invalid_runs_are_used_on_request_and_marked(tmp_path: Path) -> None:
    """With include_invalid the report says that invalid runs are among the values, in box, rows and captions."""
    short = SHORT
    folder = write_folder(tmp_path / "r", experiment=short, changes={1: INVALID, 2: SUSPECT, 4: FAILED})
    made = report(load(folder, include_invalid=True))
    text = made.text.read_text()
    assert "**23 of 24 planned runs are used: 21 valid, 1 suspect, 1 invalid.**" in text
    assert "Invalid runs are among them because that was asked for." in text
    assert "a cross is an invalid run" in text
    assert re.search(r"invalid \(1 of \d\)", text)


def test_a_folder_without_a_usable_run_has_a_report(tmp_path: Path) -> None:
    """When nothing was measured, the report says so."""
    path = write_folder(tmp_path / "r", repetitions=1, changes=dict.fromkeys(range(3), FAILED))
    made = report(load(path))
    assert made.finding == "There is no usable sample: nothing can be said."
    assert "**0 of 3 planned runs are used: none.** 3 failed or invalid ones are left out." in made.text.read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1.000"),
        (0.000123456, "0.0001235"),
        (1234.5, "1234"),
        (-0.5, "-0.5000"),
        (1e9, "1.000e+09"),
        (123456.7, "123\u202f457"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    """Four significant digits, readable."""
    assert number(value) == text
    assert (p_text(0.0004), p_text(0.0312)) == ("< 0.001", "0.031")


def test_names_are_ordered_as_people_do() -> None:
    """Node 2 is before node 10."""
    assert sorted(["n10", "n2", "a"], key=lambda name: tuple(natural(name))) == ["a", "n2", "n10"]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_texts_cannot_break_out_of_the_page(text: str) -> None:
    """Whatever a text holds, the page has the tags that it should have, and a table row one line."""
    page = Page()
    page.feed(
        to_html(text, [Paragraph(text), Grid(Table((text,), ((text,),), text)), Picture("f", text)], {"f": b""}, text)
    )
    assert page.open == []
    assert len(page.images) == 1
    assert "|" not in re.sub(r"\\.", "", to_markdown([Paragraph(text)], ""))


def test_links_have_a_row_for_each_value_that_they_declare(results: Results) -> None:
    """A factor sweeps one link's delay: its rows are in the order of the values; what is not declared has its own."""
    rows = [
        (0, "a-b", "delay", 20.0, 20.4, "ms", True),
        (0, "a-b", "delay", 20.0, 25.0, "ms", False),
        (1, "a-b", "delay", 1.0, 1.02, "ms", True),
        (2, "a-b", "delay", 20.0, 20.2, "ms", True),
        (0, "a-b", "rate", None, 940.0, "Mbit/s", True),
        (1, "a-b", "rate", None, 950.0, "Mbit/s", True),
        (1, "c-d", "delay", 2.0, None, "ms", False),
    ]
    columns = ["run", "name", "quantity", "declared", "measured", "unit", "within_tolerance"]
    blocks = list(link_blocks(replace(results, links=pd.DataFrame(rows, columns=columns))))
    assert isinstance(blocks[1], Grid)
    assert blocks[1].table.columns[2:] == (
        *("declared", "measured, lowest to highest", "median", "runs"),
        "outside the tolerance",
    )
    assert blocks[1].table.rows == (
        ("a-b", "delay", "1.000 ms", "1.020 ms", "1.020", "1", "0 of 1"),
        ("a-b", "delay", "20.00 ms", "20.20 to 25.00 ms", "20.40", "2", "1 of 3"),
        ("a-b", "rate", NOTHING, "940.0 to 950.0 Mbit/s", "945.0", "2", "0 of 2"),
        ("c-d", "delay", "2.000 ms", NOTHING, NOTHING, "1", "1 of 1"),
    )


def test_captions_of_tables_stand_above_them() -> None:
    """In the page outside of what scrolls, so that a wide table's is not cut; in Markdown a line before the table."""
    grid = Grid(Table(("link", "rate"), (("n1-s1", "10"),), "Over all runs."))
    page = to_html("x", [grid], {}, "")
    assert '<figure><figcaption>Over all runs.</figcaption><div class="scroll"><table><thead>' in page
    assert "<caption" not in page
    text = to_markdown([grid], "end")
    assert text == "*Over all runs.*\n\n| link | rate |\n| --- | --- |\n| n1-s1 | 10 |\n\n---\n\nend\n"


def test_kubinet_report_prints_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubinet report` prints the finding, each claim's outcome and the page."""
    folder = write_folder(tmp_path / "r", experiment=SHORT, repetitions=2)
    assert kubinet(["report", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "C3      not shown   Direct routing takes more than a second." in printed
    assert f"Report: {folder / 'report.html'}" in printed
    assert kubinet(["report", str(folder), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["outcome"] == "shown"


def test_kubinet_report_refuses_other_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without results is named; exit status 2."""
    assert kubinet(["report", str(tmp_path)]) == 2
    assert f"Error: {tmp_path}: not a results folder" in capsys.readouterr().err


def test_an_experiments_own_analysis_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an experiment written in Python the report has its finding, table and figures, from the folder alone."""
    path = write_folder(tmp_path / "r", experiment=OVERLAYS.split("  analysis:")[0], repetitions=2)
    plan = json.loads((path / "design.json").read_text())
    (path / "design.json").write_text(json.dumps(plan | {"implementation": f"{__name__}:OwnExperiment"}))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    results = load(path)
    made = report(results, own_analysis(results))
    assert made.finding == "240 samples, 6 repetitions of cells"
    text = made.text.read_text()
    assert "| overlay | samples |" in text
    assert "- read from the folder" in text
    table = pd.read_csv(path / "summary.csv")
    assert table[["overlay", "metric", "value", "reasons"]].values.tolist() == [["vxlan", "rtt", 1.5, "made up"]]


class OwnExperiment:
    """An experiment with an analysis of its own."""

    def analyse(self, recording: Recording) -> Analysis:
        assert recording.topology["kind"] == "Topology"
        assert recording.samples[0].levels == {"overlay": recording.samples[0].levels["overlay"]}
        assert (recording.machine[0].idle, recording.links[0].name) == (0.5, "leaf1-spine1")
        doubtful = Assessment(Verdict.SUSPECT, ("made up",))
        estimate = Estimate(1.5, 1.4, 1.6, 20, 2)
        row = SummaryRow({"overlay": "vxlan"}, "a", "b", "rtt", "p50", estimate, "ms", None, doubtful)
        cells = {sample.order for sample in recording.samples}
        return Analysis(
            finding=f"{len(recording.samples)} samples, {len(cells)} repetitions of cells",
            rows=(row,),
            table=Table(("overlay", "samples"), (("vxlan", "20"),)),
            figures=(),
            assessment=doubtful,
            notes=("read from the folder",),
        )


def test_an_experiment_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """When the Python experiment is missing, the error says which and what to do."""
    path = write_folder(tmp_path / "r", repetitions=1)
    plan = json.loads((path / "design.json").read_text())
    (path / "design.json").write_text(json.dumps(plan | {"implementation": "nowhere.to_be_found:Experiment"}))
    with pytest.raises(InvalidInputError, match=r"experiment 'nowhere\.to_be_found:Experiment' cannot be"):
        own_analysis(load(path))
