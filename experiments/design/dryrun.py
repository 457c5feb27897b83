"""What `kubinet run --dry-run` shows: every run in its order, its factors, expected time and disk. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from experiments.design.model import ExperimentDesign, FactorDesign, Order, PlannedRun, RunSpec
from experiments.design.plan import plan
from experiments.design.specify import specify
from experiments.plugins import complete
from experiments.records import Value
from experiments.scene import Workload

STARTUP_SECONDS = 5.0
"""Bringing a cluster of a few nodes up and down, its links measured twice, on two cores without other work."""


@dataclass(frozen=True, slots=True)
class ExpectedRun:
    """One run, and what it is expected to take."""

    run: PlannedRun
    seconds: float
    """With bringing its cluster up."""
    starts_s: float
    """After the first run's start, one after the other."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """An experiment as it would run."""

    name: str
    question: str
    factors: tuple[FactorDesign, ...]
    parameters: Mapping[str, Value]
    repetitions: int
    seed: int
    order: Order
    runs: tuple[ExpectedRun, ...]
    bytes: int
    """Of the results folder's runs."""
    max_duration_s: float | None
    """After which no run is started."""

    @property
    def seconds(self) -> float:
        """All runs, one after the other."""
        return sum(one.seconds for one in self.runs)


def dry_run(
    design: ExperimentDesign, workloads: Mapping[str, Workload], *, startup_s: float = STARTUP_SECONDS
) -> DryRun:
    """The experiment's runs; `workloads`: kind to plug-in, for how long they take. The design is checked already."""
    known: dict[frozenset[tuple[str, str]], float] = {}
    runs: list[ExpectedRun] = []
    elapsed = 0.0
    for run in plan(design):
        levels = frozenset(run.levels.items())
        if levels not in known:
            known[levels] = startup_s + run_seconds(design, specify(design, run), workloads)
        runs.append(ExpectedRun(run, known[levels], elapsed))
        elapsed += known[levels]
    return DryRun(
        name=design.name,
        question=design.question,
        factors=design.factors,
        parameters=design.parameters,
        repetitions=design.repetitions,
        seed=design.seed,
        order=design.order,
        runs=tuple(runs),
        bytes=design.run_bytes * len(runs),
        max_duration_s=design.stop.max_duration_s,
    )


def run_seconds(design: ExperimentDesign, spec: RunSpec, workloads: Mapping[str, Workload]) -> float:
    """How long a run takes once its cluster is ready: what the design expects, else warm-up and workloads."""
    if design.run_seconds:
        return design.run_seconds
    steps = groupby(spec.workload, key=lambda one: one.step)
    return spec.warmup_s + sum(
        max(workloads[one.kind].duration_s(complete(workloads[one.kind], one.settings)) for one in step)
        for _, step in steps
    )


def lines(dry: DryRun) -> Iterator[str]:
    """The text, line by line."""
    yield f"{dry.name}: {dry.question}"
    for factor in dry.factors:
        meaning = f"  ({factor.meaning})" if factor.meaning else ""
        yield f"factor {factor.name}: {', '.join(level.name for level in factor.levels)}{meaning}"
    for name, value in dry.parameters.items():
        yield f"parameter {name}: {value}"
    yield f"{len(dry.runs)} runs; repetitions {dry.repetitions}, order {dry.order}, seed {dry.seed}"
    yield f"expected: {spoken(dry.seconds)}, {dry.bytes / 1e6:.1f} MB"
    if dry.max_duration_s is not None and dry.max_duration_s < dry.seconds:
        yield f"it stops after {spoken(dry.max_duration_s)} (stop.maxDuration), before its last run"
    names = [factor.name for factor in dry.factors]
    rows = [("run", "starts", "takes", "repetition", *names)]
    rows += [
        (
            f"{one.run.index}",
            spoken(one.starts_s),
            spoken(one.seconds),
            f"{one.run.repetition}",
            *(one.run.levels[name] for name in names),
        )
        for one in dry.runs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield ""
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def spoken(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s" if total % 60 else f"{total // 60} min"
    minutes = total % 3600 // 60
    return f"{total // 3600} h {minutes} min" if minutes else f"{total // 3600} h"
