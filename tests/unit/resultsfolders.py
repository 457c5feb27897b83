"""Writes results folders as the engine lays them out, with made-up numbers."""

import csv
import itertools
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTED = 1_790_000_000.0

OVERLAYS = """\
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: overlay-cost}
spec:
  question: What does the overlay cost in round-trip time?
  topology: {preset: leaf-spine, nodes: 4}
  factors:
  - name: overlay
    meaning: how packets between nodes are carried
    sets: topology.network.overlay
    levels: [direct, vxlan, geneve]
  repetitions: 8
  seed: 7
  warmup: 1s
  workload:
  - {name: rtt, kind: ping, from: pod/a, to: pod/b, count: 40}
  measures: speed
  expect: {runSeconds: 8, runBytes: 200kB}
  analysis:
  - {metric: rtt, statistics: [p50, p99], by: [overlay], baseline: {overlay: direct}, figure: box}
  - {metric: rtt, by: [overlay], figure: ecdf, title: Distribution of round-trip times}
  - {metric: rtt, by: [overlay], figure: series}
  claims:
  - {id: C1, text: VXLAN costs round-trip time., metric: rtt, statistic: p50, where: {overlay: vxlan},
     against: {overlay: direct}, relation: ">", tolerance: 5%}
  - {id: C2, text: Geneve costs what VXLAN costs., metric: rtt, statistic: p50, where: {overlay: geneve},
     against: {overlay: vxlan}, relation: "~", tolerance: 10%}
  - {id: C3, text: Direct routing takes more than a second., metric: rtt, statistic: p50, where: {overlay: direct},
     relation: ">", value: 1000}
  published:
  - {source: "Somebody, Overlays, Example Conference 2020, figure 3", says: an overlay costs a tenth of a
     millisecond, claims: [C1]}
"""

MEDIANS = {"direct": 1.0, "vxlan": 1.4, "geneve": 1.42}


@dataclass(frozen=True)
class Run:
    """One planned run with made-up outcome."""

    index: int
    repetition: int
    levels: Mapping[str, str]
    started_s: float


Readings = Callable[[Run, random.Random], Iterable[Mapping[str, object]]]


def pings(run: Run, dice: random.Random) -> list[dict[str, object]]:
    """40 round-trip times around the overlay's median."""
    centre = MEDIANS[run.levels["overlay"]] * dice.gauss(1, 0.01)
    return [
        {
            "source": "pod/a",
            "target": "pod/b",
            "metric": "rtt",
            "sequence": number,
            "time_s": round(run.started_s + 3 + number * 0.1, 6),
            "value": round(centre + dice.expovariate(20), 4),
            "unit": "ms",
        }
        for number in range(40)
    ]


def write_folder(
    path: Path,
    *,
    experiment: str = OVERLAYS,
    factors: Mapping[str, Sequence[str]] | None = None,
    repetitions: int = 8,
    readings: Readings = pings,
    seed: int = 7,
    changes: Mapping[int, Mapping[str, Any]] | None = None,
    events: bool = False,
) -> Path:
    """A results folder; `changes` replaces fields of the run.json of these runs."""
    levels = factors or {"overlay": ("direct", "vxlan", "geneve")}
    dice = random.Random(seed)
    runs = _plan(levels, repetitions, dice)
    path.mkdir(parents=True)
    (path / "experiment.yaml").write_text(experiment)
    _json(
        path / "design.json",
        {
            "seed": seed,
            "order": "blocked",
            "runs": [
                {"index": run.index, "repetition": run.repetition, "levels": run.levels, "seed": 100 + run.index}
                for run in runs
            ],
        },
    )
    _json(
        path / "session.json",
        {
            "state": "complete",
            "why": "",
            "sessions": [
                {
                    "started": "2026-09-21T14:13:20.000+00:00",
                    "ended": "2026-09-21T14:17:20.000+00:00",
                    "seconds": 10.0 * len(runs),
                    "command_line": ["kubinet", "run", "overlay.yaml"],
                    "load_before": [0.1, 0.2, 0.3],
                    "load_after": [1.0, 0.9, 0.5],
                }
            ],
        },
    )
    _json(path / "versions.json", {"kubinet": "0.1.0", "git": {"commit": "0123abcd", "dirty": False}, "kernel": "6.1"})
    _json(path / "machine.json", {"cpu_model": "A processor", "cpus": 2, "memory_mib": 7900})
    for run in runs:
        _write_run(path / "runs" / f"{run.index:04}", run, readings(run, dice), (changes or {}).get(run.index, {}))
        if events:
            _write_events(path / "runs" / f"{run.index:04}" / "events.csv", run)
    return path


def _plan(factors: Mapping[str, Sequence[str]], repetitions: int, dice: random.Random) -> list[Run]:
    runs: list[Run] = []
    for repetition in range(repetitions):
        block = [dict(zip(factors, combination, strict=True)) for combination in itertools.product(*factors.values())]
        dice.shuffle(block)
        for levels in block:
            runs.append(Run(len(runs), repetition, levels, STARTED + 10.0 * len(runs)))
    return runs


def _write_run(folder: Path, run: Run, rows: Iterable[Mapping[str, object]], changes: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    written = list(rows)
    last = ("source", "target", "metric", "sequence", "time_s", "value", "unit")
    labels = [name for name in dict.fromkeys(key for row in written for key in row) if name not in last]
    _csv(folder / "samples.csv", [*labels, *last], written)
    seconds = [
        {"time_s": run.started_s + second, "idle": 0.5, "steal": 0.01, "softirq": 0.05, "late_ms": 0.4, "work_us": 80}
        for second in range(1, 9)
    ]
    _csv(folder / "machine.csv", ["time_s", "idle", "steal", "softirq", "late_ms", "work_us"], seconds)
    link = {"name": "leaf1-spine1", "quantity": "delay", "declared": 2.0, "unit": "ms", "within_tolerance": True}
    moments = (("before", 2.03), ("after", 2.05))
    _json(folder / "links.json", [{**link, "measured": value, "moment": moment} for moment, value in moments])
    (folder / "topology.yaml").write_text(TOPOLOGY)
    _json(
        folder / "run.json",
        {
            "index": run.index,
            "repetition": run.repetition,
            "levels": run.levels,
            "seed": 100 + run.index,
            "state": "complete",
            "started_s": run.started_s,
            "workload_started_s": run.started_s + 3,
            "ended_s": run.started_s + 9.5,
            "timings": {"underlay": 0.5, "cluster": 1.25},
            "phases": {"up": 1.25, "ready": 0.25, "workload": 4.0},
            "verdict": {"verdict": "valid", "reasons": []},
            "error": None,
            **changes,
        },
    )


def _write_events(path: Path, run: Run) -> None:
    rows = [
        (1.01, "injected", "link leaf1-spine1 down", ""),
        (1.1, "present", "link leaf1-spine1 down", "both ends are down"),
        (1.2, "symptom", "link leaf1-spine1 down", "pod/b does not answer"),
        (3.02, "healed", "link leaf1-spine1 down", ""),
    ]
    columns = ["time_s", "seconds", "event", "fault", "detail"]
    _csv(path, columns, [dict(zip(columns, (run.started_s + 3 + row[0], *row), strict=True)) for row in rows])


def _csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")


TOPOLOGY = """\
apiVersion: kubinet.dev/v1
kind: Topology
metadata: {name: leaf-spine}
spec:
  nodes: [{name: n1}, {name: n2}]
  routers: [{name: leaf1}, {name: leaf2}, {name: spine1}]
  links:
  - {endpoints: [n1, leaf1], rate: 100mbit, delay: 1ms}
  - {endpoints: [n2, leaf2], rate: 100mbit, delay: 1ms}
  - {endpoints: [leaf1, spine1], rate: 1gbit, delay: 2ms}
  - {endpoints: [leaf2, spine1], rate: 1gbit, delay: 2ms}
"""
