"""What `kubinet run` shows on a terminal while runs go on, as text of a fixed size."""

import io
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from designs import GOOD
from rich.console import Console

from experiments.design.document import parse_text
from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.design.plan import plan
from experiments.engine.run import RunOutcome
from kubinet.cli import rundisplay
from kubinet.cli.rundisplay import Display, Lines

DESIGN: ExperimentDesign = parse_text(GOOD, "lab.yaml", Path()).design
RUNS: Sequence[PlannedRun] = plan(DESIGN)
BROKEN = RunOutcome(3, "failed", error="workload rtt: node/n1: no reply\nmore", seconds=5)


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rundisplay, "time", made)
    return made


def recording(width: int = 100) -> Console:
    """No terminal, without colours."""
    return Console(file=io.StringIO(), width=width, height=40, record=True, force_terminal=False)


def shown(display: Display, width: int = 100) -> list[str]:
    """The display's lines."""
    console = recording(width)
    console.print(display)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_before_the_plan_there_is_only_a_title() -> None:
    """Nothing is counted that is not known yet."""
    assert shown(Display("overlay-cost", recording())) == ["overlay-cost  getting ready"]


def test_what_runs_how_long_still_and_the_last_value(clock: Clock) -> None:
    """18 of 20 runs at 13 s, two side by side, less what is done of these; each with its step and its last value."""
    display = Display("overlay-cost", recording())
    display.planned(DESIGN, RUNS, 2, 2)
    display.started(RUNS[2])
    clock.now += 3
    display.told(2, "cluster: coming up")
    display.started(RUNS[3])
    clock.now += 4
    display.told(2, "workload rtt")
    display.value(2, "rtt 0.4123 ms")
    assert shown(display) == [
        "overlay-cost  2 of 20 runs  about 1 min 52 s left",
        "━" * 6,
        "…  2  overlay=geneve, load=full, repetition 0  7 s workload rtt, rtt 0.4123 ms",
        "…  3  overlay=geneve, load=idle, repetition 0  4 s",
    ]


def ended(display: Display) -> None:
    """Three runs with each verdict, one that failed, and two that go on."""
    display.planned(DESIGN, RUNS, 6, 2)
    display.started(RUNS[3])
    display.ended(RUNS[3], BROKEN)
    outcomes = [
        RunOutcome(8, "complete", seconds=14, verdict="valid"),
        RunOutcome(9, "complete", seconds=12, verdict="suspect", reasons=("idle time was 3 % in second 4", "late")),
        RunOutcome(10, "complete", seconds=13.4, verdict="invalid", reasons=("link leaf1-spine1: 14 ms, not 10 ms",)),
    ]
    for outcome in outcomes:
        display.ended(RUNS[outcome.index], outcome)
    display.started(RUNS[11])
    display.told(11, "measuring links before the workload")
    display.said("1 of 20 runs failed; they are tried once more")


def test_verdicts_and_a_failed_run(clock: Clock) -> None:
    """The last runs keep a row with verdict and first reason; a failure is counted, and printed above for good."""
    console = recording()
    display = Display("overlay-cost", console)
    ended(display)
    clock.now += 2
    assert shown(display) == [
        "overlay-cost  9 of 20 runs  1 failed  about 1 min 11 s left",
        "━" * 27,
        "✓   8  overlay=geneve, load=full, repetition 1  14 s, valid",
        "?   9  overlay=geneve, load=idle, repetition 1  12 s, suspect: idle time was 3 % in second 4",
        "✗  10  overlay=vxlan, load=idle, repetition 2   13 s, invalid: link leaf1-spine1: 14 ms, not 10 ms",
        "…  11  overlay=geneve, load=full, repetition 2  2 s measuring links before the workload",
        "1 of 20 runs failed; they are tried once more",
    ]
    assert console.export_text() == (
        "run 3 (overlay=geneve, load=idle, repetition 0): failed after 5 s: workload rtt: node/n1: no reply\n"
    )


def test_a_narrow_terminal_loses_nothing(clock: Clock) -> None:
    """On 60 columns the same words break into lines, each under its own column."""
    display = Display("overlay-cost", recording(60))
    ended(display)
    lines = shown(display, 60)
    assert max(map(len, lines)) <= 60
    assert lines == [
        "overlay-cost  9 of 20 runs  1 failed  about 1 min 12 s left",
        "━" * 27,
        "✓   8  overlay=geneve,            14 s, valid",
        "       load=full, repetition 1",
        "?   9  overlay=geneve,            12 s, suspect: idle time",
        "       load=idle, repetition 1    was 3 % in second 4",
        "✗  10  overlay=vxlan, load=idle,  13 s, invalid: link",
        "       repetition 2               leaf1-spine1: 14 ms, not",
        "                                  10 ms",
        "…  11  overlay=geneve,            0 s measuring links before",
        "       load=full, repetition 2    the workload",
        "1 of 20 runs failed; they are tried once more",
    ]


def test_a_run_that_the_second_try_completes_has_not_failed(clock: Clock) -> None:
    """The count of failed runs goes down again, and up once for a run that fails twice."""
    display = Display("overlay-cost", recording())
    display.planned(DESIGN, RUNS, 0, 1)
    for _ in range(2):
        display.ended(RUNS[3], BROKEN)
    assert shown(display)[0] == "overlay-cost  0 of 20 runs  1 failed  about 4 min 20 s left"
    display.ended(RUNS[3], RunOutcome(3, "complete", seconds=10, verdict="valid"))
    assert shown(display)[0] == "overlay-cost  1 of 20 runs  about 3 min 10 s left"


def test_without_a_terminal_each_run_is_a_line() -> None:
    """A run that failed is told by its number; one that is complete by how many there are."""
    console = recording()
    lines = Lines("overlay-cost", console)
    lines.planned(DESIGN, RUNS, 0, 1)
    lines.ended(RUNS[3], replace(BROKEN, error="no reply\nmore"))
    lines.ended(RUNS[4], RunOutcome(4, "complete", seconds=10, verdict="valid"))
    assert console.export_text().splitlines() == [
        "overlay-cost: 20 runs",
        "overlay-cost: run 3 (overlay=geneve, load=idle, repetition 0): failed after 5 s: no reply",
        "overlay-cost: run 1 of 20 (overlay=vxlan, load=idle, repetition 0): 10 s, valid; about 3 min 10 s left",
    ]


WAITING = """
import fcntl, signal, sys, termios
from kubinet.cli.rundisplay import following

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
try:
    with following("overlay-cost"):
        signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    """The cursor is hidden while the display is there, and shown afterwards; the settings are those of before."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)

    argv = [sys.executable, "-c", WAITING]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        said = b""
        while b"overlay-cost" not in said:
            assert select.select([ours], [], [], 30)[0], said
            said += os.read(ours, 4096)
        os.write(ours, b"\x03")
        assert process.wait(timeout=20) == 130
        os.set_blocking(ours, False)
        while True:
            try:
                said += os.read(ours, 4096)
            except BlockingIOError:
                break
    assert said.count(HIDE) == 1
    assert said.rindex(SHOW) > said.index(HIDE)
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_ctrl_c_while_the_display_starts_shows_the_cursor_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is hidden before the first line is there; an interruption between both leaves it shown."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(rundisplay, "progress", lambda: console)
    interrupts = iter([KeyboardInterrupt()])

    def refresh(live: rundisplay.Live) -> None:
        for one in interrupts:
            raise one

    monkeypatch.setattr(rundisplay.Live, "refresh", refresh)
    with pytest.raises(KeyboardInterrupt), rundisplay.following("overlay-cost"):
        pass
    said = console.file.getvalue().encode()  # type: ignore[attr-defined]
    assert said.count(HIDE) == 1
    assert said.rindex(SHOW) > said.index(HIDE)
