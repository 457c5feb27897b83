"""A controller's events, limited as upstream's correlator does: 1,000 pods of one set are not 1,000 events."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from controller.api.objects import Objects
from controller.api.status import Object, StatusError
from controller.workloads.events import record

_LOG: Final = logging.getLogger(__name__)
_BURST: Final = 25.0
_REFILL: Final = 1 / 300
"""Events per second and object after the burst."""
_SIMILAR: Final = 10
_WINDOW: Final = 600.0
_OBJECTS: Final = 4096


@dataclass(slots=True)
class _Budget:
    tokens: float
    refilled: float
    told: dict[str, set[str]] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)


class Recorder:
    """Writes events about objects: at most 25 at once about one, more than 10 of one reason are combined."""

    def __init__(self, objects: Objects, component: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._objects = objects
        self._component = component
        self._clock = clock
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    def tell(self, about: Object, reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal") -> None:
        """Write the event, or not."""
        budget = self._budget(about["metadata"]["uid"])
        now = self._clock()
        budget.tokens = min(_BURST, budget.tokens + (now - budget.refilled) * _REFILL)
        budget.refilled = now
        if budget.tokens < 1:
            return
        budget.tokens -= 1
        same = ""
        if now - budget.since.setdefault(reason, now) > _WINDOW:
            budget.told[reason] = set()
            budget.since[reason] = now
        told = budget.told.setdefault(reason, set())
        if message not in told and len(told) >= _SIMILAR:
            same, message = "combined", f"(combined from similar events): {message}"
        else:
            told.add(message)
        try:
            record(self._objects, about, reason, message, component=self._component, kind=kind, same=same)
        except StatusError as error:
            # Events are a service to people: in a namespace that ends there is no place for them, and work goes on.
            _LOG.debug("event %s about %s: %s", reason, about["metadata"]["name"], error)

    def _budget(self, uid: str) -> _Budget:
        budget = self._budgets.get(uid)
        if budget is None:
            budget = self._budgets[uid] = _Budget(_BURST, self._clock())
            if len(self._budgets) > _OBJECTS:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(uid)
        return budget
