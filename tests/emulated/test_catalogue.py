"""Every experiment that has a name, with `--quick`: it ends with all its runs, and its results folder is whole.

What its times must be is not looked at: the machine may have other work, and one run each settles no claim.
"""

import csv
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from balancingfacts import check_algorithms
from runcommand import run_command

from experiments.design.model import ExperimentDesign
from experiments.design.plan import plan
from experiments.engine.api import prepare
from experiments.registry import list_experiments

pytestmark = pytest.mark.emulated

ENTRIES = {entry.name: entry for entry in list_experiments()}
LIMIT_SECONDS = 240.0
"""Four times what `--quick` promises for an idle machine: two experiments run at a time, beside what else there is."""
BUSY = re.compile(
    "no idle CPU in|the hypervisor took|programs woke up|nothing ran for|the machine stood still|"
    "the control group's CPU quota|the kernel dropped .* backlog was full|the wall clock was set"
)
"""How a verdict begins that names the state of the machine (experiments/validity/machine.py)."""
LINK = re.compile("^link .* measured")
"""How a verdict names a link that is not as declared; on a machine without idle CPU, that is its state, too."""


@dataclass(frozen=True)
class Results:
    """What `kubinet run NAME --quick -o json` answered, and its folder."""

    answer: dict[str, Any]

    @property
    def directory(self) -> Path:
        return Path(self.answer["directory"])

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """Every run's record, in order."""
        return [self.read(path) for path in sorted(self.directory.glob("runs/*/run.json"))]

    @cached_property
    def invalid(self) -> list[list[str]]:
        """The reasons of every run whose verdict is invalid."""
        return [run["verdict"]["reasons"] for run in self.runs if run["verdict"]["verdict"] == "invalid"]

    def read(self, path: Path) -> dict[str, Any]:
        """A JSON file of the folder."""
        found: dict[str, Any] = json.loads((self.directory / path).read_text(encoding="utf-8"))
        return found

    def rows(self, name: str) -> list[dict[str, str]]:
        """A CSV file of the folder."""
        with (self.directory / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def run_quick(name: str, folder: Path) -> Results:
    """Run it as a user does; what it said explains a failure."""
    return Results(run_command(name, "--quick", folder=folder, seconds=LIMIT_SECONDS))


def blames_only_the_machine(reasons: Sequence[str]) -> bool:
    """Whether nothing but other work explains a verdict."""
    busy = any(BUSY.match(reason) for reason in reasons)
    return busy and all(BUSY.match(reason) or LINK.match(reason) for reason in reasons)


@pytest.mark.parametrize("name", ENTRIES)
def test_experiment_with_quick(name: str, tmp_path: Path) -> None:
    """Every planned run is complete and has samples; every table of the report has rows, every figure is drawn.

    A verdict may be suspect. It is invalid only for what the machine did; then it is run once more.
    """
    path = ENTRIES[name].path
    design = prepare(path or name, quick=True, output_dir=tmp_path).design
    found = run_quick(name, tmp_path / "results")
    if found.invalid:
        found = run_quick(name, tmp_path / "again")

    assert (found.answer["state"], found.answer["why"]) == ("complete", "")
    planned = plan(design)
    assert found.read(Path("session.json"))["runs"] == {"planned": len(planned), "complete": len(planned), "failed": 0}
    assert [(run["levels"], run["repetition"]) for run in found.runs] == [
        (dict(one.levels), one.repetition) for one in planned
    ]
    assert [run["error"] for run in found.runs] == [None] * len(planned)
    assert [reasons for reasons in found.invalid if not blames_only_the_machine(reasons)] == []
    if found.invalid:
        pytest.skip(f"twice other work made runs invalid, {len(found.invalid)} of {len(planned)}: {found.invalid[0]}")
    assert {row["run"] for row in found.rows("runs.csv")} == {str(one.index) for one in planned}
    _check_report(found, design)
    if name == "service_load_balancing":
        check_algorithms(found.rows("summary.csv"), found.rows("runs.csv"))


def _check_report(found: Results, design: ExperimentDesign) -> None:
    """Tables, figures and the page; one of each for every entry of the file's `analysis`."""
    tables = found.answer["tables"]
    assert tables
    assert all(tables)
    summary = {row["metric"] for row in found.rows("summary.csv")}
    figures = {path.name for path in (found.directory / "figures").iterdir()}
    assert {Path(name).suffix for name in figures} == {".png", ".svg", ".pdf"}
    if design.analysis:
        assert summary == {one.metric for one in design.analysis}
        numbers = {int(name[:2]) for name in figures if name[:2].isdigit()}
        assert numbers == set(range(1, len(design.analysis) + 1))
    assert found.answer["finding"]
    report = Path(found.answer["report"]).read_text(encoding="utf-8")
    assert design.question in html.unescape(report)
    assert report.count("<img") > len(design.analysis)
