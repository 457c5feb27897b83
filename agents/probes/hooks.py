"""Life-cycle hooks on the engine's event loop: each runs once for a run of its container."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agents.probes.check import run_hook
from agents.probes.spec import Handler
from agents.probes.target import Result, Target, errored
from kubinet.cri import RuntimeClient

_LOG = logging.getLogger(__name__)


class Moment(StrEnum):
    """When a hook runs; the value is Kubernetes' word in events."""

    POST_START = "PostStart"
    PRE_STOP = "PreStop"


@dataclass(frozen=True, slots=True)
class HookKey:
    """One hook of one run of a container."""

    uid: str
    container: str
    attempt: int
    moment: Moment


class HookRunner:
    """Starts hooks and keeps their results. All methods but those with an underscore are for any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, runtime: RuntimeClient) -> None:
        self.changed: Callable[[str], None] = lambda _: None
        """Called with the node's name, from the loop's thread, when a hook has ended."""
        self._loop = loop
        self._runtime = runtime
        self._lock = threading.Lock()
        self._results: dict[HookKey, Result | None] = {}
        self._tasks: dict[HookKey, asyncio.Task[None]] = {}

    def start(self, key: HookKey, target: Target, handler: Handler, timeout: float) -> None:
        """Run a hook for at most `timeout` seconds; nothing when it was started before."""
        with self._lock:
            if key in self._results:
                return
            # Of earlier runs nobody asks any more.
            self._remove(lambda old: (old.uid, old.container) == (key.uid, key.container) and old.attempt < key.attempt)
            self._results[key] = None
        self._loop.call_soon_threadsafe(self._begin, key, target, handler, timeout)

    def under_way(self, key: HookKey) -> bool:
        """Whether the hook was started and has not ended."""
        with self._lock:
            return key in self._results and self._results[key] is None

    def result(self, key: HookKey) -> Result | None:
        """How the hook ended; None while it runs, and when it was never started."""
        with self._lock:
            return self._results.get(key)

    def forget(self, uid: str) -> None:
        """The pod's sandbox is gone."""
        with self._lock:
            self._remove(lambda key: key.uid == uid)

    def _remove(self, of: Callable[[HookKey], bool]) -> None:
        for key in [key for key in self._results if of(key)]:
            del self._results[key]
            self._loop.call_soon_threadsafe(self._cancel, key)

    def _begin(self, key: HookKey, target: Target, handler: Handler, timeout: float) -> None:
        self._tasks[key] = self._loop.create_task(self._hook(key, target, handler, timeout))

    def _cancel(self, key: HookKey) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    async def _hook(self, key: HookKey, target: Target, handler: Handler, timeout: float) -> None:
        try:
            result = await run_hook(self._runtime, target, handler, timeout)
        except Exception as error:
            _LOG.exception("pod %s: %s hook", key.uid, key.moment)
            result = errored(repr(error))
        with self._lock:
            if key not in self._results:
                return
            self._results[key] = result
            self._tasks.pop(key, None)
        self.changed(target.node)
