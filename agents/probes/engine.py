"""Runs the probes and hooks of all nodes' containers: one thread, one event loop, no thread per probe.

What is due and what an outcome means is decided by `agents.probes.state`; here are clock, tasks and who is told.
"""

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from agents.events import EventRecorder
from agents.probes.check import check
from agents.probes.hooks import HookRunner
from agents.probes.spec import Kind, Probe
from agents.probes.state import Before, Health, Outcome, ProbeState, first_state
from agents.probes.target import Result, Target, errored
from kubinet.cri import RuntimeClient

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 64
"""Probes on their way together: a thousand at the same moment would wait for each other beyond their limits."""
_PATIENCE_SECONDS: Final = 0.2
"""After this time a probe without an answer does not hold up others any more."""
_EVENT_BURST: Final = 25
_EVENT_PAUSE_SECONDS: Final = 300.0
"""As kubelet: 25 events about one object, then one each five minutes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A running container that shall be probed."""

    target: Target
    probes: tuple[Probe, ...]
    started_at: datetime
    terminating: bool = False
    before: Before | None = None
    """What the API says of it already; used when this engine sees it for the first time."""


@dataclass(eq=False, slots=True)
class _Entry:
    target: Target
    state: ProbeState
    gone: bool = False
    timer: asyncio.TimerHandle | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    told: dict[Kind, tuple[int, float]] = field(default_factory=dict)


class Prober:
    """All probes and hooks. `watch`, `health` and `forget` may be called from any thread."""

    def __init__(self, runtime: RuntimeClient, events: EventRecorder) -> None:
        self._runtime = runtime
        self._events = events
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)
        self._began = datetime.now(UTC)
        self._changed: Callable[[str], None] = lambda _: None
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._waiting: deque[_Entry] = deque()
        self._under_way = 0
        self._ended = False
        self.hooks = HookRunner(self._loop, runtime)
        self.runs = 0
        """Probes run so far."""

    def start(self, changed: Callable[[str], None]) -> None:
        """Begin; `changed(node)` is called, from the engine's thread, when a verdict changed or a hook ended."""
        self._changed = self.hooks.changed = changed
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is under way is given up."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def watch(self, uid: str, wanted: Mapping[str, Watched]) -> None:
        """From now on probe exactly these containers of the pod; one that is probed already goes on."""
        now = time.monotonic()
        with self._lock:
            entries = self._entries.setdefault(uid, {})
            for name, entry in list(entries.items()):
                if name not in wanted or wanted[name].target.attempt != entry.target.attempt:
                    self._give_up(entries.pop(name))
            for name, one in wanted.items():
                known = entries.get(name)
                if known is None:
                    known = entries[name] = _Entry(one.target, self._first(one, now))
                elif known.state.terminating or not one.terminating:
                    continue
                if one.terminating:
                    known.state = known.state.terminate(now)
                self._loop.call_soon_threadsafe(self._schedule, known)
            if not entries:
                del self._entries[uid]

    def health(self, uid: str) -> Mapping[str, tuple[int, Health]]:
        """Verdicts by container, with the attempt that they are about."""
        with self._lock:
            entries = self._entries.get(uid, {})
            return {name: (entry.target.attempt, entry.state.health) for name, entry in entries.items()}

    def forget(self, uid: str) -> None:
        """The pod's sandbox is gone: no more probes and hooks."""
        with self._lock:
            for entry in self._entries.pop(uid, {}).values():
                self._give_up(entry)
        self.hooks.forget(uid)

    # With the lock, from any thread

    def _first(self, one: Watched, now: float) -> ProbeState:
        began = now - max(0.0, (datetime.now(UTC) - one.started_at).total_seconds())
        # A new agent does not run the probes of everything that it found at once.
        jitter = random.random() if one.started_at < self._began else 0.0  # noqa: S311 - no secret
        return first_state(one.probes, began, now, one.before, jitter)

    def _give_up(self, entry: _Entry) -> None:
        entry.gone = True
        self._loop.call_soon_threadsafe(self._drop, entry)

    # The engine's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._ended = True  # a cancelled probe makes room, for which nothing may begin any more
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _drop(self, entry: _Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        for task in entry.tasks:
            task.cancel()

    def _schedule(self, entry: _Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        due = entry.state.next_due
        if due is not None and not entry.gone:
            entry.timer = self._loop.call_at(due, self._due, entry)

    def _due(self, entry: _Entry) -> None:
        entry.timer = None
        self._waiting.append(entry)
        self._serve()

    def _serve(self) -> None:
        """Start what is due, as far as there is room."""
        while self._waiting and self._under_way < _AT_ONCE and not self._ended:
            entry = self._waiting.popleft()
            if entry.gone:
                continue
            now = time.monotonic()
            with self._lock:
                due = entry.state.due(now)
                for probe in due:
                    entry.state = entry.state.begin(probe.kind, now)
            for probe in due:
                self._under_way += 1
                self.runs += 1
                task = self._loop.create_task(self._probe(entry, probe))
                entry.tasks.add(task)
                task.add_done_callback(entry.tasks.discard)
            self._schedule(entry)

    async def _probe(self, entry: _Entry, probe: Probe) -> None:
        room = _Room(self._make_room)
        patience = self._loop.call_later(_PATIENCE_SECONDS, room.leave)
        try:
            result = await check(self._runtime, entry.target, probe.handler, probe.timeout)
        except Exception as error:
            _LOG.exception("pod %s: %s probe", entry.target.uid, probe.kind.lower())
            result = errored(repr(error))
        finally:
            patience.cancel()
            room.leave()
        self._conclude(entry, probe, result)

    def _make_room(self) -> None:
        self._under_way -= 1
        self._serve()

    def _conclude(self, entry: _Entry, probe: Probe, result: Result) -> None:
        with self._lock:
            if entry.gone:
                return
            before = entry.state.health
            entry.state = entry.state.conclude(probe.kind, result.outcome, time.monotonic())
            changed = entry.state.health != before
        self._say(entry, probe, result)
        self._schedule(entry)
        if changed:
            self._changed(entry.target.node)

    def _say(self, entry: _Entry, probe: Probe, result: Result) -> None:
        if result.outcome is Outcome.FAILURE:
            reason, message = "Unhealthy", f"{probe.kind} probe failed: {result.text}"
        elif result.outcome is Outcome.ERROR:
            reason, message = "Unhealthy", f"{probe.kind} probe errored: {result.text}"
        elif result.warning:
            reason, message = "ProbeWarning", f"{probe.kind} probe warning: {result.text}"
        else:
            return
        now = time.monotonic()
        count, last = entry.told.get(probe.kind, (0, 0.0))
        if count < _EVENT_BURST or now - last >= _EVENT_PAUSE_SECONDS:
            entry.told[probe.kind] = (count + 1, now)
            self._events.tell(entry.target.subject, entry.target.node, "Warning", reason, message)


class _Room:
    """A place among the probes under way, given back once."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def leave(self) -> None:
        """Give the place back, if that has not happened."""
        if self._give_back is not None:
            give_back, self._give_back = self._give_back, None
            give_back()
