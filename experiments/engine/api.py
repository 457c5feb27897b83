"""The engine as one call: find an experiment, change what is wanted otherwise, check it, run it, finish its folder."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.calibration.beyond import Beyond
from experiments.calibration.experiment import beyond_calibration
from experiments.design.check import Surroundings, check
from experiments.design.document import read_file
from experiments.design.factors import override, parse_parameters
from experiments.design.model import ExperimentDesign, FactorDesign, Level
from experiments.design.plan import plan
from experiments.design.shown import claims_left_out
from experiments.design.sources import read_topology
from experiments.engine.finishing import Finished
from experiments.engine.folder import DISK_RESERVE_BYTES, ResultsFolder
from experiments.engine.run import COMPLETE
from experiments.engine.session import Manner, carry_out_session, check_manner
from experiments.engine.telling import Follower
from experiments.engine.timelinefiles import timeline_files
from experiments.engine.workerchoice import parse_workers
from experiments.options import option
from experiments.plugins import measurements, workloads
from experiments.records import Value, Verdict
from experiments.registry import find_experiment, load_implementation
from experiments.timeline.validate import line_checker
from kubinet.documents import Where, spell
from kubinet.errors import MissingCapabilityError, UsageError
from kubinet.yamldata import parse_documents

__all__ = ["Finished", "Prepared", "prepare", "resume_experiment", "run_experiment"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An experiment as it is to be run, checked."""

    design: ExperimentDesign
    implementation: str = ""
    """`module:class` of its Python class."""
    where: Where = field(default=spell)
    """Where its fields stand in its file, for messages."""
    of_topology: Where | None = None
    """Where the fields of its Topology document stand; None for a preset, and where nobody wrote it."""
    folder: Path = Path()
    """Where files that its timeline names are looked for."""
    beyond: Beyond = field(default_factory=Beyond)
    """What it asks of this machine beyond its calibration."""
    left_out: str = ""
    """Of claims that the choice of levels leaves without data, what to tell; empty where there is none."""


def prepare(
    experiment: str | Path | ExperimentDesign,
    *,
    levels: Mapping[str, Sequence[str]] | None = None,
    parameters: Mapping[str, Value] | Sequence[str] | None = None,
    repetitions: int | None = None,
    seed: int | None = None,
    quick: bool = False,
    topology: str | None = None,
    nodes: int | None = None,
    output_dir: Path = Path("results"),
) -> Prepared:
    """The experiment of that name, in that file or of that design, changed and checked.

    `levels`: factor, or a path such as `topology.network.overlay`, to levels; `parameters`: values by name, or words
    `NAME=VALUE`; `topology`: a preset or a Topology file instead of the experiment's own. UsageError for changes that
    it does not take, InvalidInputError with file and line, MissingCapabilityError for what this machine lacks.
    """
    found = _load(experiment)
    design = found.design
    if topology is not None:
        section = {"file": topology} if Path(topology).suffix or "/" in topology else {"preset": topology}
        read = read_topology(section, Path().resolve(), spell)
        design = replace(design, topology=replace(read.choice, settings=design.topology.settings))
        found = replace(found, of_topology=read.where)
    if nodes is not None:
        design = replace(design, topology=replace(design.topology, nodes=nodes))
    paths = {name: names for name, names in (levels or {}).items() if "." in name}
    values = parameters if isinstance(parameters, Mapping) else parse_parameters(design, parameters or ())
    design = override(
        design,
        levels={name: names for name, names in (levels or {}).items() if name not in paths},
        repetitions=repetitions,
        seed=seed,
        parameters=values,
        quick=quick,
    )
    design = replace(design, factors=(*design.factors, *(path_factor(*one) for one in paths.items())))
    if found.implementation and any(len(factor.levels) > 1 for factor in design.factors):
        raise UsageError(f"experiment '{design.name}' compares inside its runs; give {', '.join(paths)} one level")
    surroundings = Surroundings(
        workloads=workloads,
        measurements=measurements,
        which=shutil.which,
        check_line=line_checker(found.folder, design.files),
        free_bytes=max(0, shutil.disk_usage(_existing(output_dir)).free - DISK_RESERVE_BYTES),
        for_this_machine=True,
    )
    check(design, surroundings, found.where, found.of_topology)
    design = replace(design, files=timeline_files(design, found.folder))
    left_out = claims_left_out(design, found.design)
    return replace(found, design=design, beyond=beyond_calibration(design), left_out=left_out)


def run_experiment(
    experiment: str | Path | ExperimentDesign,
    *,
    levels: Mapping[str, Sequence[str]] | None = None,
    parameters: Mapping[str, Value] | None = None,
    repetitions: int | None = None,
    seed: int | None = None,
    quick: bool = False,
    topology: str | None = None,
    nodes: int | None = None,
    jobs: int = 1,
    workers: str | None = None,
    output_dir: Path = Path("results"),
    name: str | None = None,
    follower: Follower | None = None,
    anyway: bool = False,
) -> Finished:
    """Answer the experiment's question and write its results folder.

    `levels`: factor to the levels that are run; `jobs`: runs side by side, where it does not measure speed; `workers`:
    `local:2`, `ssh:host1,host2` or `slurm:jobs=4,…`; `name`: what the folder's name begins with; `anyway`: also where
    this machine cannot emulate it honestly.
    Raises KubinetError before anything is run; a run that fails is recorded and told in what is returned.
    """
    prepared = prepare(
        experiment,
        levels=levels,
        parameters=parameters,
        repetitions=repetitions,
        seed=seed,
        quick=quick,
        topology=topology,
        nodes=nodes,
        output_dir=output_dir,
    )
    return run_prepared(
        prepared,
        manner=manner_of(jobs, workers),
        output_dir=output_dir,
        name=name,
        follower=follower,
        anyway=anyway,
    )


def manner_of(jobs: int, workers: str | None) -> Manner:
    """How runs are carried out; UsageError for workers that cannot be read."""
    return Manner(jobs=jobs, workers=None if workers is None else parse_workers(workers))


def run_prepared(
    prepared: Prepared,
    *,
    manner: Manner,
    output_dir: Path = Path("results"),
    name: str | None = None,
    follower: Follower | None = None,
    command_line: Sequence[str] = (),
    anyway: bool = False,
) -> Finished:
    """Run what `prepare` returned, in a new results folder; `anyway`: whatever the calibration says."""
    if not anyway and manner.on_this_machine:
        check_capacity(prepared)
    design = prepared.design
    check_manner(manner, measures_speed=design.measures_speed)
    folder = ResultsFolder.create(
        output_dir, design, plan(design), implementation=prepared.implementation, name=name or design.name
    )
    return _carry_out(folder, manner, follower, command_line)


def check_capacity(prepared: Prepared) -> None:
    """MissingCapabilityError where this machine cannot emulate the experiment honestly."""
    if prepared.beyond.refusals:
        varied = any(len(factor.levels) > 1 for factor in prepared.design.factors)
        fewer = (
            f"leave those levels out with {option('--set FACTOR=LEVELS', 'levels')}" if varied else "make it smaller"
        )
        raise MissingCapabilityError(
            f"experiment '{prepared.design.name}': {'; '.join(prepared.beyond.refusals)}; such runs would not be "
            f"valid: {fewer}, take another machine, or run it all the same with {option('--anyway', 'anyway=True')}"
        )


def resume_experiment(
    directory: Path,
    *,
    manner: Manner | None = None,
    follower: Follower | None = None,
    command_line: Sequence[str] = (),
) -> Finished:
    """Go on with a results folder: what is missing or failed is run, in the same order with the same seeds."""
    folder = ResultsFolder.open(directory)
    return _carry_out(folder, manner or Manner(), follower, command_line)


def _carry_out(
    folder: ResultsFolder, manner: Manner, follower: Follower | None, command_line: Sequence[str]
) -> Finished:
    telling = follower or Follower()
    try:
        end = carry_out_session(folder, manner, telling, command_line or sys.argv)
        report = None
        usable = [one for one in folder.outcomes().values() if one.state == COMPLETE and one.verdict != Verdict.INVALID]
        if usable:
            telling.said("computing tables and figures")
            from experiments.results import finish  # noqa: PLC0415 - pandas and matplotlib are slow to import

            report = finish(folder.path)
    finally:
        folder.release()
    return Finished(folder.path, end.state, end.why, end.wanted, report)


def path_factor(path: str, names: Sequence[str]) -> FactorDesign:
    """A factor that an experiment does not have, by the path that it sets; named by the path's last part."""
    values = [next(one.value for one in parse_documents(name, f"--set {path}")) for name in names]
    return FactorDesign(
        name=path.rpartition(".")[2],
        levels=tuple(Level(name, {path: value}, value) for name, value in zip(names, values, strict=True)),
        meaning=f"sets {path}",
    )


def _load(experiment: str | Path | ExperimentDesign) -> Prepared:
    if isinstance(experiment, ExperimentDesign):
        return Prepared(experiment)
    entry = find_experiment(str(experiment))
    if entry.path is not None:
        file = read_file(entry.path)
        return Prepared(file.design, where=file.where, of_topology=file.of_topology, folder=entry.path.resolve().parent)
    return Prepared(load_implementation(entry.implementation).design(), entry.implementation)


def _existing(path: Path) -> Path:
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UsageError(f"results folder {path}: {existing} is no folder; name another with {option('--output-dir')}")
    return existing
