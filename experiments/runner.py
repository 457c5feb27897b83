"""Runs an experiment: brings a cluster up (or uses one), watches the machine, records, analyses, reports."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from experiments.base import Experiment, Parameter, RunningCluster
from experiments.folder import FolderWriter, new_folder, write_json, write_text
from experiments.links import measure_links
from experiments.machine import load_average, machine_facts, versions
from experiments.records import Analysis, Cell, LinkCheck, MachineSecond, Recording, Sample, Table, Value
from experiments.registry import get_experiment
from experiments.topology import underlay_of
from experiments.validity.monitor import MachineMonitor
from kubinet.errors import InvalidInputError, KubinetError, UsageError

Progress = Callable[[str, str, float], None]
"""Called with phase, text and the fraction of the phase that is done (0 to 1)."""


DISK_RESERVE_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Results:
    """One finished run."""

    directory: Path
    analysis: Analysis

    @property
    def table(self) -> Table:
        """The summary as people read it."""
        return self.analysis.table

    @property
    def report(self) -> Path:
        """The self-contained HTML page."""
        return self.directory / "report.html"


def resolve_parameters(
    parameters: Sequence[Parameter], settings: Mapping[str, str | Value], *, quick: bool
) -> dict[str, Value]:
    """Defaults (or their quick form) with the user's settings over them; UsageError for an unknown name."""
    known = {parameter.name: parameter for parameter in parameters}
    for name in settings:
        if name not in known:
            raise UsageError(f"parameter '{name}' does not exist; there are: {', '.join(known)}")
    resolved: dict[str, Value] = {}
    for name, parameter in known.items():
        given = settings.get(name, parameter.quick if quick else parameter.default)
        as_text = isinstance(given, str) and not isinstance(parameter.default, str)
        resolved[name] = parameter.parse(str(given)) if as_text else parameter.check(given)
    return resolved


def run_experiment(
    name: str,
    *,
    topology: str | Path = "leaf-spine",
    nodes: int | None = None,
    settings: Mapping[str, object] | None = None,
    parameters: Mapping[str, str | Value] | None = None,
    seed: int = 1,
    repetitions: int | None = None,
    quick: bool = False,
    output_dir: Path = Path("results"),
    progress: Progress | None = None,
    reuse_cluster: RunningCluster | None = None,
) -> Results:
    """Answer the experiment's question and write the results folder; returns where it is and what was found.

    `settings` go to the cluster (`kubinet up --set`), `parameters` to the experiment. With `reuse_cluster` that
    cluster is used and left running; else one is brought up from `topology` and taken down at the end.
    Raises KubinetError; whatever had been measured by then stays in the folder, marked incomplete in run.json.
    """
    experiment = get_experiment(name)
    resolved = resolve_parameters(experiment.parameters, parameters or {}, quick=quick)
    count = repetitions or (experiment.quick_repetitions if quick else experiment.repetitions)
    if count < 1:
        raise UsageError(f"repetitions: {count} is below 1")
    _check_disk(output_dir, experiment.expected_disk_bytes(resolved, count))
    tell = progress or _silent
    run = _Run(experiment, resolved, seed, repetitions=count, output_dir=output_dir, progress=tell)
    if reuse_cluster is not None:
        return run.on(reuse_cluster)
    from kubinet.cluster import Cluster  # noqa: PLC0415 - an experiment on a given cluster needs none

    def coming_up(phase: str, state: str, seconds: float) -> None:
        tell("cluster", f"{phase}: {state} ({seconds:.1f} s)", 0.0)

    tell("cluster", f"bringing up {topology}", 0.0)
    with Cluster(topology, nodes=nodes, settings=settings or {}, progress=coming_up) as cluster:
        tell("cluster", "ready", 1.0)
        return run.on(cluster)


def _check_disk(output_dir: Path, needed: int) -> None:
    existing = output_dir.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed + DISK_RESERVE_BYTES:
        raise KubinetError(
            f"results folder {output_dir}: {free // 2**20} MiB free, "
            f"{(needed + DISK_RESERVE_BYTES) // 2**20} MiB needed; name another with --output"
        )


class _Run:
    """One run: the recorder that the experiment writes to, and what happens around it."""

    def __init__(
        self,
        experiment: Experiment,
        parameters: Mapping[str, Value],
        seed: int,
        *,
        repetitions: int,
        output_dir: Path,
        progress: Progress,
    ) -> None:
        self._experiment = experiment
        self._parameters = parameters
        self.seed = seed
        self.repetitions = repetitions
        self._output_dir = output_dir
        self._progress = progress
        self._samples: list[Sample] = []
        self._cells: list[Cell] = []
        self._seconds: list[MachineSecond] = []
        self._notes: list[str] = []
        self._order: Sequence[str] = ()
        self._state: dict[str, object] = {}
        self._writer: FolderWriter

    # What experiments call (experiments.base.Recorder).

    def manifest(self, name: str, text: str) -> None:
        self._writer.manifest(name, text)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def order(self, cells: Sequence[str]) -> None:
        self._order = tuple(cells)
        self._save_state("running")

    def cell(self, cell: Cell, samples: Sequence[Sample], raw: Mapping[str, str]) -> None:
        self._writer.cell(cell, samples, raw)
        self._cells.append(cell)
        self._samples.extend(samples)

    def progress(self, phase: str, text: str, fraction: float) -> None:
        self._progress(phase, text, fraction)

    # What happens around it.

    def on(self, cluster: RunningCluster) -> Results:
        """Measure on this cluster, analyse, report."""
        self._experiment.check(cluster.topology, self._parameters)
        directory = new_folder(self._output_dir, self._experiment.name)
        self._writer = FolderWriter(directory, [factor.name for factor in self._experiment.factors])
        self._state = {"started": _now(), "load_before": load_average()}
        self._save_state("running")
        try:
            with _terminable():
                self._write_surroundings(cluster)
                links = self._measure_links(cluster)
                with MachineMonitor(self._second):
                    self._experiment.run(cluster, self._parameters, self)
            return self._finish(cluster, links)
        except BaseException as error:
            self._save_state("failed" if isinstance(error, Exception) else "interrupted", error)
            if isinstance(error, KubinetError):
                error.args = (f"{error} [what was measured until then: {directory}]",)
            raise
        finally:
            self._writer.close()

    def _second(self, second: MachineSecond) -> None:
        self._seconds.append(second)
        self._writer.second(second)

    def _write_surroundings(self, cluster: RunningCluster) -> None:
        from ruamel.yaml import YAML  # noqa: PLC0415 - only needed here

        directory = self._writer.path
        with (directory / "topology.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(_plain(cluster.topology), file)
        write_json(directory / "versions.json", versions())
        write_json(directory / "machine.json", machine_facts())
        write_json(directory / "timings.json", dict(cluster.timings))

    def _measure_links(self, cluster: RunningCluster) -> Sequence[LinkCheck]:
        self._progress("links", "measuring links against their declaration", 0.0)
        underlay = underlay_of(cluster.topology)
        addresses = {name: cluster.node(name).address for name in underlay.nodes}
        checks = measure_links(cluster, underlay.links, addresses)
        self._writer.links(checks)
        if left := len(underlay.links) - len(checks):
            self._notes.append(
                f"{left} links of switches have no address to ping: they were measured as part of paths only"
            )
        self._progress("links", f"{len(checks)} links measured", 1.0)
        return checks

    def _finish(self, cluster: RunningCluster, links: Sequence[LinkCheck]) -> Results:
        from experiments.report.write import write_report  # noqa: PLC0415 - matplotlib is slow to import

        self._progress("report", "computing intervals", 0.0)
        recording = Recording(
            topology=cluster.topology,
            parameters=self._parameters,
            seed=self.seed,
            samples=tuple(self._samples),
            cells=tuple(self._cells),
            notes=tuple(self._notes),
            machine=tuple(self._seconds),
            links=tuple(links),
        )
        analysis = self._experiment.analyse(recording)
        self._writer.summary(analysis)
        self._progress("report", "drawing figures", 0.5)
        self._state["load_after"] = load_average()
        self._save_state("complete")
        write_report(self._writer.path, self._experiment, recording, analysis)
        write_text(self._writer.path / "README.md", _readme(self._experiment, analysis))
        self._progress("report", str(self._writer.path / "report.html"), 1.0)
        return Results(self._writer.path, analysis)

    def _save_state(self, state: str, error: BaseException | None = None) -> None:
        self._state |= {
            "state": state,
            "complete": state == "complete",
            "error": None if error is None else f"{type(error).__name__}: {error}",
            "experiment": self._experiment.name,
            "question": self._experiment.question,
            "factors": [asdict(factor) for factor in self._experiment.factors],
            "parameters": dict(self._parameters),
            "seed": self.seed,
            "repetitions": self.repetitions,
            "order": list(self._order),
            "cells_measured": len(self._cells),
            "updated": _now(),
        }
        write_json(self._writer.path / "run.json", self._state)


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that an interrupted run says so in its folder (main thread only)."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _silent(_phase: str, _text: str, _fraction: float) -> None:
    """Progress that nobody wants to see."""


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


def _plain(value: Any) -> Any:
    """Only what YAML knows: dictionaries, lists, texts, numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    raise InvalidInputError(f"topology: {value!r} has no YAML form")


def _readme(experiment: Experiment, analysis: Analysis) -> str:
    lines = [
        f"# Results of experiment {experiment.name}",
        "",
        f"Question: {experiment.question}",
        "",
        f"Finding: {analysis.finding} (verdict: {analysis.assessment.verdict})",
        "",
        "| file | holds |",
        "| --- | --- |",
        "| report.html | everything below for people, without any other file |",
        "| summary.csv, summary.json | each statistic with its 95 % interval, declared value and verdict |",
        "| samples.csv | every sample, one a row, factors as columns |",
        "| cells.csv | every measurement: when, which repetition, place in the run order |",
        "| machine.csv | CPU idle, steal and softirq shares and scheduling delay of each second |",
        "| run.json | seed, parameters, run order, state (complete or not), load before and after |",
        "| raw/ | what the tools printed |",
        "| topology.yaml, manifests/ | the network and the Kubernetes objects |",
        "| links.json | links as measured against declared, where the cluster measures them |",
        "| versions.json, machine.json, timings.json | versions of everything, the machine, time to ready |",
        "| figures/ | each figure as PNG, SVG and PDF |",
        "",
    ]
    return "\n".join(lines)
