"""How evenly a round of flows spreads over parallel links, from looks at their counters."""

import pytest

from agents.watching.linkstats import End
from experiments.catalogue.spreading import SPREADING, Look, near_ends, spread
from experiments.workloads.flow_plan import PlannedFlow
from experiments.workloads.sending_flows import FinishedFlow
from kubinet.errors import InvalidInputError


def ends(*links: str) -> list[End]:
    """Both ends of links `A-B`."""
    return [End(link, vertex, f"{vertex}-eth", 1) for link in links for vertex in link.split("-")]


def flow(number: int, began: float, took_ms: float, failure: str = "") -> FinishedFlow:
    """From pod a to pod b."""
    return FinishedFlow(PlannedFlow(number, began, "pod/a", "pod/b", 1000), began, took_ms, failure)


def test_counted_is_at_the_vertex_that_all_links_share() -> None:
    """There the flows' own direction is what is sent; links without such a vertex are refused."""
    assert [end.vertex for end in near_ends(ends("leaf1-spine1", "leaf1-spine2"))] == ["leaf1", "leaf1"]
    with pytest.raises(InvalidInputError, match="leaf1-spine1, leaf2-spine2 do not begin at one vertex"):
        near_ends(ends("leaf1-spine1", "leaf2-spine2"))


def test_a_round_is_what_the_counters_grew_by_around_it() -> None:
    """Two rounds of two flows: three quarters over one link, then everything over the other."""
    looks = [
        Look(0.9, {"x": 100.0, "y": 0.0}),
        Look(1.3, {"x": 3100.0, "y": 1000.0}),
        Look(1.9, {"x": 3100.0, "y": 1000.0}),
        Look(2.3, {"x": 3100.0, "y": 5000.0}),
    ]
    done = [flow(0, 1.0, 100), flow(1, 1.0, 200), flow(2, 2.0, 100), flow(3, 2.0, 100)]
    found = [(one.metric, one.value, one.sequence) for one in spread(done, 2, "pod/b", looks)]
    assert found == [
        ("busiest share", 75.0, 0),
        ("links used", 2, 0),
        ("busiest share", 100.0, 1),
        ("links used", 1, 1),
    ]


def test_a_round_that_failed_or_was_not_seen_whole_has_no_share() -> None:
    """Nor has one that ended after the last look."""
    looks = [Look(0.9, {"x": 0.0, "y": 0.0}), Look(1.3, {"x": 10.0, "y": 10.0})]
    assert list(spread([flow(0, 1.0, 100), flow(1, 1.0, 0, "timeout")], 2, "pod/b", looks)) == []
    assert list(spread([flow(0, 1.2, 100)], 1, "pod/b", looks)) == []


def test_one_link_has_nothing_to_spread_over() -> None:
    """Refused before the first run."""
    settings = {"from": "pod/a, pod/a", "to": "pod/b", "links": "leaf1-spine1"}
    with pytest.raises(InvalidInputError, match="at least two parallel links"):
        SPREADING.check(settings)
