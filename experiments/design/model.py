"""An experiment as values: its question, factors, runs, workload, measurements and timeline; all frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from experiments.records import Value

Settings = Mapping[str, Value]
"""Field names to values, as a workload, a measurement or a preset takes them."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a factor: its name, and what it sets."""

    name: str
    """As tables and columns show it."""
    sets: Mapping[str, Value]
    """Dotted path of the experiment (`topology.network.overlay`, `manifests.Deployment/web.spec.replicas`,
    `workload.rtt.payload`) to the value there; empty where the level is only substituted as `$(factor)`."""
    value: Value
    """What `$(factor)` stands for."""


@dataclass(frozen=True, slots=True)
class FactorDesign:
    """Something that the experiment varies from run to run."""

    name: str
    levels: tuple[Level, ...]
    meaning: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TopologyChoice:
    """The network of every run before factors change it."""

    source: str
    """A preset's name, or the YAML text of a Topology document: files are read at once, results need none."""
    nodes: int | None = None
    datapath: str = "auto"
    settings: Mapping[str, Value] = field(default_factory=dict)
    """As `kubinet up --set`."""


@dataclass(frozen=True, slots=True)
class ManifestChoice:
    """Kubernetes objects of every run."""

    name: str
    text: str
    """YAML, `$(name)` not yet substituted; `$(i)` is the copy's number."""
    repeat: int = 1
    """How many copies of all its documents are applied."""


@dataclass(frozen=True, slots=True)
class WorkloadDesign:
    """Traffic of every run."""

    name: str
    kind: str
    """Which plug-in: `ping`, `iperf3`, …"""
    settings: Settings
    step: int
    """Workloads of one step run side by side, steps one after the other."""


@dataclass(frozen=True, slots=True)
class MeasurementDesign:
    """What is watched while the workload runs."""

    name: str
    kind: str
    settings: Settings


class Order(StrEnum):
    """In which order the runs go."""

    BLOCKED = "blocked"
    """Each repetition holds every combination once, in an order drawn anew."""
    RANDOM = "random"
    """All runs in one drawn order."""
    SEQUENTIAL = "sequential"
    """As written, repetition by repetition."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Stop when an interval is narrow enough."""

    metric: str
    statistic: str
    half_width: float
    """Share of the statistic's value, 0 to 1, that the interval may go to either side, for every combination."""
    minimum: int
    """Repetitions before it is looked at."""


@dataclass(frozen=True, slots=True)
class StopConditions:
    """When the experiment ends before its last run."""

    max_duration_s: float | None = None
    max_invalid: float | None = None
    """Share of finished runs, 0 to 1."""
    precision: Precision | None = None


@dataclass(frozen=True, slots=True)
class AnalysisDesign:
    """One table and figure of the report."""

    metric: str
    statistics: tuple[str, ...] = ("p50",)
    """`p50` and the like, `mean`, `sum`, `min`, `max`, `count`; of each run's samples."""
    by: tuple[str, ...] = ()
    """Factors and labels that rows are made of; empty: all factors that vary."""
    baseline: Mapping[str, str] = field(default_factory=dict)
    """Levels that others are compared with."""
    figure: str = "box"
    """`box`, `ecdf`, `line` (over the factor `x`), `series` (over time, with fault marks)."""
    x: str = ""
    log_x: bool = False
    log_y: bool = False
    title: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    """Levels and labels of the samples that it is about; empty: all."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement that the results bear out or not; ends in the bundle's claims.yml."""

    identity: str
    text: str
    metric: str
    statistic: str
    where: Mapping[str, str]
    """Levels and labels of the samples that it speaks of."""
    against: Mapping[str, str]
    """Levels and labels that it compares with; empty: compares with `value`."""
    relation: str
    """`<`, `>`, `~` (equal within the tolerance)."""
    value: float | None
    """An absolute value; with `against`, a factor that the other side is multiplied with (1 if None)."""
    tolerance: float
    """Share, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published result that the experiment repeats."""

    source: str
    """Authors, title, venue, year, figure or table."""
    says: str
    claims: tuple[str, ...]
    """Identities of the claims that show it again."""
    why_not: str = ""
    """Where it does not show: why."""


@dataclass(frozen=True, slots=True)
class ParameterDesign:
    """What is known of a parameter besides its value."""

    meaning: str = ""
    """With the unit."""
    quick: Value | None = None
    """The value with `--quick`; None: the same."""
    minimum: float | None = None


@dataclass(frozen=True, slots=True)
class QuickDesign:
    """What `--quick` changes: a run of under a minute that shows that everything works."""

    repetitions: int = 1
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Factor to the names of the levels that are kept; others keep all."""


@dataclass(frozen=True, slots=True)
class ExperimentDesign:
    """A whole experiment, checked; what `$(name)` stands for is still open."""

    name: str
    question: str
    summary: str
    topology: TopologyChoice
    manifests: tuple[ManifestChoice, ...]
    ready: tuple[str, ...]
    """Objects that must be ready before the warm-up: `Pod/NAME`, `Deployment/NAME`, `Namespace:Kind/NAME`; pods and
    workload objects of the manifests are waited for anyway."""
    factors: tuple[FactorDesign, ...]
    exclude: tuple[Mapping[str, str], ...]
    """Combinations of level names that are left out."""
    parameters: Mapping[str, Value]
    repetitions: int
    seed: int
    order: Order
    warmup_s: float
    """Seconds that the workload's machine is left alone after everything is ready."""
    workload: tuple[WorkloadDesign, ...]
    measurements: tuple[MeasurementDesign, ...]
    timeline: tuple[str, ...]
    """Lines of the timeline language; times are seconds after the workload's start."""
    stop: StopConditions
    measures_speed: bool
    """False: several runs may go side by side (`--jobs`)."""
    run_seconds: float
    """Expected duration of one run, without bringing the cluster up."""
    run_bytes: int
    """Expected disk of one run."""
    analysis: tuple[AnalysisDesign, ...]
    claims: tuple[Claim, ...]
    published: tuple[Published, ...]
    declared: Mapping[str, ParameterDesign] = field(default_factory=dict)
    """More about the parameters of these names."""
    quick: QuickDesign = QuickDesign()
    files: Mapping[str, str] = field(default_factory=dict)
    """The texts of files that the timeline applies or deletes, by the names that it gives them."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run: a combination of levels in one repetition."""

    index: int
    """Its place in the run order, from 0."""
    repetition: int
    levels: Mapping[str, str]
    """Factor to level name."""
    seed: int
    """Derived from the experiment's seed, the levels and the repetition: independent of the order and of other runs."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What one run does, every level applied and every `$(name)` substituted."""

    run: PlannedRun
    topology: TopologyChoice
    manifests: Mapping[str, str]
    """File name to YAML."""
    ready: tuple[str, ...]
    warmup_s: float
    workload: tuple[WorkloadDesign, ...]
    measurements: tuple[MeasurementDesign, ...]
    timeline: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    """The timeline's files, name to text."""
