"""How long a program itself did not run: what it waits for took less than it seems by that."""

import threading
import time
from collections.abc import Callable
from typing import Final

NAP_S: Final = 0.05


class Lateness:
    """Adds up how much later than meant a thread wakes up that does nothing but nap for `NAP_S` at a time.

    It wakes up late when the machine stands still, when no CPU is left, and when the program is stopped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._total_s = 0.0
        self._due_s = clock() + NAP_S

    def woke(self) -> None:
        """The thread has napped and will do so again."""
        with self._lock:
            now = self._clock()
            self._total_s += max(0.0, now - self._due_s)
            self._due_s = now + NAP_S

    def total_s(self) -> float:
        """Until now; includes a nap that should have ended, as another thread may run first after a standstill."""
        with self._lock:
            return self._total_s + max(0.0, self._clock() - self._due_s)
