"""What a timeline disturbs on purpose, in the words of a run's watch."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.engine.timeline import assess_happenings, excused
from experiments.records import Assessment, Verdict
from experiments.timeline.language import parse_action
from experiments.timeline.player import Happening
from experiments.timeline.validate import line_checker, with_absolute_files
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
        ("restart ovs on n2", ["switch n2", "flows n2"]),
        ("crash node n2", ["switch n2", "flows n2", "link n2-s1"]),
        ("stop agent n2", ["switch n2"]),
        ("partition [n1] [n2]", ["switch n1", "switch n2", "link n1-s1", "link n2-s1"]),
        ("partition [controller] [n1]", ["switch n1", "flows n1", "link n1-s1"]),
        ("kill controller", ["controller"]),
        ("scale deploy/web 10", []),
    ],
)
def test_what_is_disturbed_on_purpose_is_excused(action: str, subjects: Sequence[str]) -> None:
    """What a fault concerns, links, switches, the controller, is not held against the run; nothing else is excused."""
    assert list(excused(parse_action(action), TOPOLOGY)) == subjects


def test_a_run_without_what_was_planned_is_suspect() -> None:
    """A fault that the workload did not last for is named in the verdict; one that was injected is not."""
    done = Happening(1000.0, 2.0, "injected", "kill controller", "")
    missed = Happening(1010.0, 12.0, "not reached", "crash node n2", "planned for 30 s, after the end")
    assert assess_happenings([done]) == Assessment()
    reason = "timeline: `crash node n2` was not reached: planned for 30 s, after the end"
    assert assess_happenings([done, missed]) == Assessment(Verdict.SUSPECT, (reason,))


def test_what_the_topology_has_not_is_refused_before_the_first_run() -> None:
    """A line that is no event, an unknown link, a delay on a link without the means: with the remedy."""
    check = line_checker(Path())
    topology = {"spec": {"nodes": [{"name": "n1"}], "links": [{"name": "n1-s1", "endpoints": ["n1", "s1"]}]}}
    check("at 2s: kill controller", topology)
    for line, words in (
        ("kill controller", "a line is `at TIME: ACTION`"),
        ("at 2s: link n2-s1 down", "there is no link 'n2-s1'; links: n1-s1"),
        ("at 2s: set link n1-s1 delay 5ms", "declare one in the topology, however small"),
        ("at 2s: apply absent.yaml", "there is no file absent.yaml"),
    ):
        with pytest.raises(InvalidInputError, match=re.escape(words)):
            check(line, topology)


def test_files_of_a_timeline_are_the_experiments_in_every_folder() -> None:
    """Relative files become absolute; absolute ones, other lines and open levels stay as they are."""
    lines = ("at 1s: apply deny.yaml", "at 2s: delete /a/b.yaml", "at 3s: kill controller", "at 4s: apply $(file)")
    assert with_absolute_files(lines, Path("/x")) == (
        "at 1s: apply /x/deny.yaml",
        "at 2s: delete /a/b.yaml",
        "at 3s: kill controller",
        "at 4s: apply $(file)",
    )
