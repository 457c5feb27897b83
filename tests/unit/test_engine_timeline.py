"""What a timeline disturbs on purpose, in the words of a run's watch."""

from collections.abc import Sequence

import pytest

from experiments.engine.timeline import excused
from experiments.engine.tools import check_timeline_line
from experiments.timeline.language import parse_action
from kubinet.errors import InvalidInputError

TOPOLOGY = {
    "spec": {
        "links": [
            {"name": "n1-s1", "endpoints": ["n1", "s1"]},
            {"name": "n2-s1", "endpoints": ["n2", "s1"]},
            {"name": "s1-s2", "endpoints": ["s1", "s2"]},
        ]
    }
}


@pytest.mark.parametrize(
    ("action", "subjects"),
    [
        ("link s1-s2 down", ["link s1-s2"]),
        ("set link n1-s1 loss 2%", ["link n1-s1"]),
        ("restart ovs on n2", ["switch n2"]),
        ("crash node n2", ["switch n2", "link n2-s1"]),
        ("partition [n1] [n2]", ["switch n1", "switch n2", "link n1-s1", "link n2-s1", "controller"]),
        ("kill controller", ["controller"]),
        ("scale deploy/web 10", []),
    ],
)
def test_what_is_disturbed_on_purpose_is_excused(action: str, subjects: Sequence[str]) -> None:
    """What a fault concerns, links, switches, the controller, is not held against the run; nothing else is excused."""
    assert list(excused(parse_action(action), TOPOLOGY)) == subjects


def test_line_that_is_no_event_is_refused_before_the_first_run() -> None:
    """The check of an experiment asks the language."""
    check_timeline_line("at 2s: kill controller", {})
    with pytest.raises(InvalidInputError, match="a line is `at TIME: ACTION`"):
        check_timeline_line("kill controller", {})
