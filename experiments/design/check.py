"""Everything about an experiment that can be refused before its first run, on this machine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.design.existing import Existing
from experiments.design.model import ExperimentDesign, MeasurementDesign, PlannedRun, WorkloadDesign
from experiments.design.plan import combinations
from experiments.design.references import check_references
from experiments.design.runs import RunChecker
from experiments.design.settings import DesignError
from experiments.plugins import labels_of, unknown_kind
from experiments.scene import Measurement, Workload
from kubinet.documents import Where, spell
from kubinet.errors import InvalidInputError, KubinetError, MissingCapabilityError

CheckLine = Callable[[str, Existing], object]
"""Called with a timeline line and what the run's cluster has; raises KubinetError or ValueError."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the check asks besides the design: plug-ins, programs, disk."""

    workloads: Mapping[str, Workload]
    """Kind to plug-in."""
    measurements: Mapping[str, Measurement]
    which: Callable[[str], str | None]
    """As `shutil.which`."""
    check_line: CheckLine
    free_bytes: int | None = None
    """Of the disk that results go to; None: not asked."""
    for_this_machine: bool = False
    """Also refuse topologies that this machine cannot honour."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Metric to unit, of what is recorded in every run whatever the workload."""


def check(
    design: ExperimentDesign, surroundings: Surroundings, where: Where = spell, of_topology: Where | None = None
) -> None:
    """InvalidInputError for what the file may not say, MissingCapabilityError for what this machine lacks.

    `where`, `of_topology`: of `experiments.design.document.read_file`, for lines in messages.
    """
    try:
        _check(design, surroundings, of_topology)
    except DesignError as error:
        raise InvalidInputError(f"{where(error.path)}: {error}") from error
    _check_machine(design, surroundings, where)


def _check(design: ExperimentDesign, surroundings: Surroundings, of_topology: Where | None) -> None:
    workloads = {one.name: _plugin("workload", one, surroundings.workloads) for one in design.workload}
    measurements = {one.name: _plugin("measurement", one, surroundings.measurements) for one in design.measurements}
    plugins = [*workloads.values(), *measurements.values()]
    metrics = {*surroundings.metrics, *(metric for plugin in plugins for metric in plugin.metrics)}
    check_references(design, {label for plugin in plugins for label in labels_of(plugin)}, metrics)
    checker = RunChecker(
        design, workloads, measurements, surroundings.check_line, surroundings.for_this_machine, of_topology
    )
    for index, levels in enumerate(combinations(design)):
        checker.check(PlannedRun(index, 0, levels, design.seed))


def _plugin(what: str, one: WorkloadDesign | MeasurementDesign, kinds: Mapping[str, Any]) -> Any:
    place = ("spec", "workload" if what == "workload" else "measurements", one.name, "kind")
    if one.kind not in kinds:
        raise DesignError(unknown_kind(what, one.kind, kinds), place)
    try:
        return kinds[one.kind]
    except KubinetError as error:
        raise DesignError(str(error), place) from error


def _check_machine(design: ExperimentDesign, surroundings: Surroundings, where: Where) -> None:
    for path, kind, program in _programs(design, surroundings):
        if surroundings.which(program) is None:
            raise MissingCapabilityError(
                f"{where(path)}: {kind} runs the program '{program}', which is not installed here; install it"
            )
    needed = design.run_bytes * len(combinations(design)) * design.repetitions
    if surroundings.free_bytes is not None and needed > surroundings.free_bytes:
        raise MissingCapabilityError(
            f"{where(('spec', 'expect', 'runBytes'))}: all runs need about {needed / 1e6:,.1f} MB of disk and "
            f"{surroundings.free_bytes / 1e6:,.1f} MB are free; free some, or take fewer repetitions or levels"
        )


def _programs(design: ExperimentDesign, surroundings: Surroundings) -> Iterator[tuple[tuple[str, ...], str, str]]:
    for workload in design.workload:
        for program in surroundings.workloads[workload.kind].programs:
            yield ("spec", "workload", workload.name, "kind"), workload.kind, program
    for measurement in design.measurements:
        for program in surroundings.measurements[measurement.kind].programs:
            yield ("spec", "measurements", measurement.name, "kind"), measurement.kind, program
