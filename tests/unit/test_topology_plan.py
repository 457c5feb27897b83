"""The underlay's plan: addresses, MACs, routes; packets are walked through the routes as routers would forward them."""

import itertools
from collections import deque
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubinet.state import Overlay
from topologies.model import Role, Topology
from topologies.plan import Plan, make_plan
from topologies.presets import PRESETS
from topologies.resolve import load_topology

_SHAPES = st.one_of(
    st.tuples(
        st.sampled_from(["star", "linear", "ring", "dumbbell", "wan"]),
        st.fixed_dictionaries({"nodes": st.integers(1, 9)}),
    ),
    st.tuples(
        st.just("leaf-spine"),
        st.fixed_dictionaries({"nodes": st.integers(1, 9), "leaves": st.integers(1, 4), "spines": st.integers(1, 4)}),
    ),
    st.tuples(st.just("fat-tree"), st.fixed_dictionaries({"k": st.sampled_from([2, 4])})),
)


def _planned(preset: str, **overrides: object) -> tuple[Topology, Plan]:
    topology = load_topology(preset, overrides)
    return topology, make_plan(topology)


def _all_next_hops(plan: Plan, vertex: str, target: IPv4Address) -> tuple[IPv4Address, ...]:
    """Where a layer-3 device sends a packet: the target itself on its own segment, else the longest route's hops."""
    for interface in plan.interfaces[vertex]:
        if interface.address is not None and target in interface.address.network:
            return (target,)
    routes = [route for route in plan.routes.get(vertex, ()) if target in route.destination]
    if routes:
        best = max(routes, key=lambda route: route.destination.prefixlen)
        if target in best.next_hops:
            return (target,)
        return best.next_hops
    return (plan.gateways[vertex],)


def _walk(plan: Plan, source: str, target: IPv4Address) -> tuple[int, int]:
    """Follow every equal-cost branch to its end: (fewest, most) devices crossed; fails on a loop."""
    lengths = set()
    waiting = deque([(source, 0)])
    while waiting:
        here, crossed = waiting.popleft()
        assert crossed < 20, f"a packet from {source} to {target} walks in circles"
        for hop in _all_next_hops(plan, here, target):
            owner = plan.owner(hop).vertex
            if hop == target:
                lengths.add(crossed)
            else:
                waiting.append((owner, crossed + 1))
    return min(lengths), max(lengths)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(_SHAPES)
def test_every_pair_is_reached_on_shortest_paths_only(shape: tuple[str, dict[str, object]]) -> None:
    """From each node to every other address of hosts, all equal-cost branches end there after equally many routers."""
    topology, plan = _planned(shape[0], **shape[1])
    hosts = [vertex.name for vertex in topology.vertices if vertex.role in (Role.NODE, Role.OUTSIDE)]
    graph = networkx.Graph([(link.a, link.b) for link in topology.links])
    routers = {vertex.name for vertex in topology.of(Role.ROUTER)}
    for source in hosts:
        for target in hosts:
            if source == target:
                continue
            address = plan.interfaces[target][0].address
            assert address is not None
            fewest, most = _walk(plan, source, address.ip)
            shortest = sum(one in routers for one in networkx.shortest_path(graph, source, target))
            assert (fewest, most) == (shortest, shortest)


@settings(max_examples=60, deadline=None)
@given(_SHAPES)
def test_addresses_macs_and_names_are_unique(shape: tuple[str, dict[str, object]]) -> None:
    """No address, MAC or interface name is given twice; subnets do not overlap; names fit 15 characters."""
    topology, plan = _planned(shape[0], **shape[1])
    every = [one for ends in plan.interfaces.values() for one in ends]
    assert len({one.mac for one in every}) == len(every) == 2 * len(topology.links)
    assert len({one.name for one in every}) == len(every)
    assert all(len(one.name) <= 15 for one in every)
    addresses = [one.address for one in every if one.address is not None]
    assert len({address.ip for address in addresses}) == len(addresses)
    subnets = sorted({address.network for address in addresses})
    assert all(not a.overlaps(b) for a, b in itertools.pairwise(subnets))
    assert all(address.ip in topology.network.underlay_cidr for address in addresses)
    for address in addresses:
        inside = address.network.prefixlen == 31
        assert inside or address.ip not in (address.network.network_address, address.network.broadcast_address)
    assert len({*plan.management.values(), plan.management_address}) == len(topology.nodes) + 1


def test_a_leaf_has_one_next_hop_per_spine() -> None:
    """With three spines, leaf1's route to a node's segment at leaf2 has three next hops, one at each spine."""
    _, plan = _planned("leaf-spine", nodes=4, spines=3)
    target = plan.interfaces["n4"][0].address
    assert target is not None
    route = next(route for route in plan.routes["leaf1"] if route.destination == target.network)
    assert sorted(plan.owner(hop).vertex for hop in route.next_hops) == ["spine1", "spine2", "spine3"]


def test_a_ring_of_four_uses_both_ways_to_the_opposite_side() -> None:
    """r1 reaches the segment of the node at r3 over r2 and over r4."""
    _, plan = _planned("ring", nodes=4)
    target = plan.interfaces["n3"][0].address
    assert target is not None
    route = next(route for route in plan.routes["r1"] if route.destination == target.network)
    assert sorted(plan.owner(hop).vertex for hop in route.next_hops) == ["r2", "r4"]


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "single"])
def test_routers_know_pod_cidrs_with_direct_routing_only(preset: str) -> None:
    """With overlay `direct` each router has a route to each node's pod CIDR that ends at the node; else to none."""
    topology, plan = _planned(preset, nodes=4, **{"network.overlay": Overlay.DIRECT})
    routers = [router.name for router in topology.of(Role.ROUTER)]
    for router in routers:
        for node, cidr in plan.pod_cidrs.items():
            here, seen = router, 0
            while True:
                route = next(one for one in plan.routes[here] if one.destination == cidr)
                here = plan.owner(route.next_hops[0]).vertex
                seen += 1
                assert seen < 20
                if here not in routers:
                    break
            assert here == node
    _, overlaid = _planned(preset, nodes=4)
    assert not any(
        route.destination.subnet_of(topology.network.pod_cidr)
        for routes in overlaid.routes.values()
        for route in routes
    )


def test_pod_cidrs_follow_the_nodes_order_around_chosen_ones() -> None:
    """Nodes get /24s from the pod CIDR in order."""
    _, plan = _planned("star", nodes=3)
    assert plan.pod_cidrs == {
        "n1": IPv4Network("10.244.0.0/24"),
        "n2": IPv4Network("10.244.1.0/24"),
        "n3": IPv4Network("10.244.2.0/24"),
    }


def test_a_stars_addresses_in_full() -> None:
    """Three nodes and the outside host share one subnet without a router; the management network starts at .1."""
    _, plan = _planned("star", nodes=3)
    assert {name: ends[0].address for name, ends in plan.interfaces.items() if name != "s1"} == {
        "n1": IPv4Interface("172.18.0.1/29"),
        "n2": IPv4Interface("172.18.0.2/29"),
        "n3": IPv4Interface("172.18.0.3/29"),
        "internet": IPv4Interface("172.18.0.4/29"),
    }
    assert plan.interfaces["n1"][0].mac == "02:6b:6e:00:00:01"
    assert plan.gateways == {}
    assert plan.management_address == IPv4Interface("172.30.0.1/16")
    assert plan.management["n1"] == IPv4Interface("172.30.0.2/16")


def test_two_plans_of_one_topology_are_equal() -> None:
    """The plan depends on nothing but the topology."""
    topology, plan = _planned("fat-tree", k=4)
    assert make_plan(topology) == plan
