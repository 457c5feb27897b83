"""The analysis that an experiment written in Python brings along, made of a results folder."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from experiments.records import RECORDER, Analysis, Cell, LinkCheck, MachineSecond, Recording, Sample
from experiments.results import layout
from experiments.results.grouping import DURATION, labels_of
from experiments.results.loading import Results
from kubinet.errors import InvalidInputError
from kubinet.yamldata import parse_documents


def own_analysis(results: Results) -> Analysis | None:
    """What design.json's `implementation` finds; None where the experiment is a file, or no run can be used."""
    name = str(results.plan.get("implementation") or "")
    if not name or results.samples.empty:
        return None
    module, _, attribute = name.partition(":")
    try:
        implementation = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(
            f"{results.path / layout.DESIGN}: the experiment '{name}' cannot be imported ({error}); "
            "install what it is part of"
        ) from error
    found: Analysis = implementation.analyse(recording_of(results))
    return found


def recording_of(results: Results) -> Recording:
    """Samples, parts of runs, machine seconds and links of all runs that are used; the topology is the first one's."""
    samples = list(_samples(results))
    return Recording(
        topology=_topology(results),
        parameters=results.design.parameters,
        seed=results.design.seed,
        samples=tuple(one for one in samples if not one.metric.endswith(DURATION)),
        cells=tuple(_cell(one) for one in samples if one.metric.endswith(DURATION)),
        notes=tuple(
            f"run {row['run']} is left out: {row['excluded']}"
            for row in results.runs.to_dict("records")
            if row["excluded"]
        ),
        machine=tuple(_values(MachineSecond, results.machine)),
        links=tuple(_values(LinkCheck, results.links)),
    )


def _topology(results: Results) -> Mapping[str, Any]:
    for record in results.records:
        path = record.folder / layout.TOPOLOGY
        if path.is_file() and not record.excluded(results.include_invalid):
            for document in parse_documents(path.read_text(encoding="utf-8"), str(path)):
                if isinstance(document.value, dict):
                    return document.value
    raise InvalidInputError(f"{results.path}: no run that can be used has a {layout.TOPOLOGY}; restore the folder")


def _samples(results: Results) -> Iterator[Sample]:
    labels = [name for name in labels_of(results.samples, results.design) if name not in (RECORDER, "source", "target")]
    for row in results.samples.to_dict("records"):
        yield Sample(
            time_s=row["time_s"],
            repetition=row["repetition"],
            order=row["run"],
            levels={name: row[name] for name in (*results.factors, *labels)},
            source=row["source"],
            target=row["target"],
            metric=row["metric"],
            sequence=row["sequence"],
            value=row["value"],
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


def _values(kind: type[Any], frame: pd.DataFrame) -> Iterator[Any]:
    names = [name for name in kind.__slots__ if name in frame.columns]
    for row in frame[names].to_dict("records"):
        yield kind(**{name: None if pd.isna(value) else value for name, value in row.items()})
