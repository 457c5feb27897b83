"""Level-triggered work per object: whatever changes marks the object's key, a run brings each marked one in order."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from controller.api.status import StatusError
from controller.api.store import Key

_LOG: Final = logging.getLogger(__name__)
_FIRST_RETRY: Final = 0.1
_LAST_RETRY: Final = 60.0
_REST: Final = 4.0
"""After a run it rests so many times as long: bursts of changes cost at most a fifth of the event loop's time, and a
set of 1,000 pods is not counted again for each of them."""


class KeyedLoop:
    """Calls `sync(key)` for marked keys, on the API's event loop; a key whose sync fails is tried again later.

    `sync` returns after how many seconds it wants to be called again without a change, or None; 0: there is more to
    do at once, after others had their turn on the event loop.
    """

    def __init__(self, sync: Callable[[Key], float | None], *, name: str) -> None:
        self._sync = sync
        self._name = name
        self._marked: dict[Key, None] = {}
        self._handle: asyncio.Handle | None = None
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._not_before = 0.0
        self._closed = False

    def mark(self, key: Key) -> None:
        """Ask for a sync of this key."""
        self._marked[key] = None
        if self._handle is None:
            self._schedule()

    def _schedule(self) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        wait = self._not_before - loop.time()
        self._handle = loop.call_later(wait, self._run) if wait > 0 else loop.call_soon(self._run)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._failures.pop(key, None)
        self._cancel(key)

    def _run(self) -> None:
        began = time.perf_counter()
        marked, self._marked = self._marked, {}
        unfinished = [key for key in marked if self._one(key)]
        rest = 0.0 if unfinished else _REST * (time.perf_counter() - began)
        self._not_before = asyncio.get_running_loop().time() + rest
        self._marked |= dict.fromkeys(unfinished)
        self._handle = None
        if self._marked:
            self._schedule()

    def _one(self, key: Key) -> bool:
        """Whether it wants to go on at once."""
        self._cancel(key)
        try:
            again = self._sync(key)
        except StatusError as error:
            # Nothing is lost: the same decision is right later.
            again = self._failed(key)
            _LOG.warning("%s %s/%s: %s; trying again in %.1f s", self._name, *key, error, again)
        except Exception:
            # A defect that one object meets must not stop the work on all others.
            again = self._failed(key)
            _LOG.exception("%s %s/%s: a defect; trying again in %.1f s", self._name, *key, again)
        else:
            self._failures.pop(key, None)
        if again == 0 or again is None or self._closed:
            return again == 0
        self._timers[key] = asyncio.get_running_loop().call_later(again, self.mark, key)
        return False

    def _failed(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(_FIRST_RETRY * float(1 << min(failures, 20)), _LAST_RETRY)

    def _cancel(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Call no more."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()
        for timer in self._timers.values():
            timer.cancel()
