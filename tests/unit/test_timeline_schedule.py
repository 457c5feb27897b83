"""A timeline's events as moments, and what happened of them."""

from experiments.timeline.actions import Kill
from experiments.timeline.happenings import Happenings
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


def test_happenings_are_told_in_order_of_time() -> None:
    """A row says what happened, when, and how long after the workload's start."""
    happenings = Happenings()
    happenings.add(0.0, "injected", Kill("api"), "in 0.1 s", 0.25)
    happenings.add(0.0, "symptom", Kill("api"), "it does not answer", None)
    first, second = happenings.so_far()
    assert (first.event, first.fault, first.detail, first.late_s) == ("injected", "kill api", "in 0.1 s", 0.25)
    assert (second.event, second.seconds == second.time_s) == ("symptom", True)
    assert first.time_s <= second.time_s
