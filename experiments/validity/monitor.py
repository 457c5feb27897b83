"""Watches the machine while something is measured: idle, steal and softirq time, scheduling delay, quota, drops, clock.

An emulation is only as honest as its machine is idle (Handigol et al., CoNEXT 2012): when no CPU time is left, the
packets wait for the emulator and not for the emulated network.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from experiments.records import MachineSecond
from experiments.validity import probe
from experiments.validity.kernel import between, parse_reading
from kubinet.errors import KubinetError

_SHORTEST_S: Final = 0.3
"""The rest of a second that is shorter has too few clock ticks for a share; alone, it is better than nothing."""
_END_S: Final = 10.0


class MachineMonitor:
    """A context manager: the probe runs meanwhile, and each of its seconds goes to `record`, from another thread."""

    def __init__(self, record: Callable[[MachineSecond], None]) -> None:
        self._record = record
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The probe's process; None before and after."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> Self:
        argv = [sys.executable, "-I", "-S", str(Path(probe.__file__))]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first:
            self._process.wait()
            self._process = None
            raise KubinetError("the probe of the machine ended at once; KUBINET_DEBUG=1 shows why")
        self._thread = threading.Thread(
            target=self._watch, args=(self._process.stdout, first), name="machine-monitor", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._thread is not None
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def _watch(self, lines: IO[str], first: str) -> None:
        before = parse_reading(first)
        recorded = False
        for line in lines:
            after = parse_reading(line)
            if after.span_s >= _SHORTEST_S or not recorded:
                self._record(between(before, after))
                recorded = True
            before = after
