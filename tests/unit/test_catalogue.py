"""The catalogue: every file is an experiment that can be run as it stands, and its page speaks of the same one."""

import re
from pathlib import Path

import pytest

from experiments.design.document import read_experiment
from experiments.design.dryrun import DryRun, dry_run
from experiments.engine.api import prepare
from experiments.plugins import workloads
from experiments.registry import CATALOGUE, find_experiment

pytestmark = pytest.mark.slow

FILES = sorted(CATALOGUE.glob("*.yaml"))
PAGES = Path(__file__).parents[2] / "docs" / "experiments"


def expected(path: Path, tmp_path: Path, *, quick: bool = False) -> DryRun:
    """The experiment after every check that `kubinet run` makes before its first run."""
    design = prepare(path, quick=quick, output_dir=tmp_path).design
    return dry_run(design, workloads)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_the_catalogue_is_an_experiment_of_its_name(path: Path) -> None:
    """It is found by its name, says what its results must show, and draws figures."""
    design = read_experiment(path)
    assert design.name == path.stem
    assert find_experiment(design.name).path == path
    assert design.claims
    assert design.analysis
    assert {one.metric for one in design.claims} <= {one.metric for one in design.analysis}
    assert any(one.baseline for one in design.analysis) or any(claim.against for claim in design.claims)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_full_run_takes_ten_minutes_and_a_quick_one_a_minute(path: Path, tmp_path: Path) -> None:
    """Both pass every check, on a machine without other work within their time; quick runs are some of the full."""
    full, quick = expected(path, tmp_path), expected(path, tmp_path, quick=True)
    assert full.seconds <= 600
    assert quick.seconds <= 60
    assert full.repetitions >= 3
    combinations = [dict(one.run.levels) for one in full.runs]
    assert all(dict(one.run.levels) in combinations for one in quick.runs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_page_speaks_of_the_file(path: Path) -> None:
    """Title, question, link to the file, every factor and its levels, every published source's title."""
    design = read_experiment(path)
    page = (PAGES / f"{design.name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {design.name}: ")
    assert f"**Question.** {design.question}" in page.replace("\n", " ")
    assert f"(../../experiments/catalogue/{path.name})" in page
    for factor in design.factors:
        assert f"`{factor.name}`" in page
        assert all(level.name in page for level in factor.levels), factor.name
    for published in design.published:
        title = re.sub(r"^[^:]*: ", "", published.source).split(",")[0]
        assert title in page.replace("\n", " ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_page_names_how_many_runs_there_are(path: Path, tmp_path: Path) -> None:
    """Where a page says beside the command how many runs it makes, it makes so many."""
    page = (PAGES / f"{path.stem}.md").read_text(encoding="utf-8")
    said = dict(re.findall(rf"kubinet run {path.stem}( --quick)? +# (\d+) runs?", page))
    counted = {"": len(expected(path, tmp_path).runs), " --quick": len(expected(path, tmp_path, quick=True).runs)}
    assert {option: int(runs) for option, runs in said.items()} in (counted, {})


def test_the_table_of_experiments_is_the_catalogue() -> None:
    """One row a file, with its name, page and summary, in the order of names."""
    table = (PAGES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`([a-z-]+)`\]\(([a-z-]+)\.md\) \| (.+) \|$", table, re.MULTILINE)
    assert rows == [(path.stem, path.stem, read_experiment(path).summary) for path in FILES]
