"""The runtime's event loop: file descriptors and timers, one thread."""

import heapq
import itertools
import selectors
import time
from collections.abc import Callable

Callback = Callable[[], object]


class Loop:
    """Calls back when a descriptor is ready or a time has come, until `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._running = True

    def watch(self, fd: int, on_readable: Callback, on_writable: Callback | None = None) -> None:
        """Call back whenever `fd` is readable (at its end too); replaces an earlier watch of it."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_writable else 0)
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, (on_readable, on_writable))
        else:
            self._selector.register(fd, events, (on_readable, on_writable))

    def forget(self, fd: int) -> None:
        """Watch `fd` no longer; call it before closing."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def after(self, seconds: float, callback: Callback) -> None:
        """Call back once, in `seconds`."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), callback))

    def stop(self) -> None:
        """Leave `run` after the callbacks of this turn."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        while self._running:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, events in self._selector.select(timeout):
                # An earlier callback of this turn may have closed the descriptor, even given its number away.
                if self._selector.get_map().get(key.fd) is not key:
                    continue
                on_readable, on_writable = key.data
                if events & selectors.EVENT_READ:
                    on_readable()
                if on_writable and events & selectors.EVENT_WRITE:
                    on_writable()
            self._run_timers()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
