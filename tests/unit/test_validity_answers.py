"""What the thread that asks the controller for echoes notes: waits, work, its own lateness, and its end."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from experiments.validity import answers
from experiments.validity.answers import Answer, Asking, Process
from experiments.validity.lateness import Lateness


class World:
    """A controller, and the clock, which whoever waits moves on; `between` is called before the thread waits."""

    def __init__(self, answering: list[Callable[[], bool]]) -> None:
        self.now_s = 100.0
        self.process: Process | None = Process(7, 3.0, 6653)
        self.answering: Iterator[Callable[[], bool]] = iter(answering)
        self.left = len(answering)
        self.between: Callable[[], None] = lambda: None
        self.late_s = 5.0
        """How much later than meant the asking program woke up until now."""

    def works(self, seconds: float) -> None:
        """The controller computes for so long."""
        assert self.process is not None
        self.process = Process(self.process.pid, self.process.cpu_s + seconds, self.process.port)
        self.now_s += seconds

    def ask(self) -> float | None:
        """As `Echo.ask`."""
        self.left -= 1
        return 1.0 if next(self.answering)() else None

    def wait(self, seconds: float) -> bool:
        """As `threading.Event.wait`, until nobody is asked any more."""
        self.between()
        self.now_s += seconds
        return not self.left


def _asked(world: World, monkeypatch: pytest.MonkeyPatch, *, last: bool = False) -> list[Answer]:
    """What the thread notes, run here."""
    monkeypatch.setattr(answers, "controller_process", lambda: world.process)
    monkeypatch.setattr(answers, "namespace", lambda _: nullcontext())
    monkeypatch.setattr(answers, "Echo", lambda _: world)
    monkeypatch.setattr(answers, "time", SimpleNamespace(monotonic=lambda: world.now_s))
    monkeypatch.setattr(Lateness, "total_s", lambda _: world.late_s)
    asking = Asking()
    monkeypatch.setattr(asking, "_end", world)
    asking._run()
    assert asking.failure == ""
    return list(asking.take(last=last))


def test_work_before_the_question_is_no_reason_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of work between two questions, then 1.5 s without any: the second echo waited, and none was spent."""

    def stands_still() -> bool:
        world.now_s += 1.5
        return True

    world = World([lambda: True, stands_still])
    world.between = lambda: world.works(2.0)
    first, second = _asked(world, monkeypatch)
    assert (first.waited_s, first.computed_s) == (0.0, 0.0)
    assert second == Answer(100.0 + 2.0 + answers.PERIOD_S, 1.5, 0.0, 7)


def test_work_while_the_echo_waits_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2 s that it waited, the controller computed 1.5 s."""

    def works() -> bool:
        world.works(1.5)
        world.now_s += 0.5
        return True

    world = World([works])
    assert _asked(world, monkeypatch) == [Answer(100.0, 2.0, 1.5, 7)]


def test_a_controller_that_does_not_run_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there after half a second: that is one wait of it, and what it computed in order to begin excuses none."""
    world = World([lambda: True])
    world.process = None

    def begins() -> None:
        if world.now_s > 100.4:
            world.process = Process(7, 3.0, 6653)

    world.between = begins
    (answer,) = _asked(world, monkeypatch)
    assert answer == Answer(100.0, pytest.approx(0.5), 0.0, 7)


def test_a_controller_that_never_runs_is_a_wait_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look has the wait, of no process, as long as the run."""
    world = World([])
    world.process, world.left = None, 1

    def ends() -> None:
        world.left = int(world.now_s < 103)

    world.between = ends
    (answer,) = _asked(world, monkeypatch, last=True)
    assert answer == Answer(100.0, pytest.approx(3.0, abs=0.1), 0.0, 0)


def test_what_ends_the_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace that cannot be entered, by its error."""

    def closed(_: str) -> None:
        raise PermissionError("setns: closed")

    monkeypatch.setattr(answers, "namespace", closed)
    asking = Asking()
    asking._run()
    assert asking.take(last=True) == ()
    assert asking.failure == "PermissionError: setns: closed"


def test_a_standstill_of_the_asking_program_is_subtracted() -> None:
    """A nap of 50 ms that ended after 1.25 s is 1.2 s late, during it as well as after it; a punctual one is not."""
    now = [10.0]
    lateness = Lateness(lambda: now[0])
    now[0] += 0.04
    assert lateness.total_s() == 0
    now[0] += 1.21
    assert lateness.total_s() == pytest.approx(1.2)
    lateness.woke()
    now[0] += 0.05
    lateness.woke()
    assert lateness.total_s() == pytest.approx(1.2)


def test_each_answer_has_the_askers_lateness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an echo's 1.5 s, 1.2 s are those in which the asking program did not run; what was before is not its."""

    def stands_still() -> bool:
        world.now_s += 1.5
        world.late_s += 1.2
        return True

    world = World([stands_still])
    assert _asked(world, monkeypatch) == [Answer(100.0, 1.5, 0.0, 7, pytest.approx(1.2))]
