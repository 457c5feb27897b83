"""How the algorithms spread 2,000 connections, and whom they move when one of ten endpoints leaves."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pytest
from balancing_numbers import MOVED
from nodes import UNDERLAY, NodeSwitch
from service_states import NODE_1, A, cluster, endpoint, from_outside, from_pod, service

from kubinet.state import Algorithm, ClusterState

pytestmark = pytest.mark.ovs

CONNECTIONS = 2000
CRITICAL = {2: 13.816, 9: 27.877, 79: 122.5}
"""Chi-square's values that chance exceeds once in a thousand times, by degrees of freedom."""


def state(
    algorithm: Algorithm, count: int, *, without: int | None = None, weights: tuple[int, ...] = ()
) -> ClusterState:
    """A Service whose endpoints 10.244.2.1 to 10.244.2.`count` are on the other node."""
    ends = [
        endpoint(f"10.244.2.{host}", weight=weights[host - 1] if weights else 1)
        for host in range(1, count + 1)
        if host != without
    ]
    return cluster(service(ends, algorithm=algorithm, node_port=30080))


def by_port(node: NodeSwitch) -> dict[int, int]:
    """By source port of one client: the endpoint of its connection."""
    ports = range(20000, 20000 + CONNECTIONS)
    out = node.send("p102", *(from_pod(A, sport=number) for number in ports))[UNDERLAY]
    node.flush()
    assert len(out) == CONNECTIONS
    return {frame.sport: int(frame.dst.split(".")[3]) for frame in out}


def chi_square(seen: Mapping[int, int], expected: Mapping[int, float]) -> float:
    assert seen.keys() <= expected.keys()
    return sum((seen.get(key, 0) - wanted) ** 2 / wanted for key, wanted in expected.items())


def shares(weights: Iterable[float]) -> dict[int, float]:
    """Expected connections of endpoints 1, 2, ... of these weights."""
    some = list(weights)
    return {index: CONNECTIONS * weight / sum(some) for index, weight in enumerate(some, 1)}


@pytest.mark.parametrize("algorithm", [Algorithm.HASH, Algorithm.RANDOM, Algorithm.MAGLEV, Algorithm.WEIGHTED])
def test_equal_endpoints_get_equally_many_connections(node: NodeSwitch, algorithm: Algorithm) -> None:
    """Ten endpoints: nothing speaks against chance among equal shares."""
    node.controller().bring(state(algorithm, 10))
    seen = Counter(by_port(node).values())
    assert chi_square(seen, shares([1] * 10)) < CRITICAL[9], seen


@pytest.mark.parametrize("algorithm", [Algorithm.RANDOM, Algorithm.MAGLEV, Algorithm.WEIGHTED])
def test_more_endpoints_than_a_group_holds_well_get_connections_by_slots(
    node: NodeSwitch, algorithm: Algorithm
) -> None:
    """Eighty endpoints, each with one slot, or with three or four of 251."""
    node.controller().bring(state(algorithm, 80))
    seen = Counter(by_port(node).values())
    flows = [line for line in node.ovs.dump("br-int") if "table=28" in line and "reg2" in line]
    slots = Counter(int(line.split("set_field:0xaf402")[1][:2], 16) for line in flows)
    assert set(slots) == set(range(1, 81))
    assert chi_square(seen, shares(slots[host] for host in range(1, 81))) < CRITICAL[79], seen


def test_weighted_endpoints_get_connections_by_their_weights(node: NodeSwitch) -> None:
    """Weights 1, 2 and 5; the one of weight 0 gets none."""
    node.controller().bring(state(Algorithm.WEIGHTED, 4, weights=(1, 2, 5, 0)))
    seen = Counter(by_port(node).values())
    assert seen[4] == 0
    assert chi_square(seen, shares([1, 2, 5])) < CRITICAL[2], seen


def test_source_hash_keeps_a_client_at_one_endpoint_and_spreads_clients(node: NodeSwitch) -> None:
    """2,000 clients with two connections each."""
    node.controller().bring(state(Algorithm.SOURCE_HASH, 10))
    clients = [f"192.0.{2 + index // 250}.{index % 250 + 1}" for index in range(CONNECTIONS)]

    def chosen(sport: int) -> list[int]:
        out = node.send(UNDERLAY, *(from_outside(1, NODE_1, 30080, sport, client) for client in clients))[UNDERLAY]
        assert len(out) == CONNECTIONS
        return [int(frame.dst.split(".")[3]) for frame in out]

    first = chosen(50000)
    assert chosen(50001) == first
    assert chi_square(Counter(first), shares([1] * 10)) < CRITICAL[9], Counter(first)


@pytest.mark.parametrize("algorithm", MOVED)
def test_when_one_of_ten_endpoints_leaves(node: NodeSwitch, algorithm: Algorithm) -> None:
    """Its own tenth must move: the theoretical minimum. `hash` moves nobody else, `random` most of the others."""
    controller = node.controller()
    controller.bring(state(algorithm, 10))
    before = by_port(node)
    controller.bring(state(algorithm, 10, without=4))
    after = by_port(node)
    assert 4 not in after.values()
    needless = sum(before[number] not in (4, after[number]) for number in before)
    least, most = MOVED[algorithm]
    assert least <= needless / CONNECTIONS <= most
