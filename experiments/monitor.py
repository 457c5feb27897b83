"""Watches the machine while an experiment runs: idle, steal and softirq time per second, scheduling delay.

An emulation is only as honest as its machine is idle (Handigol et al., CoNEXT 2012): when no CPU time is left, the
packets wait for the emulator and not for the emulated network.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from experiments.records import MachineSecond
from kubinet.errors import KubinetError

PERIOD_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """The first line of /proc/stat, clock ticks since boot."""

    total: int
    idle: int
    steal: int
    softirq: int


def parse_cpu_times(text: str) -> CpuTimes:
    """Read /proc/stat; idle includes waiting for disks (proc(5)). KubinetError when the line is missing."""
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "cpu":
            try:
                ticks = [int(field) for field in rest.split()]
            except ValueError:
                break
            if len(ticks) < 8:
                break
            # user nice system idle iowait irq softirq steal; guest times are part of user and nice.
            return CpuTimes(sum(ticks[:8]), ticks[3] + ticks[4], ticks[7], ticks[6])
    raise KubinetError("/proc/stat: no line 'cpu' with at least 8 numbers; this kernel cannot be watched")


def between(before: CpuTimes, after: CpuTimes, time_s: float, late_ms: float) -> MachineSecond:
    """Shares of time between two readings; a machine without any tick in between counts as idle."""
    total = after.total - before.total
    if total <= 0:
        return MachineSecond(time_s, 1.0, 0.0, 0.0, late_ms)
    return MachineSecond(
        time_s,
        _share(after.idle - before.idle, total),
        _share(after.steal - before.steal, total),
        _share(after.softirq - before.softirq, total),
        late_ms,
    )


def _share(part: int, total: int) -> float:
    return min(1.0, max(0.0, part / total))


class MachineMonitor:
    """A context manager: a thread that reads /proc/stat every second and hands each second to `record`."""

    def __init__(self, record: Callable[[MachineSecond], None]) -> None:
        self._record = record
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="machine-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        before = _read()
        due = time.monotonic() + PERIOD_S
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            late_ms = (time.monotonic() - due) * 1000
            after = _read()
            self._record(between(before, after, time.time(), late_ms))
            before = after
            due += PERIOD_S


def _read() -> CpuTimes:
    return parse_cpu_times(Path("/proc/stat").read_text())
