"""The probe: a program of its own that sleeps 2 ms at a time and says each second how late it woke up.

A program of its own, because a thread would measure Python's interpreter lock instead of the scheduler. It prints a
JSON line at once and then one each second, with the texts of the kernel's counters as they are; SIGTERM makes it print
what is left and end. It imports nothing of Kubinet, so that it starts in a few milliseconds and stays small.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

PERIOD_S = 0.002
SECOND_S = 1.0
_FILES = ("/proc/stat", "/proc/net/softnet_stat")


def throttle_files(text: str) -> "list[str]":
    """Where the `cpu.stat` of this process's control group and of those around it may be; `text`: /proc/self/cgroup.

    Version 2 is `0::/PATH`, version 1 a hierarchy with the controller `cpu` (cgroups(7)).
    """
    found = []
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            roots = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"]
        else:
            continue
        inside = Path(path.lstrip("/"))
        found += [str(Path(root, folder, "cpu.stat")) for root in roots for folder in (inside, *inside.parents)]
    return list(dict.fromkeys(found))


def clock_offset() -> float:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, seconds; of five readings the one that was interrupted least."""
    readings = []
    for _ in range(5):
        before = time.monotonic()
        wall = time.time()
        after = time.monotonic()
        readings.append((after - before, wall - (before + after) / 2))
    return min(readings)[1]


def fixed_work(zeros: int, buffer: bytearray) -> float:
    """Seconds that a fixed piece of work takes, in the interpreter and in the kernel; of five, the fastest.

    The fastest was not interrupted: what is left is the speed of this processor at this moment, which a virtual
    machine's neighbours change by a third without any steal time.
    """
    best = float("inf")
    for _ in range(5):
        began = time.monotonic()
        done = 0
        for number in range(2000):
            done += number * number
        for _ in range(16):
            os.readv(zeros, [buffer])
        best = min(best, time.monotonic() - began)
    return best


def quantile(ordered: "list[float]", share: float) -> float:
    """The value below which `share` of the sorted values are."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Probe:
    def __init__(self) -> None:
        self.ending = False
        named = throttle_files(Path("/proc/self/cgroup").read_text())
        self._throttles = [Path(name) for name in named if Path(name).exists()]
        self._zeros, self._buffer = os.open("/dev/zero", os.O_RDONLY), bytearray(1 << 16)

    def end(self, _number: int, _frame: "FrameType | None") -> None:
        self.ending = True

    def run(self) -> None:
        began = time.monotonic()
        late = [self._say([], 0.0)]
        due = time.monotonic()
        while not self.ending:
            due += PERIOD_S
            time.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            late.append(now - due)
            if now - began >= SECOND_S:
                late = [self._say(late, now - began)]
                began = now
                now = time.monotonic()
            due = max(due, now - PERIOD_S)
        self._say(late, time.monotonic() - began)

    def _say(self, late: "list[float]", span: float) -> float:
        """Print a line; how long that waited, seconds: what it computed is no delay of the scheduler."""
        wall, computed = time.monotonic(), time.process_time()
        late.sort()
        line = {
            "time_s": time.time(),
            "span_s": span,
            "late_s": [quantile(late, 0.5), quantile(late, 0.99), late[-1] if late else 0.0],
            "offset_s": clock_offset(),
            "work_s": fixed_work(self._zeros, self._buffer),
            "files": [Path(name).read_text() for name in _FILES],
            "throttles": [file.read_text() for file in self._throttles if file.exists()],
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        return time.monotonic() - wall - (time.process_time() - computed)


if __name__ == "__main__":
    probe = _Probe()
    signal.signal(signal.SIGTERM, probe.end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    probe.run()
