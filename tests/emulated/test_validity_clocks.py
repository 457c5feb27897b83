"""The monitor proves itself on clocks and steal time, as far as a test may move them.

CLOCK_REALTIME has no namespace, and setting it would move the clock of everything else on the machine. A time namespace
moves CLOCK_MONOTONIC, which is the other half of what the rule compares (time_namespaces(7)). Steal time needs a
hypervisor that takes it: what the kernel would say then is put in /proc/stat's place, in a mount namespace.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sandboxed import call_sandboxed

from experiments.records import Assessment, MachineSecond, Verdict
from experiments.validity import probe
from experiments.validity.machine import assess_machine
from experiments.validity.monitor import MachineMonitor
from kubinet.syscalls import MS_BIND, mount

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

REPLACED = """
import runpy, time
real, began = time.time, time.monotonic()
time.time = lambda: real() + ({step} if time.monotonic() - began > 1.3 else 0.0)
runpy.run_path({probe!r}, run_name="__main__")
"""
"""The probe with a wall clock that is set after 1.3 s."""

MOVED = """
import ctypes, os, runpy, signal
NEWTIME = 0x80
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(NEWTIME):
    raise SystemExit(f"unshare: {{os.strerror(ctypes.get_errno())}}")
with open("/proc/self/timens_offsets", "w") as offsets:
    offsets.write("monotonic {seconds} {nanoseconds}")
other = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
def enter(number, frame):
    if libc.setns(other, NEWTIME):
        raise SystemExit(f"setns: {{os.strerror(ctypes.get_errno())}}")
signal.signal(signal.SIGALRM, enter)
signal.setitimer(signal.ITIMER_REAL, 1.3)
runpy.run_path({probe!r}, run_name="__main__")
"""
"""The probe, which goes into a time namespace with another CLOCK_MONOTONIC after 1.3 s."""


@contextmanager
def _probe_as(program: Path, text: str) -> Iterator[None]:
    """Have the monitor run this program."""
    with pytest.MonkeyPatch.context() as patch:
        program.write_text(text)
        patch.setattr(probe, "__file__", str(program))
        yield


def _watched(seconds: float) -> tuple[Assessment, list[MachineSecond]]:
    found: list[MachineSecond] = []
    with MachineMonitor(found.append):
        time.sleep(seconds)
    return assess_machine(found), found


@pytest.mark.parametrize(
    ("step", "verdict"), [(0.03, Verdict.SUSPECT), (-0.03, Verdict.SUSPECT), (-3.0, Verdict.INVALID)]
)
def test_a_wall_clock_that_is_set_is_named(tmp_path: Path, step: float, verdict: Verdict) -> None:
    """The program that watches reads a wall clock that jumps by 30 ms, or back by 3 s: suspect, invalid."""
    with _probe_as(tmp_path / "probe.py", REPLACED.format(step=step, probe=probe.__file__)):
        found, seconds = _watched(2.3)
    (moved,) = (one.clock_step_ms for one in seconds if abs(one.clock_step_ms) > 5)
    assert moved == pytest.approx(step * 1000, abs=5)
    assert f"the wall clock was set by {moved:+.0f} ms during the measurement" in found.reasons
    assert [Verdict.SUSPECT, Verdict.INVALID].index(found.verdict) >= [Verdict.SUSPECT, Verdict.INVALID].index(verdict)


def test_the_clocks_that_part_are_the_kernels(tmp_path: Path) -> None:
    """A time namespace moves CLOCK_MONOTONIC on by 30 ms: the wall clock is 30 ms behind it, and it is named."""
    text = MOVED.format(seconds=0, nanoseconds=30_000_000, probe=probe.__file__)
    with _probe_as(tmp_path / "probe.py", text):
        found, seconds = _watched(2.3)
    moved = [one.clock_step_ms for one in seconds if abs(one.clock_step_ms) > 5]
    assert moved == [pytest.approx(-30, abs=5)]
    assert f"the wall clock was set by {moved[0]:+.0f} ms during the measurement" in found.reasons


def _stolen(share: float) -> list[str]:
    """The reasons on a machine whose /proc/stat counts so much steal time beside what it really counts."""
    with Path("/proc/stat").open() as real, Path("/run/stat").open("w") as shown:
        mount("/run/stat", "/proc/stat", flags=MS_BIND)
        ended = threading.Event()
        began, ticks = time.monotonic(), os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)

        def tell() -> None:
            while not ended.wait(0.02):
                real.seek(0)
                fields = [int(word) for word in real.readline().split()[1:]]
                fields[7] += round((time.monotonic() - began) * ticks * share / (1 - share))
                os.pwrite(shown.fileno(), f"cpu  {' '.join(map(str, fields))}".ljust(200).encode() + b"\n", 0)

        writer = threading.Thread(target=tell)
        writer.start()
        try:
            time.sleep(0.1)
            found, _ = _watched(2.2)
        finally:
            ended.set()
            writer.join()
    return list(found.reasons)


def test_steal_time_is_named() -> None:
    """A fifth of the time is said to be the hypervisor's: suspect, with the share; 1 % is not."""
    (reason,) = (words for words in call_sandboxed(_stolen, 0.2) if "hypervisor" in words)
    assert reason in {f"the hypervisor took {percent}% of the CPU time" for percent in range(17, 25)}
    assert [words for words in call_sandboxed(_stolen, 0.01) if "hypervisor" in words] == []
