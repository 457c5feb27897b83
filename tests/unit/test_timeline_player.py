"""The player of timelines, with a cluster and faults that are not real."""

import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.timeline.actions import LinkDown, LinkFlap, Partition, Pause, subject
from experiments.timeline.board import Board
from experiments.timeline.faults.base import Case, Memory, RecurringFault, Stay
from experiments.timeline.faults.catalogue import FAULTS
from experiments.timeline.language import parse_action, parse_timeline
from experiments.timeline.performing import heal, inject, renew
from experiments.timeline.player import Player
from experiments.timeline.site import Check
from kubinet.errors import KubinetError, UsageError


@dataclass
class FakeSite:
    """A site whose waits look once."""

    cluster: Any
    over: threading.Event = field(default_factory=threading.Event)

    def fresh(self, over: threading.Event) -> "FakeSite":
        return FakeSite(self.cluster, over)

    def wait(self, look: Any, seconds: float) -> Check:
        return look()


class FakeFault(RecurringFault[Any]):
    """Writes down what it is asked."""

    example = does = presence = effect = recovery = ""

    def __init__(self, log: list[str], action: Any) -> None:
        self.log = log
        self.stay = FAULTS[type(action)].stay

    def check(self, case: Case[Any]) -> None:
        if "absent" in str(case.action):
            raise UsageError(f"`{case.action}` is not in this cluster")

    def inject(self, case: Case[Any]) -> Memory:
        if "broken" in str(case.action):
            raise KubinetError("it cannot be injected")
        self.log.append(f"inject {case.action}")
        return {"turns": 0}

    def turn(self, case: Case[Any]) -> Memory:
        return {"turns": case.memory["turns"] + 1}

    def present(self, case: Case[Any]) -> Check:
        return Check("hidden" not in str(case.action), "looked")

    def symptom(self, case: Case[Any]) -> Check:
        return Check(True, "suffers")

    def heal(self, case: Case[Any]) -> None:
        self.log.append(f"heal {case.action} {dict(case.memory)}")

    def healed(self, case: Case[Any]) -> Check:
        return Check(True, "as before")


class Stage:
    """A run that lasts until it is told."""

    def __init__(self, folder: Path) -> None:
        self.cluster: Any = SimpleNamespace(info=SimpleNamespace(state_dir=folder))
        self.seed = 1
        self.started_s = time.time()
        self.told: list[str] = []
        self.log: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    def player(self, *lines: str, **options: Any) -> Player:
        return Player(
            parse_timeline(lines),
            find=lambda action: FakeFault(self.log, action),
            open_site=lambda stage: FakeSite(stage.cluster),  # type: ignore[arg-type, return-value]
            **options,
        )

    def play(self, *lines: str, **options: Any) -> list[tuple[str, str]]:
        """Play to the end; (event, fault) of what happened."""
        player = self.player(*lines, **options)
        player.start(self)
        player.wait()
        return [(one.event, one.fault) for one in player.stop()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_fault_with_an_end_is_injected_checked_healed_and_checked(stage: Stage) -> None:
    """Five rows in this order; the board is empty afterwards."""
    fault = "link a down"
    rows = stage.play(f"from 10ms to 100ms: {fault}")
    assert rows == [(event, fault) for event in ("injected", "present", "symptom", "healed", "recovered")]
    assert stage.log == ["inject link a down", "heal link a down {'turns': 0}"]
    assert Board(stage.cluster.info.state_dir).entries() == ()


def test_what_the_timeline_leaves_is_healed_at_the_end(stage: Stage) -> None:
    """`stop` heals a fault without an end, and waits for its recovery."""
    player = stage.player("at 0s: pause api")
    player.start(stage)
    player.wait()
    assert [entry.name for entry in Board(stage.cluster.info.state_dir).entries()] == ["service-1"]
    assert [one.event for one in player.stop()] == ["injected", "present", "symptom", "healed", "recovered"]
    assert player.happenings[-2].detail.startswith("at the end, ")


def test_a_step_without_an_end_stays(stage: Stage) -> None:
    """`at …: scale` is not undone; with an end it is."""
    assert [event for event, _ in stage.play("at 0s: scale deploy/a 2")] == ["injected", "present", "symptom"]
    assert "healed" in [event for event, _ in stage.play("from 0s to 50ms: scale deploy/a 2")]


def test_a_fault_that_passes_is_watched_until_the_cluster_has_recovered(stage: Stage) -> None:
    """`kill` needs no healing; its recovery is checked, also when the run ends at once."""
    player = stage.player("at 0s: kill controller")
    player.start(stage)
    player.wait()
    assert [one.event for one in player.stop()] == ["injected", "present", "symptom", "recovered"]


def test_heal_ends_what_it_means(stage: Stage) -> None:
    """`heal link b` leaves link a alone."""
    rows = stage.play("at 0s: link a down", "at 0s: link b down", "at 100ms: heal link b", checks=False)
    assert rows[2:] == [("healed", "link b down"), ("healed", "link a down")]


def test_turns_are_taken_until_the_end(stage: Stage) -> None:
    """A flap changes the link again and again; what heals it knows of the last turn."""
    player = stage.player("from 0s to 60s: link a flap every 5ms")
    player.start(stage)
    board = Board(stage.cluster.info.state_dir)
    while not (entries := board.entries()) or entries[0].memory.get("turns", 0) < 3:
        assert time.time() < stage.started_s + 20
    player.stop()
    [healed] = [line for line in stage.log if line.startswith("heal")]
    assert int(healed.split(": ")[-1].rstrip("}")) >= 3


def test_every_planned_row_says_how_late_it_was(stage: Stage) -> None:
    """Events begin in time even while a check of an earlier one takes long; the delay is recorded."""
    player = stage.player("at 50ms: link a down", "from 60ms to 120ms: pause api")
    player.start(stage)
    player.wait()
    rows = [one for one in player.stop() if one.event in ("injected", "healed") and one.late_s is not None]
    planned = [0.05, 0.06, 0.12]
    assert len(rows) == 3
    for row, moment in zip(rows, planned, strict=True):
        assert row.late_s is not None
        assert moment - 0.01 <= row.seconds <= moment + row.late_s + 0.5
        assert row.detail.startswith(f"{row.late_s:.3f} s late, in ")


def test_what_fails_is_a_row_and_the_rest_goes_on(stage: Stage) -> None:
    """An injection that fails is told, undone, and not healed again; later events come."""
    rows = stage.play("at 0s: link broken down", "at 50ms: pause api")
    assert rows[0] == ("failed", "link broken down")
    assert ("injected", "pause api") in rows
    assert stage.log[:2] == ["heal link broken down {}", "inject pause api"]


def test_what_is_not_there_is_a_row(stage: Stage) -> None:
    """A check that does not hold is `absent`, with what was seen."""
    rows = stage.play("at 0s: link hidden down")
    assert ("absent", "link hidden down") in rows
    assert "link hidden down: absent (looked)" in stage.told


def test_names_that_the_cluster_has_not_are_refused_before_anything_happens(stage: Stage) -> None:
    """`check` raises for the first of them."""
    player = stage.player("at 0s: link a down", "at 1s: link absent down")
    with pytest.raises(UsageError, match="`link absent down` is not in this cluster"):
        player.check(FakeSite(stage.cluster))  # type: ignore[arg-type]


def test_a_fault_healed_by_hand_is_not_healed_again(stage: Stage) -> None:
    """Another process takes it from the board; the player then leaves it."""
    player = stage.player("at 0s: link a flap every 20ms".replace("at 0s", "from 0s to 10s"))
    player.start(stage)
    board = Board(stage.cluster.info.state_dir)
    while not board.entries() or "turns" not in board.entries()[0].memory:
        assert time.time() < stage.started_s + 10
    site: Any = FakeSite(stage.cluster)
    assert heal(site, board, "link-1", find=lambda action: FakeFault(stage.log, action)) is not None
    player.stop()
    assert [line for line in stage.log if line.startswith("heal")] == [stage.log[-1]]


def test_the_board_names_faults_and_remembers(tmp_path: Path) -> None:
    """Names count per word; what is stored is read as the same action with its memory."""
    board = Board(tmp_path)
    for text in ("link a down", "link b flap every 500ms", "partition [n1] [n2]"):
        action = parse_action(text)
        assert not hasattr(action, "what")
        board.add(action, 12.5)  # type: ignore[arg-type]
    with board.locked():
        board.remember("link-2", {"changes": 3})
    assert [(one.name, one.action, one.since_s, dict(one.memory)) for one in board.entries()] == [
        ("link-1", LinkDown("a"), 12.5, {}),
        ("link-2", LinkFlap("b", 0.5), 12.5, {"changes": 3}),
        ("partition-1", Partition((("n1",), ("n2",))), 12.5, {}),
    ]
    removed = board.remove("link-1")
    assert removed is not None
    assert board.remove("link-1") is None
    assert board.add(LinkDown("c"), 13).name == "link-1"


def test_a_partition_is_set_again_where_it_is_gone(stage: Stage) -> None:
    """`renew` injects those whose drop flows are not there; other faults it leaves alone."""
    site: Any = FakeSite(stage.cluster)
    board = Board(stage.cluster.info.state_dir)

    def find(action: Any) -> FakeFault:
        return FakeFault(stage.log, action)

    for text in ("partition [n1] [n2]", "partition [n1] [hidden]", "link hidden down"):
        inject(site, board, parse_action(text), find=find)  # type: ignore[arg-type]
    del stage.log[:]
    assert renew(site, board, find=find) == ["partition-2"]
    assert stage.log == ["inject partition [n1] [hidden]"]


def test_every_fault_has_a_word_for_heal() -> None:
    """Faults that stay can be named by `heal`; those that pass by themselves, too."""
    words = {fault.example: subject(parse_timeline([fault.example])[0].action) for fault in FAULTS.values()}  # type: ignore[arg-type]
    assert words["from 5s to 15s: pause controller"] == ("service", "controller")
    assert len(words) == len(FAULTS)
    assert FAULTS[Pause].stay is Stay.UNTIL_HEALED


def test_what_comes_after_the_end_is_not_reached(stage: Stage) -> None:
    """Of two faults and a `heal` after the end each is a row of its own; the fault before them is healed."""
    player = stage.player("from 0s to 50s: pause api", "at 60s: link a down", "at 1m30s: heal all", checks=False)
    player.start(stage)
    while not player.happenings:
        assert time.time() < stage.started_s + 20
    left_out = [(one.fault, one.detail) for one in player.stop() if one.event == "not reached"]
    assert left_out == [
        ("link a down", "planned for 60 s, after the end"),
        ("heal all", "planned for 90 s, after the end"),
    ]
    assert [one.event for one in player.happenings if one.fault == "pause api"] == ["injected", "healed"]
    assert "link a down: not reached (planned for 60 s, after the end)" in stage.told
    assert stage.log == ["inject pause api", "heal pause api {'turns': 0}"]


class AsleepUntilTheEnd(threading.Event):
    """What the player waits with on a machine that lets it sleep until the workload has ended."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout else timeout)


def test_what_the_machine_was_late_for_is_not_said_to_come_after_the_end(stage: Stage) -> None:
    """A fault due before the end has not begun: its row says how long before. What heals still does, and is late."""
    player = stage.player(
        "from 0s to 200ms: pause api",
        "from 250ms to 300ms: link a down",
        "at 350ms: heal all",
        "at 60s: pause api",
        checks=False,
    )
    player._stopping = AsleepUntilTheEnd()
    stage.started_s = time.time()
    player.start(stage)
    while time.time() < stage.started_s + 0.4 or not stage.log:
        assert time.time() < stage.started_s + 20
    rows = [(one.event, one.fault, re.sub(r"\d\.\d{3} s", "… s", one.detail)) for one in player.stop()]
    assert sorted(rows) == [
        ("healed", "pause api", "… s late, in … s"),
        ("injected", "pause api", "… s late, in … s"),
        ("not reached", "link a down", "planned for 0.25 s, … s before the end: this machine was late for it"),
        ("not reached", "pause api", "planned for 60 s, after the end"),
    ]
    (healed,) = [one.late_s for one in player.happenings if one.event == "healed"]
    assert healed is not None
    assert healed > 0.2
