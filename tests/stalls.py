"""Notes when the machine stands still, so that a failure without another cause can be told from a defect.

A virtual machine on a busy host gets no processor at times, for seconds. A thread that sleeps 50 ms sees it: it wakes
up late although its own process did no work that could have kept it.
"""

import threading
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

_NAP: Final = 0.05
_LATE: Final = 1.0
"""Seconds that a nap must take to count."""
_PROPERTY: Final = "stall"
_SHOWN: Final = 20


class Stall(NamedTuple):
    """From when (`time.monotonic`), and how long, in seconds."""

    began: float
    seconds: float


def stall(began: float, took: float, worked: float) -> Stall | None:
    """What a nap tells that took so long while its process used `worked` seconds of the processors.

    A process that worked half of the time may itself have kept the thread from running, by a long call in C.
    """
    return Stall(began, took) if took > _LATE and worked < took / 2 else None


class Monitor:
    """A thread that naps until it is stopped."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []
        self._stop, self._woke = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall-monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def longest_since(self, begin: float) -> float:
        """Seconds of the longest stall that ended after `begin` (`time.monotonic`); 0 when there was none."""
        return max((seconds for began, seconds in self.stalls if began + seconds > begin), default=0.0)

    def settle(self) -> None:
        """Wait until the nap of this moment is over: whoever a stall disturbed may run before the thread does."""
        self._woke.clear()
        self._woke.wait(2 * _LATE)

    def _watch(self) -> None:
        while True:
            began, worked = time.monotonic(), time.process_time()
            stopped = self._stop.wait(_NAP)
            noted = stall(began, time.monotonic() - began, time.process_time() - worked)
            if noted is not None:
                self.stalls.append(noted)
            self._woke.set()
            if stopped:
                return


MONITOR: Final = Monitor()
"""The run's own."""


def running_time() -> float:
    """Seconds like `time.monotonic`, without those in which the machine stood still: for limits that are the fact."""
    MONITOR.settle()
    return time.monotonic() - sum(seconds for _, seconds in MONITOR.stalls)


class Plugin:
    """The monitor in pytest: in the report of each test that fails, and at the end of the run."""

    def __init__(self, monitor: Monitor = MONITOR) -> None:
        self._monitor = monitor
        self._begin = 0.0
        self._found: list[tuple[float, str]] = []

    def pytest_sessionstart(self) -> None:
        self._monitor.start()

    def pytest_sessionfinish(self) -> None:
        self._monitor.stop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self._begin = time.monotonic()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        report = yield
        if report.failed:
            self._monitor.settle()
        if longest := self._monitor.longest_since(self._begin):
            if report.failed:
                said = f"the machine stood still for {longest:.1f} s during this test"
                report.sections.append(("Stalls", said))
            if report.when == "teardown":  # travels with the report from a worker of pytest-xdist to its master
                report.user_properties.append((_PROPERTY, longest))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._found += [(seconds, report.nodeid) for name, seconds in report.user_properties if name == _PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._found:
            return
        terminalreporter.section("the machine stood still")
        for seconds, test in sorted(self._found, reverse=True)[:_SHOWN]:
            terminalreporter.write_line(f"{seconds:6.1f} s in {test}")
        if len(self._found) > _SHOWN:
            terminalreporter.write_line(f"and in {len(self._found) - _SHOWN} other tests")
