"""An Experiment file into an `ExperimentDesign`: its form, its defaults, the files that it names.

Errors are InvalidInputError and say `file:line: field: what is wrong, and the remedy`. Whether the parts fit each
other and this machine is asked by `experiments.design.check`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.design import conclusions, reading
from experiments.design.model import ExperimentDesign, Order, QuickDesign
from experiments.design.places import places, spelled
from experiments.design.quantities import read_bytes, read_span
from experiments.design.sources import read_manifest_choices, read_topology
from kubinet.documents import Where, check_document, spell
from kubinet.errors import InvalidInputError
from kubinet.manifests import Manifest, parse_manifests, read_manifests

KIND = "Experiment"
RUN_BYTES = 200_000
"""Disk of one run unless the file says otherwise: samples, machine and links of half a minute."""
_WARMUP_S = 1.0


@dataclass(frozen=True, slots=True)
class ExperimentFile:
    """A file's design, and where its fields stand."""

    design: ExperimentDesign
    where: Where
    """For messages: takes paths as `experiments.design.places` does."""
    of_topology: Where | None = None
    """The same for fields of the Topology document that it names or holds; None for a preset."""


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of Experiment files."""
    loaded: dict[str, Any] = json.loads(files("experiments.design").joinpath("experiment.schema.json").read_text())
    return loaded


def read_experiment(path: str | Path) -> ExperimentDesign:
    """The design that a file describes."""
    return read_file(path).design


def read_file(path: str | Path) -> ExperimentFile:
    """The design that a file describes, and where its fields stand; InvalidInputError for what it may not say."""
    return _only(read_manifests(path), str(path), Path(path).resolve().parent)


def parse_text(text: str, source: str, folder: Path) -> ExperimentFile:
    """The same of a text; files that it names are looked for in `folder`."""
    return _only(parse_manifests(text, source), source, folder)


def parse_document(document: Mapping[str, Any], folder: Path, where: Where = spell) -> ExperimentDesign:
    """The design of a document that is plain data already."""
    return _parse(document, folder, where).design


def _parse(document: Mapping[str, Any], folder: Path, where: Where) -> ExperimentFile:
    check_document(document, schema(), where)
    # JSON Schema counts 2.0 among the whole numbers, so those are converted where they are read.
    spec = document["spec"]
    name = reading.checked_name(document["metadata"]["name"], where(("metadata", "name")))
    parameters, declared = reading.read_parameters(spec.get("parameters", {}), where)
    factors = reading.read_factors(spec.get("factors", ()), parameters, where)
    expect, quick = spec.get("expect", {}), spec.get("quick", {})
    topology = read_topology(spec["topology"], folder, where)
    design = ExperimentDesign(
        name=name,
        question=spec["question"],
        summary=spec.get("summary", spec["question"]),
        topology=topology.choice,
        manifests=read_manifest_choices(spec.get("manifests", ()), folder, where),
        ready=tuple(spec.get("ready", ())),
        factors=factors,
        exclude=tuple(reading.level_names(entry) for entry in spec.get("exclude", ())),
        parameters=parameters,
        repetitions=int(spec.get("repetitions", 10)),
        seed=int(spec.get("seed", 1)),
        order=Order(spec.get("order", Order.BLOCKED)),
        warmup_s=conclusions.quantity(spec, "warmup", read_span, _WARMUP_S, where, "spec"),
        workload=reading.read_workload(spec["workload"], where),
        measurements=reading.read_measurements(spec.get("measurements", ()), where),
        timeline=tuple(spec.get("timeline", ())),
        files={one["name"]: one["inline"] for one in spec.get("files", ())},
        stop=conclusions.read_stop(spec.get("stop", {}), where),
        measures_speed=spec.get("measures", "speed") == "speed",
        run_seconds=float(expect.get("runSeconds", 0)),
        run_bytes=conclusions.quantity(expect, "runBytes", read_bytes, RUN_BYTES, where, "spec", "expect"),
        analysis=conclusions.read_analysis(spec.get("analysis", ())),
        claims=conclusions.read_claims(spec.get("claims", ()), where),
        published=conclusions.read_published(spec.get("published", ())),
        declared=declared,
        quick=QuickDesign(
            repetitions=int(quick.get("repetitions", 1)),
            levels={factor: tuple(map(spelled, kept)) for factor, kept in quick.get("factors", {}).items()},
        ),
    )
    return ExperimentFile(design, where, topology.where)


def _only(found: list[Manifest], source: str, folder: Path) -> ExperimentFile:
    experiments = [one for one in found if one.object["kind"] == KIND]
    if len(experiments) != 1:
        kinds = ", ".join(sorted({str(one.object["kind"]) for one in found})) or "nothing"
        raise InvalidInputError(
            f"{source}: expected exactly one document of kind {KIND}, found {len(experiments)} (the file has: {kinds})"
        )
    [manifest] = experiments
    return _parse(manifest.object, folder, places(manifest.object, manifest))
