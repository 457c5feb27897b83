"""Which experiments there are: Python classes, files of the catalogue, and any file by its path."""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from experiments.design.model import ExperimentDesign
from experiments.records import Analysis, Recording
from kubinet.errors import UsageError

CATALOGUE: Final = Path(__file__).with_name("catalogue")
_CLASSES: Final[Mapping[str, str]] = {
    "pod_latency": "experiments.pod_latency.experiment:PodLatency",
    "service_load_balancing": "experiments.service_load_balancing.experiment:ServiceLoadBalancing",
}


class Experiment(Protocol):
    """An experiment made in Python: its design, and a reading of its samples of its own."""

    @property
    def name(self) -> str:
        """How `kubinet run` calls it."""
        ...

    @property
    def summary(self) -> str:
        """One line for `kubinet run --list`."""
        ...

    def design(self) -> ExperimentDesign:
        """What is to be run."""
        ...

    def analyse(self, recording: Recording) -> Analysis:
        """Read the samples. Pure."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """An experiment that can be run by name."""

    name: str
    path: Path | None = None
    """Its file; None for a Python class."""
    implementation: str = ""
    """`module:class`; empty for a file."""


def list_experiments() -> tuple[Entry, ...]:
    """Every experiment that has a name, by name; nothing is imported or read."""
    files = {path.stem.replace("-", "_"): Entry(path.stem, path) for path in CATALOGUE.glob("*.yaml")}
    classes = {name: Entry(name, implementation=where) for name, where in _CLASSES.items()}
    return tuple(entry for _, entry in sorted((files | classes).items()))


def find_experiment(name: str) -> Entry:
    """The experiment of that name (hyphens and underscores are the same) or in that file; UsageError otherwise."""
    if name.endswith((".yaml", ".yml", ".json")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"experiment file '{name}' does not exist; `kubinet run --list` lists those with a name")
        return Entry(path.stem, path)
    known = {entry.name.replace("-", "_"): entry for entry in list_experiments()}
    entry = known.get(name.replace("-", "_"))
    if entry is None:
        names = {key: one.name for key, one in known.items()} | {"calibrate": "calibrate"}  # which `run` takes as well
        near = difflib.get_close_matches(name.replace("-", "_"), names, n=1, cutoff=0.7)
        meant = f"did you mean '{names[near[0]]}'? " if near else ""
        listed = ", ".join(one.name for one in known.values())
        raise UsageError(f"experiment '{name}' does not exist; {meant}there are: {listed}; or name a file")
    return entry


def load_implementation(name: str) -> Experiment:
    """The experiment `module:class`."""
    module, _, attribute = name.partition(":")
    found: Experiment = getattr(importlib.import_module(module), attribute)()
    return found


def summary_of(entry: Entry) -> str:
    """One line about it."""
    if entry.path is None:
        return load_implementation(entry.implementation).summary
    from experiments.design.document import read_experiment  # noqa: PLC0415 - only who lists them reads files

    return read_experiment(entry.path).summary
