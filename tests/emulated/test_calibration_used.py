"""`kubinet run` with the calibration of this machine and of another: refused, run anyway, not used."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.calibration.machine import fingerprint, state_folder
from experiments.calibration.values import Calibration, Capacity, Fingerprint, save

pytestmark = pytest.mark.emulated

EXPERIMENT = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: crowd}
spec:
  question: What do three nodes ask of a machine that can emulate one?
  topology: {preset: star, nodes: 3, set: {network.dnsReplicas: 0}}
  repetitions: 1
  warmup: 0s
  workload:
  - {name: probe, kind: probe-stream, from: node/n1, to: node/n2, seconds: 0.2, interval_ms: 5}
  measures: behaviour
  expect: {runSeconds: 1, runBytes: 10kB}
"""
NODES = "the topology has 3 nodes; this machine emulates 1 nodes honestly (no idle CPU in 3 of 3 s)"
PACKETS = "workload probe offers 200 packets/s; this machine emulates 50 packets/s honestly (1.6 % were lost)"


@pytest.fixture(scope="module")
def here() -> Fingerprint:
    """This machine."""
    return fingerprint()


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """The experiment's file."""
    path = tmp_path / "crowd.yaml"
    path.write_text(EXPERIMENT)
    return path


def _calibrated(machine: Fingerprint) -> None:
    """A machine that emulates one node, and 50 packets a second."""
    nodes = Capacity("nodes", "nodes", 1, 2, "no idle CPU in 3 of 3 s", "")
    packets = Capacity("packets", "packets/s", 50, 100, "1.6 % were lost", "")
    save(state_folder(), Calibration(machine, "2026-11-26T03:00:00+00:00", False, 100.0, 0.1, (nodes, packets)))


def _kubinet(*words: object) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "kubinet.cli.main", *map(str, words)]
    return subprocess.run(argv, env=dict(os.environ), capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_an_experiment_twice_beyond_the_calibration_is_refused(
    crowd: Path, here: Fingerprint, tmp_path: Path, dry: tuple[str, ...]
) -> None:
    """Before anything is started or written, with what it asks, what this machine can and what to do."""
    _calibrated(here)
    done = _kubinet("run", crowd, "-d", tmp_path / "results", *dry)
    remedy = (
        "such runs would not be valid: make it smaller, take another machine, or run it all the same with --anyway "
        "(from Python: anyway=True)"
    )
    assert done.returncode == 1
    assert done.stderr == f"Error: experiment 'crowd': {NODES}; {PACKETS}; {remedy}\n"
    assert not (tmp_path / "results").exists()


def test_anyway_runs_it_all_the_same(crowd: Path, here: Fingerprint, tmp_path: Path) -> None:
    """What would have been refused is told as a warning, and the run is there with its verdict."""
    _calibrated(here)
    done = _kubinet("run", crowd, "-d", tmp_path / "results", "--anyway", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:2] == [f"crowd: {NODES}", f"crowd: {PACKETS}"]
    answer = json.loads(done.stdout)
    assert answer["state"] == "complete"
    (run,) = Path(answer["directory"]).glob("runs/*/run.json")
    assert json.loads(run.read_text())["verdict"]["verdict"] in ("valid", "suspect", "invalid")


def test_another_machines_calibration_is_said_to_be_anothers(crowd: Path, here: Fingerprint, tmp_path: Path) -> None:
    """What differs is named, and nothing is refused."""
    _calibrated(replace(here, cpus=here.cpus + 62, kernel="5.4.0"))
    done = _kubinet("run", crowd, "-d", tmp_path / "results", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        f"crowd: the calibration is of another machine (here: cpus {here.cpus} instead of {here.cpus + 62}, "
        f"kernel {here.kernel} instead of 5.4.0); run `kubinet calibrate` again\n"
    )


def test_without_a_calibration_a_line_says_so(crowd: Path, tmp_path: Path) -> None:
    """And the plan is shown."""
    done = _kubinet("run", crowd, "-d", tmp_path / "results", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "crowd: this machine is not calibrated; `kubinet calibrate` finds what it can emulate honestly\n"
    )
    assert "1 runs; repetitions 1" in done.stdout
