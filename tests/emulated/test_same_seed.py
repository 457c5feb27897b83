"""The same seed gives the same experiment: two runs in clusters of their own, laid side by side."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from runcommand import run_command

pytestmark = pytest.mark.emulated

ALGORITHMS = ("hash", "maglev", "source-hash")
"""Those that choose by a connection's addresses and ports; the others draw, or depend on when something happens."""


def _run(folder: Path, seed: int) -> Path:
    parameters = (f"algorithms={','.join(ALGORITHMS)}", "load_seconds=1", "warmup_seconds=0.5")
    options = [word for one in parameters for word in ("-p", one)]
    words = ("service_load_balancing", "--quick", "--seed", str(seed), *options)
    return Path(run_command(*words, folder=folder, seconds=240)["directory"])


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _samples(directory: Path) -> list[dict[str, str]]:
    with (directory / "runs.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _order(directory: Path) -> list[tuple[str, str]]:
    """What was measured after what: a part of a run says when it began and how long it took."""
    samples = sorted(_samples(directory), key=lambda row: float(row["time_s"]))
    return [(row["metric"], row["algorithm"]) for row in samples if row["metric"].endswith(" duration")]


def _choices(directory: Path) -> dict[tuple[str, str, str], str]:
    """Which endpoint answered each connection: algorithm, client and the connection's number to the endpoint."""
    rows = [row for row in _samples(directory) if row["metric"] == "connection"]
    return {(row["algorithm"], row["source"], row["sequence"]): row["target"] for row in rows}


def _schedule(directory: Path) -> dict[str, list[float]]:
    """When each client was to start its requests, seconds after the first, by the file of its output."""
    return {
        path.name: sorted(one[0] for one in _json(path)["requests"])
        for path in sorted(directory.glob("runs/*/raw/requests-*.json"))
    }


def test_a_seed_repeats_order_schedule_and_choices(tmp_path: Path) -> None:
    """Order of measurements, times of requests, and with them addresses and the endpoint of every connection."""
    with ThreadPoolExecutor(2) as side_by_side:
        first, second = side_by_side.map(lambda name: _run(tmp_path / name, seed=3), ("first", "second"))
    assert _json(first / "design.json") == _json(second / "design.json")
    assert _order(first) == _order(second)
    schedule = _schedule(first)
    assert len(schedule) == 8 * len(ALGORITHMS)
    assert _schedule(second) == schedule
    choices = _choices(first)
    assert {key[0] for key in choices} == set(ALGORITHMS)
    assert _choices(second) == choices
