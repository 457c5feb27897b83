"""`kubinet compare`: what changed between two results folders."""

import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Xml

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resultsfolders import OVERLAYS, Run, pings, write_folder

from experiments.results import load
from experiments.results.agreement import expected_inside
from experiments.results.comparing import Better, Change, better_of, compare, judge
from experiments.runstats import Contrast
from experiments.stats import Estimate
from kubinet.cli.main import run as kubinet
from kubinet.errors import InvalidInputError

pytestmark = pytest.mark.slow


def scaled(factors: dict[str, float]) -> Callable[[Run, random.Random], list[dict[str, object]]]:
    """Round-trip times of some overlays times a factor."""

    def readings(run: Run, dice: random.Random) -> list[dict[str, object]]:
        factor = factors.get(run.levels["overlay"], 1.0)
        return [{**row, "value": float(str(row["value"])) * factor} for row in pings(run, dice)]

    return readings


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("compare")
    return {
        "before": write_folder(place / "before"),
        "again": write_folder(place / "again", seed=8),
        "slower": write_folder(place / "slower", seed=9, readings=scaled({"vxlan": 1.2, "geneve": 0.8})),
    }


def test_the_same_experiment_again_has_not_changed(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs of the same: nothing became worse, exit status 0, and the medians are counted that agree."""
    status = kubinet(["compare", str(folders["before"]), str(folders["again"])])
    printed = capsys.readouterr().out
    assert status == 0
    assert "6 values: 6 same (tolerance 5 %)." in printed
    assert "of 6 medians of the second are inside the first's 95 % interval; about 83 % would be if" in printed
    assert (
        "No difference is recorded in machine, versions, code, load before, idle time and the processor's speed."
        in printed
    )


def test_what_else_differed_is_told(tmp_path: Path) -> None:
    """Another kernel, other code, more load before, less idle time, a slower processor: each a possible reason."""
    other = write_folder(tmp_path / "other", seed=8)
    versions = {"kubinet": "0.1.0", "git": {"commit": "4567cdef", "dirty": True}, "kernel": "6.2"}
    (other / "versions.json").write_text(json.dumps(versions))
    machine = {"cpu_model": "A processor", "cpus": 2, "memory_mib": 7900, "kernel": "6.2"}
    (other / "machine.json").write_text(json.dumps(machine))
    before = write_folder(tmp_path / "before", seed=7)
    (before / "machine.json").write_text(json.dumps({**machine, "kernel": "6.1"}))
    session = json.loads((other / "session.json").read_text())
    session["sessions"][0]["load_before"] = [2.6, 1.0, 0.5]
    (other / "session.json").write_text(json.dumps(session))
    for path in other.glob("runs/*/machine.csv"):
        pd.read_csv(path).assign(idle=0.05, work_us=104).to_csv(path, index=False)
    found = compare(load(before), load(other)).circumstances
    assert found[:3] == (
        "kernel 6.1 and 6.2",
        "git commit 0123abcd and 4567cdef",
        "changes that are not committed (second)",
    )
    assert found[3] == "load average before 0.1 and 2.6"
    assert found[4] == "idle time 50 % and 5 % of the CPUs"
    assert found[5:] == ("the second one's processor was 30 % slower (80 and 104 µs for the same work)",)


@given(before=st.integers(3, 9), after=st.integers(3, 9))
@settings(max_examples=20, deadline=None)
def test_how_many_medians_agree_by_chance(before: int, after: int) -> None:
    """As often as drawn runs do; below six runs the interval is their range, from six on that of a normal mean."""
    dice = random.Random(before * 10 + after)
    inside = 0
    for _ in range(4000):
        first = [dice.gauss(0, 1) for _ in range(before)]
        second = [dice.gauss(0, 1) for _ in range(after)]
        if before < 6:
            inside += min(first) <= statistics.median(second) <= max(first)
        else:
            half = 1.96 / before**0.5
            inside += abs(statistics.fmean(second) - statistics.fmean(first)) <= half
    assert expected_inside(before, after) == pytest.approx(inside / 4000, abs=0.06)


def test_a_regression_is_found_and_fails(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """20 % more round-trip time is worse, 20 % less is better, the rest is the same; exit status 1."""
    status = kubinet(["compare", str(folders["before"]), str(folders["slower"]), "-o", "json"])
    document = json.loads(capsys.readouterr().out)
    assert status == 1
    changes = {(one["levels"]["overlay"], one["statistic"]): one for one in document["changes"]}
    assert {key: one["change"] for key, one in changes.items()} == {
        ("direct", "p50"): "same",
        ("vxlan", "p50"): "worse",
        ("geneve", "p50"): "better",
        ("direct", "p99"): "same",
        ("vxlan", "p99"): "worse",
        ("geneve", "p99"): "better",
    }
    worse = changes["vxlan", "p50"]
    assert worse["ratio"]["value"] == pytest.approx(1.2, abs=0.03)
    assert worse["ratio"]["low"] < 1.2 < worse["ratio"]["high"] + 0.02
    assert (worse["better"], worse["insideFirstInterval"], worse["cliffsDelta"]["value"]) == ("lower", False, 1.0)
    assert document["regressions"] == 2


def test_a_wide_tolerance_forgives(folders: dict[str, Path]) -> None:
    """A change within the tolerance is none."""
    assert kubinet(["compare", str(folders["before"]), str(folders["slower"]), "--tolerance", "0.3"]) == 0


def test_the_direction_can_be_stated(folders: dict[str, Path]) -> None:
    """If a higher value is better, it is the other overlay that became worse."""
    first, second = load(folders["before"]), load(folders["slower"])
    found = compare(first, second, better={"rtt": Better.HIGHER})
    assert {one.levels["overlay"] for one in found.regressions} == {"geneve"}
    unknown = compare(first, second, better={"rtt": Better.UNKNOWN})
    assert unknown.regressions == ()
    assert [one.change for one in unknown.changes].count(Change.CHANGED) == 4


def test_junit_has_a_failure_for_each_regression(folders: dict[str, Path], tmp_path: Path) -> None:
    """CI systems read how many became worse and which."""
    out = tmp_path / "out.xml"
    assert kubinet(["compare", str(folders["before"]), str(folders["slower"]), "--junit", str(out)]) == 1
    root = Xml.fromstring(out.read_text())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "2", "0")
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["rtt p50 of overlay=vxlan", "rtt p99 of overlay=vxlan"]
    [suite] = root
    assert suite.get("name") == "before to slower"


def test_what_only_one_has_is_said(
    tmp_path: Path, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Levels and metrics of only one folder are listed, not silently left out."""

    def readings(run: Run, dice: random.Random) -> list[dict[str, object]]:
        rows = pings(run, dice)
        return [*rows, {**rows[0], "metric": "jitter"}]

    text = OVERLAYS.replace("[direct, vxlan, geneve]", "[direct, vxlan]").split("  claims:")[0]
    less = write_folder(tmp_path / "less", experiment=text, factors={"overlay": ("direct", "vxlan")}, readings=readings)
    assert kubinet(["compare", str(folders["before"]), str(less)]) == 0
    printed = capsys.readouterr().out
    assert "4 values: 4 same" in printed
    assert "Only in the first: rtt of overlay=geneve." in printed
    assert "Only in the second: metric jitter." in printed


def test_nothing_in_common_is_an_error(tmp_path: Path, folders: dict[str, Path]) -> None:
    """Folders without a common metric cannot be compared."""

    def readings(run: Run, dice: random.Random) -> list[dict[str, object]]:
        return [{**pings(run, dice)[0], "metric": "other"}]

    other = write_folder(tmp_path / "other", repetitions=1, readings=readings)
    with pytest.raises(InvalidInputError, match="nothing can be compared"):
        compare(load(folders["before"]), load(other))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tolerance", "much"], "--tolerance much: write a share such as 5% or 0.05"),
        (["--tolerance", "500%"], "--tolerance 500%: write a share"),
        (["--lower-is-better", "speed"], "metric 'speed' has no samples; there are: rtt"),
        (
            ["--lower-is-better", "rtt", "--higher-is-better", "rtt"],
            "metric 'rtt' cannot be better both",
        ),
    ],
)
def test_wrong_options_are_refused(
    folders: dict[str, Path], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option is named; exit status 2."""
    assert kubinet(["compare", str(folders["before"]), str(folders["again"]), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metric", "unit", "expected"),
    [
        ("rtt", "ms", Better.LOWER),
        ("throughput", "Mbit/s", Better.HIGHER),
        ("requests", "requests/s", Better.HIGHER),
        ("memory", "MiB", Better.LOWER),
        ("echo requests lost", "", Better.LOWER),
        ("retransmits", "segments/s", Better.LOWER),
        ("share", "", Better.UNKNOWN),
    ],
)
def test_units_tell_the_direction(metric: str, unit: str, expected: Better) -> None:
    """Rates should be high; times, sizes, losses and errors low; of others it is not known."""
    assert better_of(metric, unit, {}) is expected


def effect(low: float, value: float, high: float) -> Contrast:
    """A difference from a baseline of 100."""
    one = Estimate(100, 99, 101, 10, 10)
    difference = Estimate(value, low, high, 20, 10)
    return Contrast(one, one, difference, None, difference, difference, 0.5, paired=False)


@settings(deadline=None)
@given(st.floats(-50, 50), st.floats(0, 20), st.sampled_from([Better.LOWER, Better.HIGHER]), st.floats(0, 0.5))
def test_worse_one_way_is_better_the_other_way(value: float, width: float, better: Better, tolerance: float) -> None:
    """Turning the sign exchanges better and worse and leaves the rest; small changes are never worse."""
    there = judge(effect(value - width, value, value + width), better, tolerance)
    back = judge(effect(-value - width, -value, -value + width), better, tolerance)
    exchanged = {Change.WORSE: Change.BETTER, Change.BETTER: Change.WORSE}
    assert back is exchanged.get(there, there)
    if abs(value) <= tolerance * 100:
        assert there is Change.SAME
    if value - width > tolerance * 100 and better is Better.LOWER:
        assert there is Change.WORSE


def test_how_long_parts_took_is_no_result(tmp_path: Path, folders: dict[str, Path]) -> None:
    """Metrics that say how long a part of a run took are compared only when they are named."""

    def readings(run: Run, dice: random.Random) -> list[dict[str, object]]:
        rows = pings(run, dice)
        return [*rows, {**rows[0], "metric": "rtt duration", "unit": "s"}]

    first, second = (load(write_folder(tmp_path / name, readings=readings)) for name in "ab")
    assert {one.metric for one in compare(first, second).changes} == {"rtt"}
    assert {one.metric for one in compare(first, second, metrics=["rtt duration"]).changes} == {"rtt duration"}
