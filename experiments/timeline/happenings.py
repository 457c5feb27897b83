"""What happened of a timeline: the rows of events.csv."""

import threading
import time
from dataclasses import dataclass
from typing import Final

from experiments.timeline.actions import Action

NOT_REACHED: Final = "not reached"
"""The event of an action that had not begun when the workload ended: its moment came later, or the machine was late for
it."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A row of events.csv."""

    time_s: float
    """Seconds since 1970."""
    seconds: float
    """After the workload's start."""
    event: str
    """`injected`, `present`, `symptom`, `recovered`, their opposites `absent`, `no symptom`, `not recovered`; `healed`,
    `renewed`, `failed`, `not reached`."""
    fault: str
    """The action as the timeline writes it."""
    detail: str
    """What was seen."""
    late_s: float | None = None
    """Of what was planned for a moment: how late it began."""


class Happenings:
    """Collects what happens, from several threads."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self._lock = threading.Lock()
        self._found: list[Happening] = []

    def add(self, started_s: float, event: str, action: Action, detail: str, late_s: float | None) -> None:
        """It happens now; `started_s`: the workload's start, seconds since 1970."""
        now = time.time()
        with self._lock:
            self._found.append(Happening(now, now - started_s, event, str(action), detail, late_s))

    def so_far(self) -> tuple[Happening, ...]:
        """All, in order of time."""
        with self._lock:
            return tuple(sorted(self._found, key=lambda one: one.time_s))
