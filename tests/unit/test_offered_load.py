"""What each workload says that it sends, and what a run's workloads offer together."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.base import Parameter
from experiments.calibration.demand import Demand, demands, nodes_of_pods, rated_ways
from experiments.calibration.fairness import max_min
from experiments.design.model import WorkloadDesign
from experiments.offered import AS_ANSWERED, NOTHING, OfferedLoad
from experiments.plugins import complete, offered_by, workloads
from experiments.records import Value
from experiments.underlay_path import Underlay, UnderlayLink
from experiments.workloads.flow_plan import Sizes, sizes_of

PAIR: dict[str, Value] = {"from": "pod/a", "to": "pod/b"}
WAY = ("pod/a", "pod/b")


def _offered(kind: str, **given: Value) -> OfferedLoad:
    settings = {name.rstrip("_"): value for name, value in given.items()}
    return offered_by(workloads[kind], complete(workloads[kind], settings))


@pytest.mark.parametrize(
    ("settings", "load"),
    [
        ({}, OfferedLoad(200, 2 * 100 * 56 * 8)),
        ({"interval_s": 0.1, "payload": 1000}, OfferedLoad(20, 20 * 1000 * 8)),
        ({"interval_s": 0.1, "payload": 1465}, OfferedLoad(40, 20 * 1465 * 8)),
    ],
)
def test_a_ping_is_an_echo_and_a_reply(settings: dict[str, Value], load: OfferedLoad) -> None:
    """A hundred a second are 200 packets; what does not fit into 1,500 bytes with its headers goes in two."""
    assert _offered("ping", **PAIR, **settings) == load


@pytest.mark.parametrize(
    ("targets", "settings", "packets"), [(2, {}, 200), (40, {}, 2000), (40, {"period_ms": 100}, 800)]
)
def test_fping_asks_each_target_once_a_period(targets: int, settings: dict[str, Value], packets: float) -> None:
    """Two targets each 20 ms; forty are asked 1 ms apart, so that a period of 20 ms becomes one of 40."""
    to = ", ".join(f"pod/p{number}" for number in range(targets))
    assert _offered("fping", from_="pod/a", to=to, **settings) == OfferedLoad(packets, packets * 56 * 8)


@pytest.mark.parametrize(
    ("settings", "load"),
    [
        ({}, OfferedLoad(0, None, WAY)),
        ({"rate": "20mbit", "streams": 3, "reverse": True}, OfferedLoad(0, 60e6, WAY[::-1])),
        ({"rate": "20mbit", "mss": 1000}, OfferedLoad(0, 20e6, WAY)),
        ({"rate": "20mbit", "mss": 500}, OfferedLoad(5000, 20e6, WAY)),
        ({"mss": 128}, OfferedLoad(None, None, WAY)),
        ({"protocol": "udp", "length": 1000}, OfferedLoad(125, 1e6)),
        ({"protocol": "udp", "rate": "20mbit", "length": 1000, "streams": 2}, OfferedLoad(5000, 40e6)),
        ({"protocol": "udp", "rate": "20mbit", "length": 8000}, OfferedLoad(312.5 * 6, 20e6)),
    ],
)
def test_iperf3_offers_its_rate_for_each_stream(settings: dict[str, Value], load: OfferedLoad) -> None:
    """UDP in datagrams, which may be fragmented; TCP's segments count where they are small; without rate it fills."""
    assert _offered("iperf3", **PAIR, **settings) == load


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("probe-stream", {}),
        ("outage", {}),
        ("policy-enforcement", {"policy": "kind: NetworkPolicy"}),
        ("endpoint-removal", {"servers": "pod/b, pod/c", "endpoint": "pod/b"}),
    ],
)
def test_probes_come_by_interval(kind: str, more: dict[str, Value]) -> None:
    """Every 5 ms 100 bytes, one way, for all that are made of a stream of probes."""
    assert _offered(kind, **PAIR, **more, interval_ms=5.0, payload=100) == OfferedLoad(200, 160_000)


@pytest.mark.parametrize(
    ("settings", "load"),
    [
        ({}, AS_ANSWERED),
        ({"rate": 100.0}, OfferedLoad(200, 100 * 128 * 8)),
        ({"rate": 100.0, "response": 30_000}, OfferedLoad(200, 100 * 30_064 * 8)),
        ({"rate": 100.0, "protocol": "udp", "response": 3000}, OfferedLoad(400, 100 * 3064 * 8)),
    ],
)
def test_requests_come_at_their_rate_or_as_they_are_answered(settings: dict[str, Value], load: OfferedLoad) -> None:
    """A packet there and one back, and datagrams' fragments."""
    assert _offered("request-response", **PAIR, **settings) == load


@pytest.mark.parametrize(
    ("to", "calls", "number"),
    [
        ("pod/b", "pod/b -> pod/c, pod/d; pod/c -> pod/d", 4),
        ("pod/b", "pod/b -> pod/c; pod/x -> pod/c", 2),
        ("service/front", "pod/f1 -> service/db; pod/f2 -> service/db", 3),
    ],
)
def test_a_call_graph_offers_every_call(to: str, calls: str, number: int) -> None:
    """Whoever is called twice counts twice with all that it calls; with services every written call is one."""
    servers = "pod/f1, pod/f2"
    load = _offered("call-graph", from_="pod/a", to=to, calls=calls, servers=servers, rate=10.0, response=936)
    assert load == OfferedLoad(20 * number, 10 * number * 8000)


def test_incast_offers_its_rounds() -> None:
    """Three senders of 32,768 bytes every half second; unless they are open before, connections are opened for it."""
    given: dict[str, Value] = {"from": "pod/a, pod/b, pod/a", "to": "pod/c"}
    assert _offered("incast", **given) == OfferedLoad(36, 6 * 32_768 * 8)
    assert _offered("incast", **given, prepared=False) == OfferedLoad(72, 6 * 32_768 * 8)


def test_flows_offer_their_rate_less_what_is_cut() -> None:
    """62.5 flows of 20,000 bytes a second are 10 Mbit/s; cut to half their size they are half of it."""
    given: dict[str, Value] = {"places": "pod/a, pod/b", "rate": "10mbit", "sizes": "20000"}
    assert _offered("flows", **given) == OfferedLoad(750, 10e6)
    assert _offered("flows", **given, largest=10_000) == OfferedLoad(750, 5e6)
    assert _offered("flows", **given, scale=0.5) == OfferedLoad(1500, 10e6)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("connection-rate", PAIR),
        ("dns", {"from": "pod/a", "names": "web"}),
        ("http", PAIR),
        ("sockperf", PAIR),
    ],
)
def test_who_waits_for_each_answer_does_not_know_its_rate(kind: str, given: dict[str, Value]) -> None:
    """It is the network's."""
    assert _offered(kind, **given) == AS_ANSWERED


def test_who_sends_nothing_offers_nothing() -> None:
    """Waiting, and objects that are applied."""
    assert _offered("idle") == _offered("until-ready", objects="Pod/a") == NOTHING


def test_a_plugin_that_does_not_say_is_not_known() -> None:
    """Another package's plug-in of before needs no change."""

    class Old:
        parameters = (Parameter("x", 1, 1, "a number"),)

    assert offered_by(Old(), {}) == AS_ANSWERED  # type: ignore[arg-type]


@given(st.floats(1, 5e7))
def test_the_mean_of_cut_flows_is_that_of_their_sizes(largest: float) -> None:
    """As the sizes that are drawn, 2,000 quantiles of them, say; nothing cut is the whole mean."""
    sizes = sizes_of("web-search")
    drawn = [min(largest, sizes.at((number + 0.5) / 2000)) for number in range(2000)]
    assert sizes.mean_of_cut(largest) == pytest.approx(sum(drawn) / 2000, rel=0.01)
    assert sizes.mean_of_cut(sizes.points[-1][0]) == pytest.approx(sizes.mean)
    assert Sizes(((1000, 1.0),)).mean_of_cut(400) == 400


LINKS = (
    UnderlayLink("n1-s1", "n1", "s1", 100.0),
    UnderlayLink("n2-s1", "n2", "s1", 40.0),
    UnderlayLink("n3-s1", "n3", "s1"),
    UnderlayLink("n4-s1", "n4", "s1"),
)
UNDERLAY = Underlay({name: name for name in ("n1", "n2", "n3", "n4")}, LINKS)
NODES = {"pod/a": "n1", "pod/b": "n2", "pod/c": "n3", "pod/d": "n4", "pod/beside-a": "n1"}
UNLIMITED = OfferedLoad(0.0, None, WAY)


def _demand(*loads: OfferedLoad) -> Demand:
    pairs = [(WorkloadDesign(f"w{number}", "", {}, 0), load) for number, load in enumerate(loads)]
    (found,) = demands(pairs, rated_ways(UNDERLAY, NODES))
    return replace(found, names="")


@pytest.mark.parametrize(
    ("loads", "demand"),
    [
        ((OfferedLoad(100, 2e6), OfferedLoad(300, 5e6), AS_ANSWERED), Demand("", 400, 7)),
        ((UNLIMITED,), Demand("", 0, 0, 40)),
        ((UNLIMITED, UNLIMITED, OfferedLoad(0, 3e6)), Demand("", 0, 3, 40)),
        ((UNLIMITED, OfferedLoad(0, 3e6, WAY)), Demand("", 0, 3, 37)),
        ((UNLIMITED, replace(UNLIMITED, way=("node/n1", "pod/c"))), Demand("", 0, 0, 100)),
        ((UNLIMITED, replace(UNLIMITED, way=WAY[::-1])), Demand("", 0, 0, 80)),
        ((OfferedLoad(0, 30e6, WAY),), Demand("", 0, 30)),
        ((OfferedLoad(0, 30e6, WAY), OfferedLoad(0, 30e6, WAY)), Demand("", 0, 0, 40)),
        ((replace(UNLIMITED, way=("pod/c", "pod/d")),), Demand("")),
        ((replace(UNLIMITED, way=("pod/a", "pod/beside-a")),), Demand("")),
        ((replace(UNLIMITED, way=("pod/a", "service/web")),), Demand("")),
        ((OfferedLoad(0, 50e6, ("pod/a", "pod/unscheduled")),), Demand("", 0, 50)),
        ((OfferedLoad(0, 50e6, ("pod/a", "outside/nowhere")),), Demand("", 0, 50)),
    ],
)
def test_tcp_sends_no_more_than_its_links(loads: tuple[OfferedLoad, ...], demand: Demand) -> None:
    """100 and 40 Mbit/s on the way, two links without a rate: what neither workload nor link limits is not known."""
    assert _demand(*loads) == demand


def test_streams_to_one_node_share_its_link() -> None:
    """On a star of equal links two streams to n3 are 1,000 Mbit/s, as its link lets through, and not 2,000."""
    links = tuple(UnderlayLink(f"{node}-s1", node, "s1", 1000.0) for node in ("n1", "n2", "n3"))
    find = rated_ways(Underlay({"n1": "", "n2": "", "n3": ""}, links), {})
    loads = [
        (WorkloadDesign(source, "", {}, 0), replace(UNLIMITED, way=(f"node/{source}", "node/n3")))
        for source in ("n1", "n2")
    ]
    assert list(demands(loads, find)) == [Demand("n1, n2", 0, 0, 1000)]
    back = (WorkloadDesign("back", "", {}, 0), replace(UNLIMITED, way=("node/n3", "node/n1")))
    assert list(demands([*loads, back], find)) == [Demand("n1, n2, back", 0, 0, 2000)]


@pytest.mark.parametrize(
    ("wanted", "ways", "granted"),
    [
        ((), (), ()),
        ((inf, inf, inf), ("ab", "a", "b"), (2, 8, 2)),
        ((inf, inf, 1), ("ab", "a", "b"), (3, 7, 1)),
        ((1, inf, inf), ("ab", "a", "b"), (1, 9, 3)),
        ((5, 5, 3), ("a", "a", "c"), (5, 5, 3)),
        ((inf, inf, inf), ("a", "a", "a"), (10 / 3, 10 / 3, 10 / 3)),
    ],
)
def test_links_are_shared_fairly(wanted: tuple[float, ...], ways: tuple[str, ...], granted: tuple[float, ...]) -> None:
    """Links a of 10 and b of 4, and c without a rate: what one stream leaves is shared by the others."""
    assert max_min(wanted, ways, {"a": 10.0, "b": 4.0}) == pytest.approx(granted)


@given(
    st.lists(st.tuples(st.floats(0, 50), st.sets(st.sampled_from("abc"), min_size=1)), max_size=6),
    st.fixed_dictionaries({name: st.floats(0.1, 100) for name in "abc"}),
)
def test_who_gets_less_than_wanted_has_a_full_link_where_nobody_gets_more(
    streams: list[tuple[float, set[str]]], capacities: dict[str, float]
) -> None:
    """That is what max-min fair means; and no link carries more than it can."""
    ways = [way for _, way in streams]
    granted = max_min([wanted for wanted, _ in streams], ways, capacities)
    carried = {link: sum(rate for rate, way in zip(granted, ways, strict=True) if link in way) for link in capacities}
    assert all(carried[link] <= capacities[link] + 1e-6 for link in capacities)
    for (wanted, way), rate in zip(streams, granted, strict=True):
        assert rate <= wanted
        if rate < wanted:
            full = [link for link in way if carried[link] >= capacities[link] - 1e-6]
            most = [max(other for other, its in zip(granted, ways, strict=True) if link in its) for link in full]
            assert any(rate >= one - 1e-6 for one in most)


def test_steps_are_one_after_the_other() -> None:
    """What runs side by side is added up under all of its names."""
    designs = [WorkloadDesign("a", "", {}, 1), WorkloadDesign("b", "", {}, 0), WorkloadDesign("c", "", {}, 1)]
    loads = [OfferedLoad(10, 1e6), OfferedLoad(20, 2e6), OfferedLoad(40, 4e6)]
    found = list(demands(list(zip(designs, loads, strict=True)), rated_ways(UNDERLAY, NODES)))
    assert found == [Demand("b", 20, 2), Demand("a, c", 50, 5)]


def test_pods_are_on_the_nodes_that_their_manifests_name() -> None:
    """By either spelling of a pod of namespace `default`; who is left to the scheduler is not there."""
    pods = """
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop}, spec: {nodeName: n2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: c}, spec: {}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {nodeName: n1}}}}
"""
    assert nodes_of_pods({"pods.yaml": pods}) == {"pod/a": "n1", "pod/default/a": "n1", "pod/shop/b": "n2"}
