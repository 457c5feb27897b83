"""A timeline is compared with the topology before anything is started."""

from pathlib import Path

import pytest

from experiments.design.existing import Existing
from experiments.timeline.language import parse_timeline
from experiments.timeline.validate import check_timeline, line_checker
from kubinet.errors import InvalidInputError
from topologies.resolve import resolve_topology

TOPOLOGY = resolve_topology("star", nodes=2, settings={"rate": "10mbit", "delay": "1ms"})
RUN = Existing(TOPOLOGY, (), complete=True, scaled=False)


def _check(line: str, folder: Path) -> None:
    check_timeline(parse_timeline([line], "exp.yaml: timeline"), RUN, folder)


def test_what_the_topology_has_is_accepted(tmp_path: Path) -> None:
    """Nodes, links, quantities and files that are there."""
    (tmp_path / "policy.yaml").write_text("kind: Pod")
    for line in (
        "at 1s: partition [controller] [n1]",
        "at 1s: partition [n1] [n2]",
        "at 1s: set link n1-s1 rate 5mbit loss 1%",
        "from 1s to 2s: link n2-s1 flap every 100ms",
        "at 1s: crash node n2",
        "at 1s: apply policy.yaml",
        "at 1s: kill controller",
        "at 1s: heal all",
    ):
        _check(line, tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "at 1s: partition [n1] [n3]",
            "`partition [n1] [n3]`: there is no node 'n3'; nodes: n1, n2",
        ),
        ("at 1s: stop agent n7", "`stop agent n7`: there is no node 'n7'; nodes: n1, n2"),
        ("at 1s: link n1-n2 down", "there is no link 'n1-n2' (did you mean 'n1-s1'?); links: n1-s1, n2-s1"),
        ("at 1s: heal link n9-s1", "there is no link 'n9-s1' (did you mean 'n2-s1'?); links: n1-s1, n2-s1"),
        ("at 1s: heal node n9", "there is no node 'n9'; nodes: n1, n2"),
        ("at 1s: set link n1-s1 queue 10packets", "the link declares no queue and could not be without one again"),
        ("at 1s: set link internet-s1 loss 1%", "the link declares no delay, jitter or loss; declare one"),
        ("at 1s: apply nothing.yaml", "nothing.yaml; files are relative to the experiment's folder"),
    ],
)
def test_what_the_topology_has_not_is_refused_with_the_line(line: str, words: str, tmp_path: Path) -> None:
    """The error names the line of the timeline, the action and what there is."""
    with pytest.raises(InvalidInputError, match=r"^timeline: `"):
        line_checker(tmp_path, {})(line, RUN)
    with pytest.raises(InvalidInputError) as caught:
        _check(line, tmp_path)
    assert str(caught.value).startswith("exp.yaml: timeline, line 1: `")
    assert words in str(caught.value)
