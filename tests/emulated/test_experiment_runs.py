"""Experiments on real clusters: a file's runs, the command line, and a session that is killed and goes on."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.emulated

HERE = Path(__file__).parent
EXPERIMENT = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: rtt}
spec:
  question: What does an echo take?
  topology: {preset: star, nodes: 2, set: {network.dnsReplicas: 0}}
  manifests:
  - name: pods
    inline: |
      apiVersion: v1
      kind: Pod
      metadata: {name: a}
      spec:
        nodeName: n1
        terminationGracePeriodSeconds: 0
        containers: [{name: c, image: nicolaka/netshoot, command: [sleep, infinity]}]
      ---
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: b}
      spec:
        selector: {matchLabels: {app: b}}
        template:
          metadata: {labels: {app: b}}
          spec: {containers: [{name: c, image: registry.k8s.io/pause:3.10}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: b}
      spec: {selector: {app: b}, ports: [{port: 80}]}
  factors:
  - {name: overlay, meaning: how packets are carried, sets: topology.network.overlay, levels: [vxlan, direct]}
  repetitions: 2
  warmup: 0s
  workload:
  - {name: there, kind: "pingworkload:PING", from: pod/a, to: node/n2, count: 5}
  - together:
    - {name: back, kind: "pingworkload:PING", from: node/n2, to: pod/default/a, count: 5}
    - {name: inside, kind: "pingworkload:PING", from: node/n1, to: pod/a, count: 5}
  measures: behaviour
"""


def kubinet(*words: str) -> list[str]:
    return [sys.executable, "-m", "kubinet.cli.main", *words]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Clusters of this module have state folders of their own."""
    state = tmp_path_factory.mktemp("state")
    return {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> tuple[dict[str, Any], str]:
    """What `kubinet run FILE --jobs 2 -o json` answered, and its lines of progress."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "rtt.yaml").write_text(EXPERIMENT)
    words = kubinet("run", str(folder / "rtt.yaml"), "--jobs", "2", "-d", str(folder / "results"), "-o", "json")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def table(directory: Path) -> list[tuple[str, ...]]:
    """What was measured, by runs.csv: what no two sessions have in common, times and values, left away."""
    columns = ("run", "repetition", "overlay", "source", "target", "metric", "unit")
    with (directory / "runs.csv").open(newline="") as file:
        return sorted({tuple(row[column] for column in columns) for row in csv.DictReader(file)})


def test_file_is_run_in_clusters_of_its_own(finished: tuple[dict[str, Any], str]) -> None:
    """Every combination twice, each workload's echoes in the table, each run's cluster as its level says."""
    answer, lines = finished
    assert answer["state"] == "complete"
    directory = Path(answer["directory"])
    rows = table(directory)
    assert len(rows) == 4 * 3
    ways = {row[3:5] for row in rows}
    assert ways == {("pod/a", "node/n2"), ("node/n2", "pod/default/a"), ("node/n1", "pod/a")}
    for run in (directory / "runs").iterdir():
        record = json.loads((run / "run.json").read_text())
        topology = (run / "topology.yaml").read_text()
        assert re.search(rf"overlay: {record['levels']['overlay']}\b", topology)
        assert record["timings"]["cluster"] > 0
        assert (run / "machine.csv").read_text().startswith("time_s,idle,steal")
        assert len(list((run / "raw").iterdir())) == 3
    assert "run 4 of 4" in lines


def test_session_that_is_killed_goes_on_with_nothing_lost(
    tmp_path: Path, environment: dict[str, str], finished: tuple[dict[str, Any], str]
) -> None:
    """kill -9 in the second run, --resume: the same table as an uninterrupted session, and no cluster is left."""
    (tmp_path / "rtt.yaml").write_text(EXPERIMENT)
    words = kubinet("run", str(tmp_path / "rtt.yaml"), "-d", str(tmp_path / "results"))
    process = subprocess.Popen(words, env=environment)
    second = tmp_path / "wait"
    deadline = time.monotonic() + 120
    while not second.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        second = next(tmp_path.glob("results/*/runs/0001/samples.csv"), second)
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (directory,) = (tmp_path / "results").iterdir()
    first = (directory / "runs/0000/run.json").read_bytes()
    words = kubinet("run", "--resume", str(directory), "-o", "json")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (directory / "runs/0000/run.json").read_bytes() == first
    assert table(directory) == table(Path(finished[0]["directory"]))
    state = Path(environment["XDG_STATE_HOME"]) / "kubinet" / "clusters"
    assert list(state.iterdir()) == []


SCRIPT = """
import sys
from pathlib import Path

from experiments import run_experiment

if __name__ == "__main__":
    done = run_experiment(sys.argv[1], workers="local:2", output_dir=Path(sys.argv[2]))
    print(done.state, done.directory, done.report.page)
"""


def test_dask_workers_fill_the_same_folder_from_python(
    tmp_path: Path, environment: dict[str, str], finished: tuple[dict[str, Any], str]
) -> None:
    """`run_experiment` with two workers, each with clusters of its own: the same table, and a report."""
    (tmp_path / "rtt.yaml").write_text(EXPERIMENT)
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "rtt.yaml"), str(tmp_path / "results")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    state, directory, page = done.stdout.split()
    assert state == "complete"
    assert table(Path(directory)) == table(Path(finished[0]["directory"]))
    assert "What does an echo take?" in Path(page).read_text()


def test_plan_is_printed_and_nothing_started(tmp_path: Path, environment: dict[str, str]) -> None:
    """--dry-run names every run; --set chooses levels."""
    (tmp_path / "rtt.yaml").write_text(EXPERIMENT)
    words = kubinet("run", str(tmp_path / "rtt.yaml"), "--dry-run", "--set", "overlay=geneve", "--reps", "3")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 runs; repetitions 3" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["rtt.yaml"]


def test_file_that_cannot_be_run_is_refused_with_its_line(tmp_path: Path, environment: dict[str, str]) -> None:
    """An unknown workload ends with status 1 before anything is started."""
    (tmp_path / "rtt.yaml").write_text(EXPERIMENT.replace("pingworkload:PING", "pong"))
    done = subprocess.run(
        kubinet("run", str(tmp_path / "rtt.yaml")),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(r"rtt\.yaml:\d+: .*there is no workload 'pong'", done.stderr)


FLAP = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: down}
spec:
  question: What does a link that goes down do to echoes?
  topology: {preset: star, nodes: 2, set: {network.dnsReplicas: 0}}
  repetitions: 1
  warmup: 0s
  workload: [{name: echo, kind: ping, from: node/n1, to: node/n2, count: 300}]
  measurements: [{name: cpu, kind: processes, every: 1s}]
  timeline: ["from 1s to 2s: link n1-s1 down"]
"""


def test_timeline_plug_ins_and_report_of_a_file(tmp_path: Path, environment: dict[str, str]) -> None:
    """A link that is down for a second loses echoes; events, measurement and report are in the folder."""
    (tmp_path / "down.yaml").write_text(FLAP)
    words = kubinet("run", str(tmp_path / "down.yaml"), "-d", str(tmp_path), "-o", "json")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    directory = Path(json.loads(done.stdout)["directory"])
    with (directory / "runs/0000/events.csv").open(newline="") as file:
        events = [row["event"] for row in csv.DictReader(file)]
    assert events == ["planned", "injected", "present", "symptom", "healed", "recovered"]
    with (directory / "runs.csv").open(newline="") as file:
        samples = list(csv.DictReader(file))
    (lost,) = [float(row["value"]) for row in samples if row["metric"] == "lost"]
    assert 30 < lost < 150
    assert {row["group"] for row in samples if row["metric"] == "cpu"} >= {"ovs-vswitchd", "controller"}
    assert "What does a link that goes down" in (directory / "report.html").read_text()
