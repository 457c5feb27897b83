"""The results folder of a session: what was planned, how far it is, one folder a run."""

import fcntl
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from experiments.design.document import read_experiment
from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.design.resolved import experiment_yaml
from experiments.engine.files import read_json
from experiments.engine.run import COMPLETE, RunOutcome, outcome_of
from experiments.engine.values import from_data, to_data
from experiments.folder import new_folder, write_json, write_text
from experiments.machine import git_changes, load_average, machine_facts, versions
from experiments.options import option
from kubinet.errors import InvalidInputError, KubinetError

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
STOPPED: Final = "stopped"
SESSION: Final = "session.json"
DESIGN: Final = "design.json"
EXPERIMENT: Final = "experiment.yaml"
DISK_RESERVE_BYTES: Final = 64 * 2**20


@dataclass(slots=True)
class ResultsFolder:
    """One results folder; made by `create`, found again by `open`."""

    path: Path
    design: ExperimentDesign
    implementation: str
    """`module:object` of the Python class that the design came from; empty for a file."""
    runs: tuple[PlannedRun, ...]
    state: dict[str, Any] = field(default_factory=dict)
    _lock: int = -1

    @classmethod
    def create(
        cls, parent: Path, design: ExperimentDesign, runs: Sequence[PlannedRun], *, implementation: str, name: str
    ) -> "ResultsFolder":
        """Make `<name>-<UTC time>-<short id>` under `parent`; KubinetError when that is not possible."""
        path = new_folder(parent, name, ("runs", "figures"))
        folder = cls(path, design, implementation, tuple(runs))
        folder._take()
        check_disk(path, design.run_bytes * len(runs))
        write_json(
            path / DESIGN,
            {
                "experiment": design.name,
                "implementation": implementation,
                "seed": design.seed,
                "order": design.order.value,
                "runs": to_data(folder.runs),
            },
        )
        write_text(path / EXPERIMENT, experiment_yaml(design))
        write_json(path / "versions.json", versions())
        if changes := git_changes():
            write_text(path / "git.diff", changes)
        write_json(path / "machine.json", machine_facts())
        folder.state = {"experiment": design.name, "state": RUNNING, "why": "", "sessions": []}
        return folder

    @classmethod
    def open(cls, path: Path) -> "ResultsFolder":
        """A folder to go on with; InvalidInputError where it is none, KubinetError while another session writes it."""
        document, state = read_json(path / DESIGN), read_json(path / SESSION)
        if document is None or state is None:
            raise InvalidInputError(f"{path}: no results folder of `kubinet run` ({DESIGN} and {SESSION} are missing)")
        design = read_experiment(path / EXPERIMENT)
        runs = tuple(from_data(PlannedRun, one) for one in document["runs"])
        folder = cls(path, design, document["implementation"], runs, state)
        folder._take()
        for run in runs:
            place = folder.run_folder(run.index)
            if place.exists() and outcome_of(place) is None:
                shutil.rmtree(place)
        return folder

    def _take(self) -> None:
        """Keep other sessions out; the lock goes with this process, however it ends."""
        self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise KubinetError(f"{self.path}: another `kubinet run` is writing this folder; wait for its end") from None

    def release(self) -> None:
        """Let other sessions in."""
        if self._lock >= 0:
            (self.path / ".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def run_folder(self, index: int) -> Path:
        """Where a run is kept."""
        return self.path / "runs" / f"{index:04d}"

    def new_run_folder(self, index: int) -> Path:
        """An empty folder for a run; what a failed one left moves to `failed/`, where it can be looked at."""
        place = self.run_folder(index)
        if outcome_of(place) is not None:
            graves = self.path / "failed"
            graves.mkdir(exist_ok=True)
            attempt = 1 + sum(1 for _ in graves.glob(f"{index:04d}-*"))
            place.rename(graves / f"{index:04d}-{attempt}")
        elif place.exists():
            shutil.rmtree(place)
        place.mkdir(parents=True)
        return place

    def outcomes(self) -> Mapping[int, RunOutcome]:
        """How each run ended that did."""
        found = {run.index: outcome_of(self.run_folder(run.index)) for run in self.runs}
        return {index: outcome for index, outcome in found.items() if outcome is not None}

    def begin_session(self, command_line: Sequence[str]) -> None:
        """Note that a session begins."""
        self.state["sessions"].append(
            {
                "started": now(),
                "ended": None,
                "seconds": 0.0,
                "command_line": list(command_line),
                "pid": os.getpid(),
                "load_before": load_average(),
                "load_after": None,
            }
        )
        self.save(RUNNING)

    def save(self, state: str, why: str = "", *, seconds: float = 0.0, ended: bool = False) -> None:
        """Write session.json; `seconds`: how long this session has gone on."""
        outcomes = self.outcomes()
        complete = sum(one.state == COMPLETE for one in outcomes.values())
        self.state |= {
            "state": state,
            "why": why,
            "runs": {"planned": len(self.runs), "complete": complete, "failed": len(outcomes) - complete},
            "updated": now(),
        }
        session = self.state["sessions"][-1]
        session["seconds"] = round(max(seconds, session["seconds"]), 3)
        if ended:
            session |= {"ended": now(), "load_after": load_average()}
        write_json(self.path / SESSION, self.state)

    @property
    def seconds(self) -> float:
        """How long all sessions took together, as far as was noted."""
        return float(sum(session["seconds"] for session in self.state["sessions"]))


def check_disk(path: Path, needed: int) -> None:
    """KubinetError when fewer bytes than `needed` and a reserve are free where `path` is or will be."""
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed + DISK_RESERVE_BYTES:
        raise KubinetError(
            f"results folder {path}: {free // 2**20} MiB free, {(needed + DISK_RESERVE_BYTES) // 2**20} MiB needed; "
            f"name another with {option('--output-dir')}"
        )


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
