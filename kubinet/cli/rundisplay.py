"""What `kubinet run` shows while runs go on: a live display for people, a line for each run where nobody watches."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from experiments.design.dryrun import STARTUP_SECONDS, run_seconds, spoken
from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.design.specify import specify
from experiments.engine.run import COMPLETE, RunOutcome
from experiments.engine.telling import Follower
from experiments.plugins import workloads
from kubinet.cli.terminal import progress

_MARKS = {"valid": "[green]✓[/green]", "suspect": "[yellow]?[/yellow]", "invalid": "[red]✗[/red]"}


@dataclass(slots=True)
class Going:
    """A run that goes on."""

    run: PlannedRun
    began: float
    step: str = ""
    value: str = ""

    def summed(self, now: float) -> str:
        """`7 s workload rtt, rtt 0.41 ms`."""
        return ", ".join(filter(None, (f"{now - self.began:.0f} s {self.step}".rstrip(), self.value)))


@dataclass(slots=True)
class Course:
    """How far a session is."""

    total: int = 0
    done: int = 0
    """Runs that are there, those of earlier sessions too."""
    failed: set[int] = field(default_factory=set)
    """Runs that failed, less those that a second try made complete."""
    parallel: int = 1
    expected_s: float = STARTUP_SECONDS
    durations: list[float] = field(default_factory=list)

    def ended(self, outcome: RunOutcome) -> None:
        """Count a run."""
        if outcome.state == COMPLETE:
            self.done += 1
            self.durations.append(outcome.seconds)
            self.failed.discard(outcome.index)
        else:
            self.failed.add(outcome.index)

    def left_s(self, spent: Sequence[float]) -> float:
        """How long it still takes; `spent`: seconds of the runs that go on."""
        each = sum(self.durations) / len(self.durations) if self.durations else self.expected_s
        left = max(0, self.total - self.done) * each - sum(min(one, each) for one in spent)
        return max(0.0, left) / self.parallel


@contextmanager
def following(title: str) -> Iterator[Follower]:
    """A display on standard error while the block runs."""
    console = progress()
    if not console.is_terminal:
        yield Lines(title, console)
        return
    display = Display(title, console)
    live = Live(display, console=console, refresh_per_second=5, transient=True)
    try:
        with live:
            yield display
    finally:
        live.stop()  # after ctrl-C in its very start, too: Rich leaves the cursor hidden then


class Lines(Follower):
    """A line for each run that ends."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._course = Course()

    def planned(self, design: ExperimentDesign, runs: Sequence[PlannedRun], done: int, parallel: int) -> None:
        """Keep what is to be expected."""
        self._course = Course(len(runs), done, parallel=parallel, expected_s=expected_seconds(design, runs))
        there = f", {done} of them are there already" if done else ""
        self._print(f"{len(runs)} runs{there}")

    def ended(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """A line about it."""
        self._course.ended(outcome)
        if outcome.state != COMPLETE:
            self._print(failure(run, outcome))
            return
        left = spoken(self._course.left_s(()))
        more = f"; about {left} left" if self._course.done < self._course.total else ""
        self._print(f"run {self._course.done} of {self._course.total} ({described(run)}): {summed(outcome)}{more}")

    def said(self, text: str) -> None:
        """Show it."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(f"{self._title}: {text}", markup=False, soft_wrap=True)


class Display(Follower):
    """The session's course, the runs that go on, the last that ended; Rich asks for it five times a second."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._course = Course()
        self._going: dict[int, Going] = {}
        self._last: list[tuple[PlannedRun, RunOutcome]] = []
        self._said = ""

    def planned(self, design: ExperimentDesign, runs: Sequence[PlannedRun], done: int, parallel: int) -> None:
        """Keep what is to be expected."""
        self._course = Course(len(runs), done, parallel=parallel, expected_s=expected_seconds(design, runs))

    def started(self, run: PlannedRun) -> None:
        """Show a row for it."""
        self._going[run.index] = Going(run, time.monotonic())

    def told(self, index: int, text: str) -> None:
        """Show its step."""
        if going := self._going.get(index):
            going.step = text

    def value(self, index: int, text: str) -> None:
        """Show its last value."""
        if going := self._going.get(index):
            going.value = text

    def ended(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """Its row becomes what came of it; a failure is printed for good instead."""
        self._going.pop(run.index, None)
        self._course.ended(outcome)
        if outcome.state != COMPLETE:
            self._console.print(failure(run, outcome), markup=False, soft_wrap=True)
            return
        self._last = [*self._last[-2:], (run, outcome)]

    def said(self, text: str) -> None:
        """Show it."""
        self._said = text

    def __rich__(self) -> RenderableType:
        course, now = self._course, time.monotonic()
        going = list(self._going.values())
        failed = f"  {len(course.failed)} failed" if course.failed else ""
        left = course.left_s([now - one.began for one in going])
        ends = f"  about {spoken(left)} left" if left >= 1 else ""
        if not course.total:
            return Text(f"{self._title}  getting ready", style="bold")
        head = Text(f"{self._title}  {course.done} of {course.total} runs{failed}{ends}", style="bold")
        rows = Table.grid(Column(), Column(justify="right"), Column(), Column(), padding=(0, 2))
        for run, outcome in list(self._last):
            rows.add_row(_MARKS.get(outcome.verdict, ""), _number(run), Text(described(run)), Text(summed(outcome)))
        for one in going:
            rows.add_row("…", _number(one.run), Text(described(one.run)), Text(one.summed(now)))
        bar = Table.grid()
        bar.add_row(ProgressBar(total=course.total, completed=course.done, width=60))
        said = [Text(self._said, style="dim")] if self._said else []
        return Group(head, bar, rows, *said)


def _number(run: PlannedRun) -> Text:
    return Text(f"{run.index}", style="dim")


def expected_seconds(design: ExperimentDesign, runs: Sequence[PlannedRun]) -> float:
    """How long a run is expected to take, with its cluster's start."""
    return STARTUP_SECONDS + (run_seconds(design, specify(design, runs[0]), workloads) if runs else 0.0)


def described(run: PlannedRun) -> str:
    """`overlay=vxlan, load=idle, repetition 2`."""
    return ", ".join([*(f"{factor}={level}" for factor, level in run.levels.items()), f"repetition {run.repetition}"])


def failure(run: PlannedRun, outcome: RunOutcome) -> str:
    """`run 3 (overlay=vxlan, repetition 2): failed after 20 s: …`; the number is that of its folder."""
    return f"run {run.index} ({described(run)}): {summed(outcome)}"


def summed(outcome: RunOutcome) -> str:
    """`19 s, suspect: …`, or why it failed."""
    if outcome.state != COMPLETE:
        return f"failed after {outcome.seconds:.0f} s: {outcome.error.splitlines()[0] if outcome.error else ''}"
    reason = f": {outcome.reasons[0]}" if outcome.reasons else ""
    return f"{outcome.seconds:.0f} s, {outcome.verdict}{reason}"
