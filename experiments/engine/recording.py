"""A results folder as a `Recording`: what an experiment's own `analyse` reads."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.design.model import PlannedRun
from experiments.engine.files import READING_COLUMNS
from experiments.engine.folder import ResultsFolder
from experiments.engine.run import COMPLETE
from experiments.records import DURATION, Cell, LinkCheck, MachineSecond, Recording, Sample, Verdict
from kubinet.errors import KubinetError
from kubinet.yamldata import parse_documents


def recording_of(folder: ResultsFolder, *, include_invalid: bool = False) -> Recording:
    """Samples, parts of runs, machine and links of all complete runs, invalid ones only when asked for.

    The topology is the first such run's. KubinetError when there is none.
    """
    samples: list[Sample] = []
    cells: list[Cell] = []
    seconds: list[MachineSecond] = []
    links: list[LinkCheck] = []
    notes: list[str] = []
    topology: Mapping[str, Any] | None = None
    outcomes = folder.outcomes()
    for run in folder.runs:
        outcome = outcomes.get(run.index)
        if outcome is None:
            continue
        if outcome.state != COMPLETE:
            notes.append(f"run {run.index} failed and is left out: {outcome.error}")
            continue
        if outcome.verdict == Verdict.INVALID and not include_invalid:
            notes.append(f"run {run.index} is invalid and is left out: {'; '.join(outcome.reasons)}")
            continue
        place = folder.run_folder(run.index)
        if topology is None:
            topology = _yaml(place / "topology.yaml")
        for sample in samples_of(place, run):
            if sample.metric.endswith(DURATION):
                cells.append(_cell(sample))
            else:
                samples.append(sample)
        seconds += [_second(row) for row in _rows(place / "machine.csv")]
        links += [_check(one) for one in json.loads((place / "links.json").read_text(encoding="utf-8"))]
    if topology is None:
        raise KubinetError(f"{folder.path}: no run is complete and valid, so there is nothing to analyse")
    return Recording(
        topology=topology,
        parameters=folder.design.parameters,
        seed=folder.design.seed,
        samples=tuple(samples),
        cells=tuple(cells),
        notes=tuple(notes),
        machine=tuple(seconds),
        links=tuple(links),
    )


def samples_of(place: Path, run: PlannedRun) -> Iterator[Sample]:
    """The samples of one run; its factors' levels and its labels together are their levels."""
    for row in _rows(place / "samples.csv"):
        labels = {name: value for name, value in row.items() if name not in READING_COLUMNS}
        yield Sample(
            time_s=float(row["time_s"]),
            repetition=run.repetition,
            order=run.index,
            levels={**run.levels, **labels},
            source=row["source"],
            target=row["target"],
            metric=row["metric"],
            sequence=int(row["sequence"]),
            value=float(row["value"]),
            unit=row["unit"],
        )


def _cell(sample: Sample) -> Cell:
    return Cell(
        order=sample.order,
        repetition=sample.repetition,
        levels=sample.levels,
        source=sample.source,
        target=sample.target,
        metric=sample.metric.removesuffix(DURATION),
        started_s=sample.time_s,
        ended_s=sample.time_s + sample.value,
    )


def _second(row: Mapping[str, str]) -> MachineSecond:
    whole = {"throttled", "dropped"}
    values: dict[str, Any] = {name: int(text) if name in whole else float(text) for name, text in row.items()}
    return MachineSecond(**values)


def _check(document: Mapping[str, Any]) -> LinkCheck:
    return LinkCheck(**document)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _yaml(path: Path) -> Mapping[str, Any]:
    document = next((one.value for one in parse_documents(path.read_text(encoding="utf-8"), str(path))), None)
    if not isinstance(document, dict):
        raise KubinetError(f"{path}: no Topology document")
    return document
