"""Sessions of an experiment: a folder that is written as runs end, failures, stops, resuming, runs side by side."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakeexperiments import design
from sessions import TOOLS, Heard, new, orders_folder, session, state, table, wait

from experiments.design.model import ExperimentDesign
from experiments.engine.folder import ResultsFolder
from experiments.engine.session import Manner
from experiments.engine.workerchoice import parse_workers
from kubinet.errors import InvalidInputError, KubinetError, UsageError

pytestmark = pytest.mark.slow


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose files the dice obey."""
    return orders_folder(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def quick_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking every program for its version takes seconds."""
    monkeypatch.setattr("experiments.engine.folder.versions", lambda: {"kubinet": "test"})


def test_session_measures_every_run_in_a_folder_of_its_own(tmp_path: Path, orders: Path) -> None:
    """Two levels, three repetitions: six runs with samples, machine, links, raw output and a record."""
    folder = new(tmp_path)
    end = session(folder)
    assert (end.state, end.wanted) == ("complete", True)
    runs = sorted(path.name for path in (folder.path / "runs").iterdir())
    assert runs == ["0000", "0001", "0002", "0003", "0004", "0005"]
    one = folder.path / "runs" / "0003"
    assert {path.name for path in one.iterdir()} == {
        *("run.json", "samples.csv", "machine.csv", "events.csv", "links.json", "topology.yaml", "manifests", "raw"),
    }
    assert (one / "samples.csv").read_text().splitlines()[0] == (
        "hand,recorder,source,target,metric,sequence,time_s,value,unit"
    )
    record = json.loads((one / "run.json").read_text())
    assert record["state"] == "complete"
    assert record["verdict"] == {"verdict": "suspect", "reasons": ["it is only played"]}
    assert record["timings"] == {"cluster": 0.5}
    assert len(table(folder.path)) == 24
    assert state(folder.path)["runs"] == {"planned": 6, "complete": 6, "failed": 0}
    assert list((orders / "up").iterdir()) == []


def test_what_is_to_be_said_of_the_timeline_is_in_the_verdict(tmp_path: Path, orders: Path) -> None:
    """A run whose timeline was cut short says so beside what was watched."""
    folder = new(tmp_path, replace(design(), timeline=("at 1s: kill api", "at 1h: kill controller")))
    session(folder)
    record = json.loads((folder.path / "runs" / "0000" / "run.json").read_text())
    reasons = ["it is only played", "timeline: at 1h: kill controller"]
    assert record["verdict"] == {"verdict": "suspect", "reasons": reasons}


def test_same_seed_gives_the_same_table(tmp_path: Path, orders: Path) -> None:
    """Order, seeds and what depends on them are functions of the experiment's seed."""
    tables = []
    for name in ("a", "b"):
        folder = new(tmp_path / name)
        session(folder)
        tables.append(table(folder.path))
    assert tables[0] == tables[1]


def test_failing_run_is_tried_again_at_the_end(tmp_path: Path, orders: Path) -> None:
    """A run that fails once is measured after the others; what it left is kept apart."""
    (orders / "0001").write_text("fail")
    heard = Heard()
    folder = new(tmp_path)
    end = session(folder, heard=heard)
    assert end.state == "complete"
    assert "1 of 6 runs failed; they are tried once more" in heard.lines
    assert json.loads((folder.path / "runs/0001/run.json").read_text())["state"] == "complete"
    failed = json.loads((folder.path / "failed/0001-1/run.json").read_text())
    assert failed["error"] == "workload throw: the dice of run 0001 fell off the table"


def test_run_that_fails_twice_is_recorded_and_named(tmp_path: Path, orders: Path) -> None:
    """The others are measured all the same; the session says which failed and why."""
    (orders / "0004").write_text("fail always")
    folder = new(tmp_path)
    end = session(folder)
    assert (end.state, end.wanted) == ("failed", False)
    assert end.why == (
        "1 of 6 runs failed twice (4); the last: workload throw: the dice of run 0004 fell off the table"
    )
    assert state(folder.path)["runs"] == {"planned": 6, "complete": 5, "failed": 1}
    record = json.loads((folder.path / "runs/0004/run.json").read_text())
    assert (record["state"], record["verdict"]["verdict"]) == ("failed", "invalid")


def test_resuming_measures_failed_runs_again(tmp_path: Path, orders: Path) -> None:
    """What is complete stays as it is; only the rest is measured."""
    (orders / "0004").write_text("fail always")
    folder = new(tmp_path)
    session(folder)
    (orders / "0004").unlink()
    before = (folder.path / "runs/0002/run.json").stat().st_mtime_ns
    end = session(ResultsFolder.open(folder.path))
    assert end.state == "complete"
    assert (folder.path / "runs/0002/run.json").stat().st_mtime_ns == before
    assert len(state(folder.path)["sessions"]) == 2


SCRIPT = """
import sys
from pathlib import Path
from fakeexperiments import design
from experiments.design.plan import plan
from experiments.engine.folder import ResultsFolder
from experiments.engine.session import Manner, carry_out_session
from experiments.engine.telling import Follower
made = design()
folder = ResultsFolder.create(Path(sys.argv[1]), made, plan(made), implementation="", name="dice")
carry_out_session(folder, Manner(jobs=int(sys.argv[2]), tools="fakeexperiments:TOOLS"), Follower(), [])
"""


@pytest.mark.parametrize(("number", "jobs"), [("SIGKILL", 1), ("SIGTERM", 1), ("SIGINT", 2), ("SIGKILL", 2)])
def test_session_that_is_ended_in_the_middle_goes_on_with_nothing_lost(
    tmp_path: Path, orders: Path, number: str, jobs: int
) -> None:
    """Ended in run 3, resumed: the same table as an uninterrupted session; no cluster is left."""
    whole = new(tmp_path / "whole")
    session(whole)
    (orders / "0003").write_text("wait")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "results"), str(jobs)])
    wait((orders / "0003.waits").exists)
    wait(lambda: any((tmp_path / "results").glob("*/runs/0002/run.json")))
    process.send_signal(signal.Signals[number])
    status = process.wait(60)
    assert status != 0
    (path,) = (tmp_path / "results").iterdir()
    assert state(path)["state"] == ("running" if number == "SIGKILL" else "interrupted")
    assert (path / "runs/0002/run.json").exists()
    assert not (path / "runs/0003/run.json").exists()
    if number != "SIGKILL" or jobs > 1:  # killed itself, a process cannot tidy its fake cluster up
        wait(lambda: not any((orders / "up").iterdir()))
    (orders / "0003").unlink()
    end = session(ResultsFolder.open(path))
    assert end.state == "complete"
    assert table(path) == table(whole.path)


def test_folder_that_another_session_writes_is_refused(tmp_path: Path, orders: Path) -> None:
    """Two sessions in one folder would overwrite each other's runs."""
    folder = new(tmp_path)
    session(folder)
    first = ResultsFolder.open(folder.path)
    with pytest.raises(KubinetError, match=r"another `kubinet run` is writing this folder"):
        ResultsFolder.open(folder.path)
    first.release()


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """--resume takes results folders only."""
    with pytest.raises(InvalidInputError, match="no results folder of `kubinet run`"):
        ResultsFolder.open(tmp_path)


@pytest.mark.parametrize("jobs", [2, 3])
def test_runs_side_by_side_give_the_same_table(tmp_path: Path, orders: Path, jobs: int) -> None:
    """Processes of their own change nothing in what is measured, and tell what they do."""
    whole, beside, heard = new(tmp_path / "a"), new(tmp_path / "b"), Heard()
    session(whole)
    session(beside, Manner(jobs=jobs, tools=TOOLS), heard)
    assert table(beside.path) == table(whole.path)
    assert "5: workload throw" in heard.lines


def test_process_that_dies_is_a_failed_run(tmp_path: Path, orders: Path) -> None:
    """A run whose process is killed is recorded as failed and tried again."""
    folder = new(tmp_path)
    (orders / "0002").write_text("wait")

    def kill() -> None:
        wait((orders / "0002.waits").exists)
        pattern = ["pgrep", "-P", str(os.getpid()), "-f", "experiments.engine.worker"]
        children = subprocess.run(pattern, capture_output=True, text=True, check=False).stdout.split()
        (orders / "0002").write_text("wait for the second")
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        (orders / "0002").unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    end = session(folder, Manner(jobs=2, tools=TOOLS))
    killer.join()
    assert end.state == "complete"
    assert (
        "its process ended with status -9" in json.loads((folder.path / "failed/0002-1/run.json").read_text())["error"]
    )


def test_runs_side_by_side_are_refused_where_speed_is_measured(tmp_path: Path, orders: Path) -> None:
    """They would disturb each other; one worker at a time is fine."""
    made = design().__class__(**{**_fields(design()), "measures_speed": True})
    for manner in (Manner(jobs=2, tools=TOOLS), Manner(workers=parse_workers("local:2"), tools=TOOLS)):
        folder = new(tmp_path, made)
        with pytest.raises(UsageError, match="this experiment measures speed"):
            session(folder, manner)


def _fields(made: ExperimentDesign) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


@pytest.mark.parametrize(
    ("stop", "measured", "expected_state", "why", "wanted"),
    [
        ("  stop: {maxInvalid: 20%}\n", 4, "stopped", "2 of 4 runs failed or are invalid, maxInvalid is 20%", False),
        (
            "  stop: {precision: {metric: eyes, statistic: max, halfWidth: 99%, minimum: 2}}\n",
            4,
            "stopped",
            "precise enough after 2 repetitions: eyes max is known to",
            True,
        ),
        ("  stop: {maxDuration: 1ns}\n", 0, "stopped", "it took 0 s, maxDuration is 1e-09 s", False),
    ],
)
def test_session_stops_when_a_condition_holds(
    tmp_path: Path,
    orders: Path,
    stop: str,
    measured: int,
    expected_state: str,
    why: str,
    wanted: bool,
) -> None:
    """Too many bad runs, too much time, or a statistic that is known well enough."""
    if "maxInvalid" in stop:
        for name in ("0000", "0001"):
            (orders / name).write_text("fail always")
    folder = new(tmp_path, design(stop))
    end = session(folder)
    assert (end.state, end.wanted) == (expected_state, wanted)
    assert end.why.startswith(why)
    assert len(list((folder.path / "runs").iterdir())) == measured


def test_dask_workers_fill_the_same_results_folder(tmp_path: Path, orders: Path) -> None:
    """Two local workers: the same table as one run after the other."""
    pytest.importorskip("distributed")
    whole, spread = new(tmp_path / "a"), new(tmp_path / "b")
    session(whole)
    heard = Heard()
    end = session(spread, Manner(workers=parse_workers("local:2"), tools=TOOLS), heard)
    assert end.state == "complete", end.why
    assert table(spread.path) == table(whole.path)
    assert any(line.endswith(": workload throw") for line in heard.lines)


@pytest.mark.parametrize(
    "text",
    [
        *("local:0", "local", "local:2,python=/p", "ssh:", "ssh:a,a", "ssh:python=/p", "ssh:a,port=3", "ssh:a,python="),
        *("slurm:jobs=x", "slurm:queue", "slurm:jobs=0", "slurm:=4", "cloud:3"),
    ],
)
def test_wrong_workers_are_refused_with_the_forms(text: str) -> None:
    """A usage error before anything is started."""
    with pytest.raises(UsageError, match="--workers"):
        parse_workers(text)


@pytest.mark.parametrize(
    ("text", "kind", "count", "hosts", "options"),
    [
        ("local:3", "local", 3, (), {}),
        ("ssh:alpha,beta", "ssh", 2, ("alpha", "beta"), {}),
        ("ssh:alpha,python=/opt/python", "ssh", 1, ("alpha",), {"python": "/opt/python"}),
        ("slurm:jobs=4,queue=debug", "slurm", 4, (), {"queue": "debug"}),
    ],
)
def test_workers_by_their_words(
    text: str, kind: str, count: int, hosts: Sequence[str], options: dict[str, str]
) -> None:
    """A worker for each process, host or job."""
    found = parse_workers(text)
    assert (found.kind, found.count, found.hosts, dict(found.options)) == (kind, count, hosts, options)
