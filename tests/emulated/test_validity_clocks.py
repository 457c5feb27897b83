"""The monitor proves itself on clocks and steal time, as far as a test may move them.

CLOCK_REALTIME has no namespace, and setting it would move the clock of everything else on the machine. A time namespace
moves CLOCK_MONOTONIC, which is the other half of what the rule compares (time_namespaces(7)). Steal time needs a
hypervisor that takes it: what the kernel would say then is put in /proc/stat's place, in a mount namespace.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sandboxed import call_sandboxed

from experiments.records import MachineSecond, Verdict
from experiments.validity import probe
from experiments.validity.machine import assess_machine
from experiments.validity.monitor import MachineMonitor
from kubinet.syscalls import MS_BIND, mount

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

AFTER_TWO_LINES = """
import runpy, sys
write, lines = sys.stdout.write, []
def noted(text):
    lines.append(text)
    if len(lines) == 2:
        move()
    return write(text)
sys.stdout.write = noted
runpy.run_path({probe!r}, run_name="__main__")
"""
"""The probe, which has its clock moved when it has told of a first second."""

REPLACED = """
import time
real, by = time.time, [0.0]
time.time = lambda: real() + by[0]
def move():
    by[0] = {step}
"""
"""A wall clock that is set."""

MOVED = """
import ctypes, os
NEWTIME = 0x80
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(NEWTIME):
    raise SystemExit(f"unshare: {{os.strerror(ctypes.get_errno())}}")
with open("/proc/self/timens_offsets", "w") as offsets:
    offsets.write("monotonic 0 {nanoseconds}")
other = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
def move():
    if libc.setns(other, NEWTIME):
        raise SystemExit(f"setns: {{os.strerror(ctypes.get_errno())}}")
"""
"""Goes into a time namespace with another CLOCK_MONOTONIC."""

NAP = 0.05
"""Seconds. Spans here are a number of naps, so that one in which the machine stood still counts as one."""


@contextmanager
def _probe_as(program: Path, text: str) -> Iterator[None]:
    """Have the monitor run this program."""
    with pytest.MonkeyPatch.context() as patch:
        program.write_text(text)
        patch.setattr(probe, "__file__", str(program))
        yield


def _watched(seconds: float, *, until: Callable[[MachineSecond], bool] = lambda _: False) -> list[MachineSecond]:
    """What the monitor told in that time, or until it told such a second."""
    found: list[MachineSecond] = []
    with MachineMonitor(found.append):
        for _ in range(round(seconds / NAP)):
            if any(until(one) for one in found):
                break
            time.sleep(NAP)
    return found


def _moved(program: Path, text: str) -> tuple[float, Verdict, list[str]]:
    """By how many milliseconds the clocks parted that this program watches, and what is said of that alone."""
    with _probe_as(program, text + AFTER_TWO_LINES.format(probe=probe.__file__)):
        seconds = _watched(20.0, until=lambda one: abs(one.clock_step_ms) > 5)
    clocks = [MachineSecond(one.time_s, 1.0, 0.0, 0.0, 0.0, clock_step_ms=one.clock_step_ms) for one in seconds]
    found = assess_machine(clocks)
    return max((one.clock_step_ms for one in seconds), key=abs), found.verdict, list(found.reasons)


@pytest.mark.parametrize(
    ("step", "verdict"), [(0.03, Verdict.SUSPECT), (-0.03, Verdict.SUSPECT), (-3.0, Verdict.INVALID)]
)
def test_a_wall_clock_that_is_set_is_named(tmp_path: Path, step: float, verdict: Verdict) -> None:
    """The program that watches reads a wall clock that jumps by 30 ms, or back by 3 s: suspect, invalid."""
    moved, found, reasons = _moved(tmp_path / "probe.py", REPLACED.format(step=step))
    assert moved == pytest.approx(step * 1000, abs=5)
    assert (found, reasons) == (verdict, [f"the wall clock was set by {moved:+.0f} ms during the measurement"])


def _parted(nanoseconds: int) -> tuple[float, str, list[str]] | str:
    """As `_moved` by a time namespace; or why none can be made."""
    tried = subprocess.run(
        ["unshare", "--time", "--monotonic", "1", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return tried.stderr.strip()
    moved, verdict, reasons = _moved(Path("/run/probe.py"), MOVED.format(nanoseconds=nanoseconds))
    return moved, verdict.value, reasons


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_the_clocks_that_part_are_the_kernels(user: bool) -> None:
    """A time namespace moves CLOCK_MONOTONIC on by 30 ms: the wall clock is 30 ms behind it, and it is named."""
    found = call_sandboxed(_parted, 30_000_000, user=user)
    if isinstance(found, str):
        pytest.skip(f"no time namespaces here (CONFIG_TIME_NS): {found}")
    moved, verdict, reasons = found
    assert moved == pytest.approx(-30, abs=5)
    assert (verdict, reasons) == ("suspect", [f"the wall clock was set by {moved:+.0f} ms during the measurement"])


def _stolen(share: float) -> list[str]:
    """The reasons on a machine whose /proc/stat has this share of all CPU time as stolen, and else what it counts."""
    with Path("/proc/stat").open() as real, Path("/run/stat").open("w") as shown:
        mount("/run/stat", "/proc/stat", flags=MS_BIND)
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(0.02):
                real.seek(0)
                fields = [int(word) for word in real.readline().split()[1:]]
                fields[7] = round(sum(fields[:7]) * share / (1 - share))
                os.pwrite(shown.fileno(), f"cpu  {' '.join(map(str, fields))}".ljust(200).encode() + b"\n", 0)

        writer = threading.Thread(target=tell)
        writer.start()
        try:
            while not Path("/proc/stat").read_text():
                time.sleep(NAP)
            seconds = _watched(2.2)
        finally:
            ended.set()
            writer.join()
    return list(assess_machine(seconds).reasons)


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_steal_time_is_named(user: bool) -> None:
    """A fifth of the time is said to be the hypervisor's: suspect, with the share; 1 % is not."""
    (reason,) = (words for words in call_sandboxed(_stolen, 0.2, user=user) if "hypervisor" in words)
    assert reason in {f"the hypervisor took {percent}% of the CPU time" for percent in (19, 20, 21)}
    assert [words for words in call_sandboxed(_stolen, 0.01, user=user) if "hypervisor" in words] == []
