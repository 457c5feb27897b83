"""The monitor proves itself: a machine that is overloaded, stopped or throttled on purpose gets the verdict for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from experiments.records import Assessment, MachineSecond, Verdict
from experiments.validity.machine import assess_machine
from experiments.validity.monitor import MachineMonitor

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

BURN = "import time\nend = time.monotonic() + 30\nwhile time.monotonic() < end: pass"
"""Ends by itself should the test die."""
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")


def _watched(seconds: float) -> Assessment:
    """The verdict on the machine while nothing but the watching happens."""
    found: list[MachineSecond] = []
    with MachineMonitor(found.append):
        time.sleep(seconds)
    return assess_machine(found)


@contextmanager
def _burning(count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-I", "-S", "-c", BURN]))
            stack.callback(process.kill)
        yield


def test_a_quiet_machine_is_valid() -> None:
    """Two seconds in which nothing runs raise no doubt."""
    for _ in range(8):
        found = _watched(2.0)
        if found.verdict is Verdict.VALID:
            return
    pytest.skip(f"the machine is busy with other work: {'; '.join(found.reasons)}")


def test_a_machine_without_idle_time_is_suspect() -> None:
    """Four programs per CPU that compute: every second is without idle time, and the reason says so."""
    with _burning(4 * (os.cpu_count() or 1)):
        time.sleep(0.5)  # until all of them run
        found = _watched(3.0)
    assert found.verdict is not Verdict.VALID
    assert any(reason.startswith("no idle CPU in ") for reason in found.reasons)


def test_a_machine_that_stood_still_is_invalid() -> None:
    """A gap of 1.5 s in which the probe was stopped: whatever was measured then is invalid."""
    found: list[MachineSecond] = []
    with MachineMonitor(found.append) as monitor:
        assert monitor.pid is not None
        os.kill(monitor.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(monitor.pid, signal.SIGCONT)
        time.sleep(0.5)
    verdict = assess_machine(found)
    assert verdict.verdict is Verdict.INVALID
    assert any(reason.startswith("the machine stood still for ") for reason in verdict.reasons)


@contextmanager
def _quota(milliseconds: int) -> Iterator[Path]:
    """A control group of our own whose programs get so much CPU time of every 100 ms (version 1)."""
    group = CPU_GROUPS / f"kubinet-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group with a CPU quota can be made here: {error}")
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(milliseconds * 1000))
        yield group
    finally:
        group.rmdir()


def test_programs_that_a_quota_stops_are_invalid() -> None:
    """A watched program with a tenth of a CPU that wants a whole one is stopped every second: invalid."""
    with _quota(10) as group:
        child = os.fork()
        if child == 0:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            with _burning(1):
                found = _watched(3.0)
            throttled = any("the control group's CPU quota stopped the programs" in one for one in found.reasons)
            os._exit(0 if throttled and found.verdict is Verdict.INVALID else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
