"""A results folder as data frames, and its tables of all samples."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from resultsfolders import write_folder

from experiments.results import collect, load
from kubinet.errors import InvalidInputError, UsageError

INVALID = {"verdict": {"verdict": "invalid", "reasons": ["no idle CPU in 5 of 8 s"]}}
SUSPECT = {"verdict": {"verdict": "suspect", "reasons": ["the hypervisor took 12% of the CPU time", "late"]}}
FAILED = {"state": "failed", "error": "DeadlineError: pod a is not ready"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "results", repetitions=2, changes={1: INVALID, 2: SUSPECT, 4: FAILED}, events=True)


def test_samples_have_run_factors_and_value(folder: Path) -> None:
    """One row a sample; the factors are columns; the first row is the first sample of the first run."""
    found = load(folder)
    assert list(found.samples.columns) == [
        *(
            "run",
            "repetition",
            "verdict",
            "overlay",
            "source",
            "target",
            "metric",
            "sequence",
            "time_s",
            "value",
            "unit",
        )
    ]
    first = found.samples.iloc[0]
    assert (first["run"], first["repetition"], first["source"], first["metric"]) == (0, 0, "pod/a", "rtt")
    assert first["overlay"] == found.runs.iloc[0]["overlay"]
    assert len(found.samples) == 4 * 40
    assert (found.factors, found.metrics, found.planned) == (("overlay",), ("rtt",), 6)


def test_failed_and_invalid_runs_are_left_out_with_the_reason(folder: Path) -> None:
    """Samples of invalid and failed runs are not there, the table of runs says why."""
    found = load(folder)
    assert sorted(found.samples["run"].unique()) == [0, 2, 3, 5]
    assert dict(zip(found.runs["run"], found.runs["excluded"], strict=True)) == {
        0: "",
        1: "invalid: no idle CPU in 5 of 8 s",
        2: "",
        3: "",
        4: "failed: DeadlineError: pod a is not ready",
        5: "",
    }
    assert sorted(load(folder, include_invalid=True).samples["run"].unique()) == [0, 1, 2, 3, 5]


def test_verdicts_have_a_row_for_each_reason(folder: Path) -> None:
    """A run with two reasons has two rows, one without reasons has one."""
    verdicts = load(folder).verdicts
    assert verdicts[verdicts["run"] == 2]["reason"].tolist() == ["the hypervisor took 12% of the CPU time", "late"]
    assert verdicts[verdicts["run"] == 0][["verdict", "reason"]].values.tolist() == [["valid", ""]]


def test_events_machine_and_links_of_every_used_run(folder: Path) -> None:
    """Events, machine seconds and links carry their run's number."""
    found = load(folder)
    assert len(found.events) == 4 * 4
    assert found.events.iloc[0][["run", "seconds", "event", "fault"]].tolist() == [
        *(0, 1.01, "injected", "link leaf1-spine1 down")
    ]
    assert found.machine.groupby("run").size().tolist() == [8, 8, 8, 8]
    assert found.links[["run", "moment", "name", "declared", "measured"]].head(2).values.tolist() == [
        [0, "before", "leaf1-spine1", 2.0, 2.03],
        [0, "after", "leaf1-spine1", 2.0, 2.05],
    ]


def test_a_run_without_run_json_did_not_happen(folder: Path) -> None:
    """A folder that is still being written can be loaded: the run under way is not seen."""
    (folder / "runs" / "0005" / "run.json").unlink()
    assert load(folder).runs["run"].tolist() == [0, 1, 2, 3, 4]


def test_labels_of_some_runs_become_columns_of_all(tmp_path: Path) -> None:
    """A label that only some samples have is empty elsewhere."""

    def readings(run, dice):
        labels = {"path": "far"} if run.index else {}
        yield {
            **labels,
            "source": "a",
            "target": "b",
            "metric": "m",
            "sequence": 0,
            "time_s": 1.5,
            "value": 2,
            "unit": "s",
        }

    samples = load(write_folder(tmp_path / "r", repetitions=1, readings=readings)).samples
    assert samples[["run", "path", "value"]].values.tolist() == [[0, "", 2.0], [1, "far", 2.0], [2, "far", 2.0]]


def test_collected_tables_hold_every_sample_and_are_the_same_again(folder: Path) -> None:
    """runs.parquet and runs.csv hold the samples of all complete runs; writing them again gives the same bytes."""
    everything = load(folder, include_invalid=True)
    paths = collect(everything)
    first = [path.read_bytes() for path in paths]
    assert [path.name for path in paths] == ["runs.parquet", "runs.csv"]
    pd.testing.assert_frame_equal(pd.read_parquet(paths[0]), everything.samples)
    again = pd.read_csv(paths[1], keep_default_na=False)
    assert again["value"].tolist() == everything.samples["value"].tolist()
    assert again.columns.tolist() == everything.samples.columns.tolist()
    assert [path.read_bytes() for path in collect(load(folder, include_invalid=True))] == first


def test_what_is_no_results_folder_is_refused(tmp_path: Path) -> None:
    """Another folder is refused by name."""
    with pytest.raises(UsageError, match="not a results folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "{", "run.json: not JSON"),
        ("run.json", "[]", "run.json: a JSON object was expected, not list"),
        ("run.json", '{"index": 0}', "run.json: not a run of Kubinet .KeyError: 'repetition'.; restore the file, or"),
        ("samples.csv", "a,b\n1,2\n", "samples.csv: column 'source' is missing; was the file edited?"),
        ("samples.csv", "", "samples.csv: cannot be read as a table"),
        ("links.json", "{}", "links.json: a JSON array was expected"),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, text: str, message: str) -> None:
    """A file that cannot be read is named, with what to do."""
    (folder / "runs" / "0000" / name).write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load(folder)


def test_a_label_with_a_factors_name_is_refused(tmp_path: Path) -> None:
    """A label cannot stand in a factor's column."""

    def readings(run, dice):
        yield {
            "overlay": "x",
            "source": "",
            "target": "",
            "metric": "m",
            "sequence": 0,
            "time_s": 1,
            "value": 2,
            "unit": "",
        }

    folder = write_folder(tmp_path / "r", repetitions=1, readings=readings)
    with pytest.raises(
        InvalidInputError, match="column 'overlay' is the name of a factor or of the run; rename a label"
    ):
        load(folder)


def test_run_json_keeps_its_form(folder: Path) -> None:
    """A run's levels, times and verdict come back as they were written."""
    record = load(folder).records[2]
    written = json.loads((folder / "runs" / "0002" / "run.json").read_text())
    assert record.planned.levels == written["levels"]
    assert (record.planned.seed, record.started_s, record.up_s) == (102, written["started_s"], 1.25)
    assert record.assessment.reasons == ("the hypervisor took 12% of the CPU time", "late")


def test_the_command_line_starts_without_pandas() -> None:
    """Who does not ask for results does not wait for pandas, pyarrow or matplotlib."""
    code = (
        "import sys, kubinet.cli.commands, experiments; print({'pandas', 'pyarrow', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
