"""When a timeline's faults begin and end: its events as moments in their order, and the flags of what goes on."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from experiments.timeline.actions import Action, Event, Heal


@dataclass(slots=True, eq=False)
class Active:
    """A fault of the timeline from its moment on."""

    event: Event
    injected: threading.Event = field(default_factory=threading.Event)
    """The injection is over, whatever came of it."""
    over: threading.Event = field(default_factory=threading.Event)
    """It is being healed: nobody checks or takes turns any more."""
    name: str = ""
    """On the board."""
    ending: bool = False
    """Its end or a `heal` has come."""
    healing: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """A moment of the timeline."""

    at: float
    order: int
    action: Action
    active: Active | None
    """Whose fault begins or ends; None for `heal`."""
    ends: bool = False


def moments(events: Iterable[Event]) -> list[Due]:
    """All beginnings and ends in the order of their times; of one time the ends first, then as written."""
    due = []
    for order, event in enumerate(events):
        if isinstance(event.action, Heal):
            due.append(Due(event.start, order, event.action, None))
            continue
        active = Active(event)
        due.append(Due(event.start, order, event.action, active))
        if event.end is not None:
            due.append(Due(event.end, order, event.action, active, ends=True))
    return sorted(due, key=lambda one: (one.at, not one.ends, one.order))
