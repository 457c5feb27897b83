"""A timeline's events as moments, and what happened of them."""

from types import SimpleNamespace

import pytest

from experiments.timeline.actions import Kill
from experiments.timeline.happenings import Happening, Happenings
from experiments.timeline.language import parse_timeline
from experiments.timeline.schedule import moments


def test_ends_come_before_what_begins_at_the_same_time() -> None:
    """Moments go by time; of one time the ends come first, then what begins as it is written."""
    events = parse_timeline(
        ["from 1s to 3s: link a-b down", "at 3s: kill api", "at 3s: heal all", "from 2s to 3s: stop agent n1"]
    )
    assert [(due.at, str(due.action), due.ends, due.active is None) for due in moments(events)] == [
        (1.0, "link a-b down", False, False),
        (2.0, "stop agent n1", False, False),
        (3.0, "link a-b down", True, False),
        (3.0, "stop agent n1", True, False),
        (3.0, "kill api", False, False),
        (3.0, "heal all", False, True),
    ]


def test_the_end_of_a_fault_is_the_beginnings_own() -> None:
    """Beginning and end speak of one fault, with one set of flags."""
    begin, end = moments(parse_timeline(["from 1s to 3s: link a-b down"]))
    assert begin.active is end.active


def test_happenings_are_told_in_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row says what happened, when, and how long after the start; the earlier one is first, whoever wrote first."""
    clock = iter((102.5, 101.0))
    monkeypatch.setattr("experiments.timeline.happenings.time", SimpleNamespace(time=lambda: next(clock)))
    happenings = Happenings()
    happenings.add(100.0, "injected", Kill("api"), "in 0.1 s", 0.25)
    happenings.add(100.0, "symptom", Kill("api"), "it does not answer", None)
    assert happenings.so_far() == (
        Happening(101.0, 1.0, "symptom", "kill api", "it does not answer"),
        Happening(102.5, 2.5, "injected", "kill api", "in 0.1 s", 0.25),
    )
