"""What a session says while it goes on: to a display, to lines of text, to nobody."""

from collections.abc import Sequence

from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.engine.run import RunOutcome


class Follower:
    """Follows a session; this one is silent, displays override what they show. Called from one thread at a time."""

    def planned(self, design: ExperimentDesign, runs: Sequence[PlannedRun], done: int, parallel: int) -> None:
        """The session begins: `done` of the runs are there already, `parallel` go side by side."""

    def started(self, run: PlannedRun) -> None:
        """A run begins."""

    def told(self, index: int, text: str) -> None:
        """What a run does now."""

    def value(self, index: int, text: str) -> None:
        """What a run has just measured."""

    def ended(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """A run has ended."""

    def said(self, text: str) -> None:
        """Something about the whole session."""
