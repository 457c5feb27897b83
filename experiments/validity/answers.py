"""How long the SDN controller takes to answer, asked all the time by a thread of the program that reads counters."""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agents.watching.echo import Echo
from agents.watching.processes import TICKS, parse_stat, services_file
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
    """The controller's process; another one is a controller that was started again."""


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


class Asking:
    """A context manager: a thread that asks for an echo, waits for the answer, and after a quarter of a second again.

    A controller that cannot be reached is asked until it can, which is one wait. For a program inside the sandbox.
    """

    def __init__(self) -> None:
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._pending: tuple[float, Process] | None = None
        self._echo: tuple[int, Echo] | None = None
        """The port that it speaks to."""
        self._thread = threading.Thread(target=self._run, name="controller-answers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.set()  # it may wait for an answer for seconds: nobody waits for it, it ends with the program

    def take(self, *, last: bool = False) -> tuple[Answer, ...]:
        """What was answered since the call before; with `last` also the wait that has not ended."""
        with self._lock:
            found, self._answers = self._answers, []
            if last and self._pending is not None:
                found.append(_waited(*self._pending))
        return tuple(found)

    def _run(self) -> None:
        before = controller_process()
        with namespace(of_process(_SUPERVISOR)):
            while before is not None and not self._end.wait(PERIOD_S):
                pending = time.monotonic(), before
                with self._lock:
                    self._pending = pending
                while not self._answered():
                    if self._end.wait(_RETRY_S):
                        return
                with self._lock:
                    self._answers.append(_waited(*pending))
                    self._pending = None
                before = controller_process() or before

    def _answered(self) -> bool:
        now = controller_process()
        if now is None:
            return False
        if self._echo is None or self._echo[0] != now.port:
            self._echo = now.port, Echo(("127.0.0.1", now.port))
        return self._echo[1].ask() is not None


def _waited(asked_s: float, before: Process) -> Answer:
    now = controller_process() or before
    # Another process has computed only in order to begin: that is no work that others had to wait for.
    computed = max(0.0, now.cpu_s - before.cpu_s) if now.pid == before.pid else 0.0
    return Answer(asked_s, time.monotonic() - asked_s, computed, now.pid)
