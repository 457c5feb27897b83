"""What experiments record and find, as frozen values: samples, cells, verdicts, summaries, figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from experiments.stats import Estimate

Value = str | int | float | bool
"""A parameter's value or a factor's level."""

NOTHING = "\N{EN DASH}"
"""What a table shows where there is no value."""

TIMES = "\N{MULTIPLICATION SIGN}"
"""Before a ratio."""


DURATION: Final = " duration"
"""Ends a metric's name: how many seconds a part of a run that measured it took, from the reading's time on."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value."""

    time_s: float
    """When, seconds since 1970."""
    repetition: int
    """0, 1, …"""
    order: int
    """Position of its measurement in the run order."""
    levels: Mapping[str, str]
    """Factor name to level."""
    source: str
    """The node or pod that it was measured from."""
    target: str
    """The node or pod that it was measured to."""
    metric: str
    """For example `rtt`."""
    sequence: int
    value: float
    unit: str


class Verdict(StrEnum):
    """Whether a measurement can be believed."""

    VALID = "valid"
    SUSPECT = "suspect"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict and why."""

    verdict: Verdict = Verdict.VALID
    reasons: tuple[str, ...] = ()

    def merged(self, *others: "Assessment") -> "Assessment":
        """The worst verdict of all, with every reason once."""
        everything = (self, *others)
        order = list(Verdict)
        worst = max((item.verdict for item in everything), key=order.index)
        return Assessment(worst, tuple(dict.fromkeys(reason for item in everything for reason in item.reasons)))


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One statistic of one cell: a line of summary.csv."""

    levels: Mapping[str, str]
    source: str
    target: str
    metric: str
    statistic: str
    """For example `p50`, `p50 difference`, `p50 ratio`."""
    estimate: Estimate
    unit: str
    """Empty for a ratio."""
    declared: float | None
    """What the topology declares for it, in the same unit."""
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Table:
    """A table as people read it, for the terminal, Markdown and HTML."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawn figure: a matplotlib figure with its name and what it shows."""

    name: str
    caption: str
    drawing: Any
    """`matplotlib.figure.Figure`; not imported here, so that listing experiments stays quick."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an experiment found."""

    finding: str
    """One sentence that answers the question."""
    rows: tuple[SummaryRow, ...]
    table: Table
    figures: tuple[Figure, ...]
    assessment: Assessment
    notes: tuple[str, ...] = ()
    """What a reader has to know: rows that do not exist on this topology, coarse resolution and the like."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement of the run order: when it ran and what it belongs to."""

    order: int
    repetition: int
    levels: Mapping[str, str]
    source: str
    target: str
    metric: str
    started_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class MachineSecond:
    """The machine during one second of the run, shares of all CPUs' time from 0 to 1."""

    time_s: float
    """The end of that second, seconds since 1970."""
    idle: float
    steal: float
    softirq: float
    late_ms: float
    """99 % of the wake-ups of a probe that sleeps 2 ms at a time were less late than this: scheduling delay."""
    late_max_ms: float = 0.0
    """The latest wake-up of that second."""
    throttled: int = 0
    """Periods in which the CPU quota of the control group stopped its programs."""
    dropped: int = 0
    """Packets that the kernel dropped because a CPU's backlog was full."""
    clock_step_ms: float = 0.0
    """By how much the wall clock moved against the monotonic clock."""
    work_us: float = 0.0
    """How long a fixed piece of work took that nobody interrupted: the processor's own speed in that second."""


READING_COLUMNS = ("source", "target", "metric", "sequence", "time_s", "value", "unit")
"""Of samples.csv, behind its labels."""
RECORDER: Final = "recorder"
"""The label that every reading gets: the name of the workload or measurement that recorded it."""
EVENT_COLUMNS = ("time_s", "seconds", "event", "fault", "detail")
"""Of events.csv: what a timeline did, `seconds` after the workload's start."""


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """One link as measured against what was declared; None where one of the two is missing."""

    name: str
    quantity: str
    """`rate`, `delay` or another quantity."""
    declared: float | None
    measured: float | None
    unit: str
    within_tolerance: bool
    direction: str = ""
    """`from A to B`; empty: both."""
    moment: str = ""
    """`before`, `during` or `after` the run."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that `analyse` may look at."""

    topology: Mapping[str, Any]
    parameters: Mapping[str, Value]
    seed: int
    samples: Sequence[Sample]
    cells: Sequence[Cell]
    notes: Sequence[str]
    machine: Sequence[MachineSecond] = ()
    links: Sequence[LinkCheck] = ()
