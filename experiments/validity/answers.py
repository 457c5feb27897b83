"""How long the SDN controller takes to answer, asked all the time by a thread of the program that reads counters."""

import json
import math
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agents.watching.echo import Echo
from agents.watching.processes import TICKS, parse_stat, services_file
from experiments.validity.lateness import NAP_S, Lateness
from kubinet.netns import namespace, of_process

PERIOD_S: Final = 0.25
_RETRY_S: Final = 0.05
_SUPERVISOR: Final = 1
"""The sandbox's first process, whose network namespace the services are in."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One OpenFlow echo, or the wait for it until now."""

    asked_s: float
    """CLOCK_MONOTONIC."""
    waited_s: float
    computed_s: float
    """CPU time that the controller used meanwhile: it may have been busy with something else."""
    pid: int
    """The controller's process, 0 when none was seen; another one is a controller that was started again."""
    late_s: float = 0.0
    """How much of the wait this program itself did not run: the answer may have been there."""


@dataclass(frozen=True, slots=True)
class Process:
    """The controller at one moment."""

    pid: int
    cpu_s: float
    """CPU time since its start."""
    port: int
    """Where it listens."""


def controller_process() -> Process | None:
    """The sandbox's controller; None while it does not run. For a program inside the sandbox."""
    try:
        file = services_file(Path("/proc/1/cmdline").read_bytes())
        entry = json.loads(file.read_text())["controller"]
        pid = int(entry["pid"])
        used = parse_stat(Path(f"/proc/{pid}/stat").read_text()).ticks / TICKS
        return Process(pid, used, int(entry["facts"]["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


_UNKNOWN: Final = Process(0, math.inf, 0)
"""Before the controller was seen first: what it computes is not known, and excuses nothing."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """An echo that was not answered yet."""

    asked_s: float
    before: Process
    late_s: float
    """Of this program until then."""


class Asking:
    """A context manager: a thread that asks for an echo, waits for the answer, and after a quarter of a second again.

    A controller that cannot be reached is asked until it can, which is one wait. For a program inside the sandbox.
    """

    def __init__(self) -> None:
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._pending: _Pending | None = None
        self._failure = ""
        self._echo: tuple[int, Echo] | None = None
        """The port that it speaks to."""
        self._lateness = Lateness()
        self._threads = [
            threading.Thread(target=run, name=f"controller-{name}", daemon=True)
            for name, run in (("answers", self._run), ("lateness", self._nap))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.set()  # it may wait for an answer for seconds: nobody waits for it, it ends with the program

    def take(self, *, last: bool = False) -> tuple[Answer, ...]:
        """What was answered since the call before; with `last` also the wait that has not ended."""
        with self._lock:
            found, self._answers = self._answers, []
            pending = self._pending
        if last and pending is not None:
            found.append(self._waited(pending, pending.before))
        return tuple(found)

    @property
    def failure(self) -> str:
        """Why nobody is asked any more; empty while somebody is."""
        with self._lock:
            return self._failure

    def _nap(self) -> None:
        while not self._end.wait(NAP_S):
            self._lateness.woke()

    def _run(self) -> None:
        try:
            with namespace(of_process(_SUPERVISOR)):
                self._ask()
        except Exception as error:  # whatever it is, the verdict names it
            with self._lock:
                self._failure = f"{type(error).__name__}: {error}"

    def _ask(self) -> None:
        known = _UNKNOWN
        while True:
            # What it computed before the question is no reason to wait for the answer: it is read only now. Where it
            # cannot be read, nothing is excused.
            before = controller_process() or replace(known, cpu_s=math.inf)
            pending = _Pending(time.monotonic(), before, self._lateness.total_s())
            with self._lock:
                self._pending = pending
            while (answered := self._answered()) is None:
                if self._end.wait(_RETRY_S):
                    return
            answer, known = self._waited(pending, answered), answered
            with self._lock:
                self._answers.append(answer)
                self._pending = None
            if self._end.wait(PERIOD_S):
                return

    def _answered(self) -> Process | None:
        """Who answered."""
        now = controller_process()
        if now is None:
            return None
        if self._echo is None or self._echo[0] != now.port:
            self._echo = now.port, Echo(("127.0.0.1", now.port))
        return now if self._echo[1].ask() is not None else None

    def _waited(self, pending: _Pending, last: Process) -> Answer:
        waited, late = time.monotonic() - pending.asked_s, self._lateness.total_s() - pending.late_s
        now = controller_process() or last
        # Another process has computed only in order to begin: that is no work that others had to wait for.
        known = now.pid == pending.before.pid and math.isfinite(pending.before.cpu_s)
        computed = max(0.0, now.cpu_s - pending.before.cpu_s) if known else 0.0
        return Answer(pending.asked_s, waited, computed, now.pid, late)
