"""Sessions of the dice experiment, and what is in their folders."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakeexperiments import design

from experiments.design.model import ExperimentDesign
from experiments.design.plan import plan
from experiments.engine.folder import ResultsFolder
from experiments.engine.session import Manner, SessionEnd, carry_out_session
from experiments.engine.telling import Follower

TOOLS = "fakeexperiments:TOOLS"
SERIAL = Manner(tools=TOOLS)


class Heard(Follower):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def told(self, index: int, text: str) -> None:
        self.lines.append(f"{index}: {text}")

    def said(self, text: str) -> None:
        self.lines.append(text)


def orders_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose files the dice obey; workers find the fakes. Versions, which take seconds, are not asked for."""
    folder = tmp_path / "orders"
    folder.mkdir()
    monkeypatch.setenv("FAKE_ORDERS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("experiments.engine.folder.versions", lambda: {"kubinet": "test"})
    return folder


def new(parent: Path, made: ExperimentDesign | None = None) -> ResultsFolder:
    chosen = made or design()
    return ResultsFolder.create(parent / "results", chosen, plan(chosen), implementation="", name=chosen.name)


def session(folder: ResultsFolder, manner: Manner = SERIAL, heard: Heard | None = None) -> SessionEnd:
    try:
        return carry_out_session(folder, manner, heard or Heard(), ["kubinet", "run", "dice"])
    finally:
        folder.release()


def table(folder: Path) -> list[dict[str, Any]]:
    """Everything that was measured, by run."""
    rows = []
    for run in sorted((folder / "runs").iterdir()):
        record = json.loads((run / "run.json").read_text())
        with (run / "samples.csv").open(newline="") as file:
            rows += [{"run": record["index"], "seed": record["seed"], **row} for row in csv.DictReader(file)]
    return rows


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "session.json").read_text())
    return found


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
