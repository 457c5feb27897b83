"""Which routes to Services' external addresses the underlay gets; packets are walked over them as routers forward."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubinet.state import Endpoint, NetworkConfig, Node, Service, ServicePort
from kubinet.transport import Protocol
from topologies.announce import Change, announcers, changes, repeats, tables
from topologies.announcer import speakers
from topologies.model import Role, Topology
from topologies.plan import Plan, make_plan, make_ways
from topologies.resolve import load_topology

VIP = IPv4Address("172.31.0.5")


def _service(*, local: bool = False, at: tuple[str, ...] = (), vip: IPv4Address = VIP, name: str = "web") -> Service:
    endpoints = tuple(Endpoint(IPv4Address("10.244.9.1") + number, 80, node=node) for number, node in enumerate(at))
    return Service(
        "default",
        name,
        IPv4Address("10.96.0.10"),
        (ServicePort("", Protocol.TCP, 80, 30080, endpoints),),
        load_balancer_ips=(vip,),
        external_local=local,
    )


def _made(preset: str, **overrides: object) -> tuple[Topology, Plan, list[Node]]:
    topology = load_topology(preset, overrides)
    plan = make_plan(topology)
    nodes = []
    for index, vertex in enumerate(topology.nodes, start=1):
        interface = plan.interfaces[vertex.name][0]
        assert interface.address is not None
        nodes.append(Node(vertex.name, index, interface.address, interface.mac, plan.pod_cidrs[vertex.name]))
    return topology, plan, nodes


def _tables(topology: Topology, nodes: list[Node], *services: Service) -> dict[str, dict[str, list[str]]]:
    speaking = announcers(services, nodes, topology.network)
    vertices = [v.name for v in topology.vertices if v.role in (Role.ROUTER, Role.OUTSIDE)]
    made = tables(speaking, make_ways(topology), vertices)
    return {
        vertex: {str(address): [str(hop) for hop in hops] for address, hops in table.items()}
        for vertex, table in made.items()
    }


def test_on_one_segment_the_outside_host_spreads_over_all_nodes() -> None:
    """A star of three nodes: the outside host's next hops are the nodes' own addresses."""
    topology, plan, nodes = _made("star", nodes=3)
    found = _tables(topology, nodes, _service())
    outside = next(topology.of(Role.OUTSIDE)).name
    assert found[outside] == {"172.31.0.5": [str(node.underlay.ip) for node in nodes]}
    assert plan.gateways.get(outside) is None


def test_with_policy_local_only_nodes_with_a_ready_endpoint_announce() -> None:
    """Endpoints on the second node only: one next hop; without endpoints: no route at all."""
    topology, _, nodes = _made("star", nodes=3)
    outside = next(topology.of(Role.OUTSIDE)).name
    assert _tables(topology, nodes, _service(local=True, at=(nodes[1].name,)))[outside] == {
        "172.31.0.5": [str(nodes[1].underlay.ip)]
    }
    assert _tables(topology, nodes, _service(local=True))[outside] == {}


def test_an_address_of_two_services_is_announced_for_both() -> None:
    """One Service of policy Local on node 1, one on node 3, both with the same address: nodes 1 and 3."""
    _, _, nodes = _made("star", nodes=3)
    one = _service(local=True, at=(nodes[0].name,))
    other = _service(local=True, at=(nodes[2].name,), name="other")
    assert announcers([one, other], nodes, NetworkConfig()) == {VIP: frozenset({nodes[0].name, nodes[2].name})}


@pytest.mark.parametrize("text", ["172.18.0.1", "10.244.0.7", "10.96.0.1", "172.30.0.1"])
def test_addresses_of_the_cluster_itself_are_not_announced(text: str) -> None:
    """An externalIP that is a node's, a pod's, a cluster IP or of the management network stays where it is."""
    _, _, nodes = _made("star", nodes=2)
    assert announcers([_service(vip=IPv4Address(text))], nodes, NetworkConfig()) == {}


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [("ring", {"nodes": 5}), ("leaf-spine", {"nodes": 6}), ("fat-tree", {"k": 4}), ("wan", {"nodes": 6})]
    ),
    st.data(),
)
def test_every_way_from_every_router_ends_at_a_serving_node(
    shape: tuple[str, dict[str, object]], data: st.DataObject
) -> None:
    """Whatever nodes serve: from every router each equal-cost branch reaches one of them without a circle."""
    topology, plan, nodes = _made(shape[0], **shape[1])
    serving = data.draw(st.sets(st.sampled_from([node.name for node in nodes]), min_size=1))
    found = _tables(topology, nodes, _service(local=True, at=tuple(serving)))
    for router in topology.of(Role.ROUTER):
        waiting = [(router.name, 0)]
        while waiting:
            here, crossed = waiting.pop()
            assert crossed < 20
            if topology.role(here) is Role.NODE:
                assert here in serving
                continue
            hops = found[here]["172.31.0.5"]
            waiting += [(plan.owner(IPv4Address(hop)).vertex, crossed + 1) for hop in hops]


def test_a_router_prefers_nodes_beside_it_and_else_spreads() -> None:
    """Leaf-spine: a leaf with serving nodes keeps to them; a spine uses every leaf that has some."""
    topology, plan, nodes = _made("leaf-spine", nodes=4, leaves=2, spines=1)
    found = _tables(topology, nodes, _service())
    routers = {vertex.name: found[vertex.name]["172.31.0.5"] for vertex in topology.of(Role.ROUTER)}
    owners = {name: sorted(plan.owner(IPv4Address(hop)).vertex for hop in hops) for name, hops in routers.items()}
    beside = {
        router: sorted(node.name for node in nodes if plan.owner(plan.gateways[node.name]).vertex == router)
        for router in routers
    }
    leaves = sorted(router for router, own in beside.items() if own)
    assert {router: own for router, own in owners.items() if router in leaves} == {
        router: beside[router] for router in leaves
    }
    spine = next(router for router in routers if router not in leaves and len(plan.interfaces[router]) >= 2)
    assert owners[spine] == leaves


def test_only_differences_are_changes_and_a_way_back_undoes_them() -> None:
    """One address more, one with other hops: two changes; back again: two; the same: none."""
    hop, other = IPv4Address("172.18.0.1"), IPv4Address("172.18.0.2")
    one = {"r1": {VIP: (hop,)}}
    two = {"r1": {VIP: (hop, other), VIP + 1: (hop,)}}
    assert list(changes(one, two)) == [Change("r1", VIP, (hop, other)), Change("r1", VIP + 1, (hop,))]
    assert list(changes(two, one)) == [Change("r1", VIP, (hop,)), Change("r1", VIP + 1, ())]
    assert list(changes(two, two)) == []
    assert list(repeats(one, ["r1", "r9"])) == [Change("r1", VIP, (hop,))]


def test_excluded_and_broken_nodes_do_not_announce() -> None:
    """The well-known label excludes a node; so does Ready False, while Unknown (a silent agent) does not."""

    def obj(name: str, ready: str, **labels: str) -> dict[str, object]:
        annotations = {
            "kubinet.dev/index": "1",
            "kubinet.dev/underlay-address": "172.18.0.1/24",
            "kubinet.dev/underlay-mac": "06:00:00:00:00:01",
        }
        return {
            "metadata": {"name": name, "annotations": annotations, "labels": labels},
            "spec": {"podCIDR": "10.244.1.0/24"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    objects = [obj("a", "True"), obj("b", "True", **{label: ""}), obj("c", "False"), obj("d", "Unknown")]
    assert [node.name for node in speakers(objects)] == ["a", "d"]
    assert speakers([{"metadata": {"name": "unregistered"}, "spec": {}}]) == []


def test_the_pool_is_announceable() -> None:
    """The default pool of balancers' addresses overlaps none of the cluster's own networks."""
    network = NetworkConfig()
    own = (network.underlay_cidr, network.pod_cidr, network.service_cidr, network.management_cidr)
    assert not any(network.load_balancer_cidr.overlaps(cidr) for cidr in own)
    assert IPv4Network("172.31.0.0/24") == network.load_balancer_cidr
