"""What an experiment is: a question, factors, parameters, a way to run it and a pure way to read its samples.

An experiment is split in two so that figures can be made again from a results folder: `run` measures and hands every
sample to the recorder, `analyse` is a pure function of what was recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from experiments.measure.target import ExecResult, Host, Target
from experiments.records import Analysis, Cell, Recording, Sample, Value
from kubinet.errors import UsageError


class PodTarget(Target, Protocol):
    """A running pod."""

    @property
    def node(self) -> str:
        """The name of the node that it runs on."""
        ...

    def wait_log(self, text: str, *, timeout: float = 15.0) -> str:
        """The first line of its log that contains `text`, waited for; `timeout` in seconds."""
        ...


class RunningCluster(Protocol):
    """What experiments use of a cluster; `kubinet.cluster.Cluster` satisfies it."""

    @property
    def name(self) -> str:
        """How `kubinet --cluster` calls it."""
        ...

    @property
    def topology(self) -> Mapping[str, Any]:
        """The resolved Topology document."""
        ...

    @property
    def timings(self) -> Mapping[str, float]:
        """Phase of bringing the cluster up, to seconds."""
        ...

    def run(self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True) -> ExecResult:
        """Run a program in the sandbox itself."""
        ...

    def apply(self, manifests: str | Path) -> Sequence[tuple[Mapping[str, Any], str]]:
        """Create or update every object of a YAML text or file; returns each as it is then, and what was done."""
        ...

    def delete(self, manifests: str | Path) -> object:
        """Delete every object of a YAML text or file."""
        ...

    def wait(
        self, kind: str, name: str, condition: str = "Ready", *, namespace: str | None = None, timeout: float = 60.0
    ) -> object:
        """Return when the object has the condition; `timeout` in seconds."""
        ...

    def wait_until(
        self,
        kind: str,
        name: str,
        holds: Callable[[dict[str, Any] | None], bool],
        *,
        namespace: str | None = None,
        timeout: float = 60.0,
        what: str = "the expected state",
    ) -> object:
        """Return when `holds(object)` (None: there is no such object); `timeout` in seconds."""
        ...

    def pod(self, name: str, namespace: str = "default") -> PodTarget:
        """A handle of a running pod."""
        ...

    def node(self, name: str) -> Host:
        """A handle of a node."""
        ...

    def outside(self, name: str | None = None) -> Host:
        """A handle of an outside host; the first where no name is given."""
        ...

    def wait_realised(self, timeout: float = 60.0) -> None:
        """Return when every node's flows include all that was changed by now; `timeout` in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Factor:
    """Something that the experiment varies on purpose."""

    name: str
    levels: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that the experiment keeps constant and a user may set."""

    name: str
    default: Value
    quick: Value
    """The value with `--quick`: a run of under a minute that shows that everything works."""
    meaning: str
    """With the unit."""
    minimum: float | None = None
    maximum: float | None = None

    def parse(self, text: str) -> Value:
        """The value written as on the command line; UsageError naming the parameter when it has the wrong type."""
        kind = type(self.default)
        try:
            value: Value = text if kind is str else kind(text)
        except ValueError as error:
            raise UsageError(f"parameter '{self.name}': '{text}' is not {_article(kind)}") from error
        return self.check(value)

    def check(self, value: Value) -> Value:
        """The value, when type and range are right; UsageError otherwise."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise UsageError(f"parameter '{self.name}': {value!r} is not {_article(kind)}")
        if self.minimum is not None and not isinstance(value, str) and not value >= self.minimum:
            raise UsageError(f"parameter '{self.name}': {value!r} is below its minimum {self.minimum:g}")
        if self.maximum is not None and not isinstance(value, str) and not value <= self.maximum:
            raise UsageError(f"parameter '{self.name}': {value!r} is above its maximum {self.maximum:g}")
        return value


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "a text")


class Recorder(Protocol):
    """Where an experiment hands its results; everything is on disk when a call returns."""

    @property
    def seed(self) -> int:
        """The run's seed; derive others with `experiments.stats.derived_seed`."""
        ...

    @property
    def repetitions(self) -> int:
        """How often every cell is to be measured."""
        ...

    def manifest(self, name: str, text: str) -> None:
        """Keep a manifest that was applied."""
        ...

    def note(self, text: str) -> None:
        """Keep something that a reader has to know."""
        ...

    def order(self, cells: Sequence[str]) -> None:
        """Keep the planned run order."""
        ...

    def cell(self, cell: Cell, samples: Sequence[Sample], raw: Mapping[str, str]) -> None:
        """Keep one finished measurement: its samples, and the tools' own outputs by file name."""
        ...

    def progress(self, phase: str, text: str, fraction: float) -> None:
        """Tell the user what runs; `fraction` of the phase that is done, 0 to 1."""
        ...


class Experiment(Protocol):
    """One question and the way to answer it."""

    @property
    def name(self) -> str:
        """How `kubinet run` calls it."""
        ...

    @property
    def question(self) -> str:
        """What it asks, one sentence."""
        ...

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What it varies."""
        ...

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a user may set."""
        ...

    @property
    def repetitions(self) -> int:
        """How often every cell is measured unless the user says otherwise."""
        ...

    @property
    def quick_repetitions(self) -> int:
        """The same with `--quick`."""
        ...

    def expected_duration_s(self, parameters: Mapping[str, Value], repetitions: int) -> float:
        """How long it will take without bringing up the cluster, seconds."""
        ...

    def expected_disk_bytes(self, parameters: Mapping[str, Value], repetitions: int) -> int:
        """What its results folder will need."""
        ...

    def check(self, topology: Mapping[str, Any], parameters: Mapping[str, Value]) -> None:
        """Refuse, before anything is measured, a topology on which the question has no answer (InvalidInputError)."""
        ...

    def run(self, cluster: RunningCluster, parameters: Mapping[str, Value], recorder: Recorder) -> None:
        """Measure."""
        ...

    def analyse(self, recording: Recording) -> Analysis:
        """Read the samples. Pure."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered experiment: found by name without importing it."""

    name: str
    summary: str
    load: Callable[[], Experiment] = field(repr=False)
