"""Desired flows as a function of the cluster's state."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import compile as compiler
from controller.compile import Compiler
from controller.openflow.flow import Flow, FlowKey, Group
from controller.program import Program, apply, differences
from kubinet.errors import InvalidInputError
from kubinet.state import (
    Algorithm,
    ClusterState,
    Endpoint,
    NetworkConfig,
    Node,
    Overlay,
    Pod,
    Protocol,
    Service,
    ServicePort,
    ServiceProxy,
)


def node(index: int) -> Node:
    """A node on the underlay's subnet `index`; even ones have no router."""
    return Node(
        name=f"n{index}",
        index=index,
        underlay=IPv4Interface(f"172.18.{index // 2}.{index + 1}/24"),
        underlay_mac=f"02:00:00:00:00:{index:02x}",
        pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
        gateway=IPv4Address(f"172.18.{index // 2}.254"),
        gateway_mac=f"02:ff:00:00:00:{index:02x}",
    )


@st.composite
def states(draw: st.DrawFn) -> ClusterState:
    """Clusters of up to six nodes with some pods each."""
    nodes = {one.name: one for one in map(node, sorted(draw(st.sets(st.integers(1, 9), max_size=6))))}
    pods = {}
    for one in nodes.values():
        for host in draw(st.sets(st.integers(2, 20), max_size=6)):
            pod = Pod("default", f"p{host}-{one.name}", one.name, one.pod_cidr.network_address + host)
            pods[pod.key] = pod
    network = NetworkConfig(overlay=draw(st.sampled_from(Overlay)), services=draw(st.sampled_from(ServiceProxy)))
    found = {one.key: one for one in draw(st.lists(services(nodes, pods), max_size=5, unique_by=lambda one: one.name))}
    counts = {(pod.address, 80): draw(st.integers(0, 5)) for pod in pods.values()}
    return ClusterState(network, nodes, pods, found, counts, draw(st.integers(0, 99)))


_CONDITIONS = [(True, True, False), (False, False, False), (False, True, True)]
_ZONES = [frozenset(), frozenset({"a"}), frozenset({"b"})]
_EXTERNAL = [IPv4Address(f"198.51.100.{host}") for host in range(3)]


@st.composite
def endpoints(draw: st.DrawFn, nodes: Mapping[str, Node], pods: Mapping[str, Pod]) -> Endpoint:
    """Pods, nodes' own addresses, and addresses of nobody, in all conditions."""
    places = [(pod.address, pod.node) for pod in pods.values()]
    places += [(one.underlay.ip, one.name) for one in nodes.values()]
    address, where = draw(st.sampled_from([*places, (IPv4Address("192.0.2.7"), "")]))
    conditions, zones = draw(st.sampled_from(_CONDITIONS)), draw(st.sampled_from(_ZONES))
    return Endpoint(
        address, draw(st.sampled_from([80, 8080])), where, *conditions, zones, weight=draw(st.integers(0, 9))
    )


@st.composite
def services(draw: st.DrawFn, nodes: Mapping[str, Node], pods: Mapping[str, Pod]) -> Service:
    """Any Service: few names, so that external addresses clash."""
    number = draw(st.integers(1, 8))
    some = st.lists(endpoints(nodes, pods), max_size=6, unique_by=lambda one: (one.address, one.port))
    ports = []
    for index, protocol in enumerate(draw(st.lists(st.sampled_from(Protocol), min_size=1, max_size=2))):
        behind = sorted(draw(some), key=lambda one: (one.address, one.port))
        node_port = draw(st.sampled_from([None, 30000 + 10 * number + index]))
        ports.append(ServicePort(f"p{index}", protocol, 80 + index, node_port, tuple(behind)))
    addresses = st.lists(st.sampled_from(_EXTERNAL), max_size=2, unique=True)
    return Service(
        "default",
        f"s{number}",
        IPv4Address(f"10.96.0.{number}"),
        tuple(ports),
        external_ips=tuple(draw(addresses)),
        load_balancer_ips=draw(st.sampled_from([(), (IPv4Address(f"172.31.0.{number}"),)])),
        source_ranges=draw(st.sampled_from([(), (IPv4Network("192.0.2.0/24"), IPv4Network("0.0.0.0/0"))])),
        affinity_seconds=draw(st.sampled_from([None, 60, 80000])),
        internal_local=draw(st.booleans()),
        external_local=draw(st.booleans()),
        algorithm=draw(st.sampled_from(Algorithm)),
    )


def all_flows(state: ClusterState, name: str) -> list[Flow]:
    return [flow for program in compiler.programs(state, state.nodes[name]).values() for flow in program.flows()]


Contents = dict[str, tuple[dict[FlowKey, Flow], dict[int, Group]]]


def contents(programs: "compiler.Programs | Exception") -> Contents:
    """A node's programs as what its bridges hold: flows by key and groups by id. No two objects want one flow."""
    assert not isinstance(programs, Exception)
    return {bridge: holds(program) for bridge, program in programs.items()}


def holds(program: Program) -> tuple[dict[FlowKey, Flow], dict[int, Group]]:
    groups = {group.id: group for group in program.groups()}
    assert len(groups) == program.group_count
    assert len(program.table()) == program.flow_count
    return program.table(), groups


def wanted(state: ClusterState, name: str) -> Contents:
    """What a compiler without a memory says."""
    return contents(compiler.programs(state, state.nodes[name]))


@settings(max_examples=60, deadline=None)
@given(states())
def test_every_flow_has_an_owner_that_the_cookie_names(state: ClusterState) -> None:
    """The object id in a flow's cookie leads back to an object of the state."""
    owners = compiler.owners(state)
    for name in state.nodes:
        for flow in all_flows(state, name):
            assert str(flow.owner) in owners[flow.cookie(5) & 0xFFFFFFFF].split(", ")
            assert flow.cookie(5) >> 48 == 5
            assert flow.cookie(5) >> 40 & 0xFF == flow.category


@settings(max_examples=40, deadline=None)
@given(states(), st.randoms())
def test_the_order_of_objects_does_not_matter(state: ClusterState, random: object) -> None:
    """Nodes and pods in any order give the same flows."""
    nodes, pods = list(state.nodes.items()), list(state.pods.items())
    random.shuffle(nodes)  # type: ignore[attr-defined]
    random.shuffle(pods)  # type: ignore[attr-defined]
    some = list(state.services.items())
    random.shuffle(some)  # type: ignore[attr-defined]
    mixed = replace(state, nodes=dict(nodes), pods=dict(pods), services=dict(some))
    for name, one in state.nodes.items():
        assert wanted(mixed, one.name) == wanted(state, name)


@settings(max_examples=60, deadline=None)
@given(st.lists(states(), min_size=1, max_size=4))
def test_the_compilers_memory_never_changes_its_answer(history: list[ClusterState]) -> None:
    """After any history the compiler says what the pure function says."""
    remembering = Compiler()
    for state in history:
        answer = remembering.compile(state)
        assert {name: contents(one) for name, one in answer.items()} == {
            name: wanted(state, name) for name in state.nodes
        }


@settings(max_examples=40, deadline=None)
@given(states(), states())
def test_a_plan_there_and_back_returns_and_a_second_plan_is_empty(a: ClusterState, b: ClusterState) -> None:
    """Reconciling reaches the desired flows in one step; doing so again changes nothing; the way back returns."""
    there, here = _first_node(a), _first_node(b)
    changes = differences(there, here)
    assert apply(*holds(there), changes) == holds(here)
    assert not differences(here, here)
    assert apply(*holds(here), differences(here, there)) == holds(there)
    assert set(changes.delete).isdisjoint(changes.add)


def _first_node(state: ClusterState) -> Program:
    for one in state.nodes.values():
        return compiler.programs(state, one)["br-int"]
    return Program()


def _two_nodes(overlay: Overlay = Overlay.VXLAN) -> ClusterState:
    pods = {"default/a": Pod("default", "a", "n2", IPv4Address("10.244.2.5"))}
    return ClusterState(NetworkConfig(overlay=overlay), {"n2": node(2), "n3": node(3)}, pods)


def test_a_remote_pod_costs_a_node_nothing() -> None:
    """A pod on n2 changes no flow of n3, which gets the very same tables; n2 gets seven flows more."""
    state, remembering = _two_nodes(), Compiler()
    before = remembering.compile(state)
    more = {**state.pods, "default/b": Pod("default", "b", "n2", IPv4Address("10.244.2.6"))}
    after = remembering.compile(replace(state, pods=more, generation=2))
    assert after["n3"] is before["n3"]
    assert len(all_flows(ClusterState(state.network, state.nodes, more), "n2")) - len(all_flows(state, "n2")) == 7


def test_a_node_costs_every_other_node_two_flows() -> None:
    """One admits what comes from it, one routes to its pods."""
    state = _two_nodes()
    wider = ClusterState(state.network, {**state.nodes, "n4": node(4)}, state.pods)
    added = {flow.to_text() for flow in all_flows(wider, "n2")} - {flow.to_text() for flow in all_flows(state, "n2")}
    assert added == {
        "table=0,priority=220,in_port=1,ip,tun_src=172.18.2.5 actions=set_field:0x1/0xf->reg0,goto_table:8",
        "table=50,priority=200,ip,nw_dst=10.244.4.0/24 actions=set_field:aa:bb:cc:dd:ee:ff->eth_src,"
        "set_field:aa:bb:cc:dd:ee:ff->eth_dst,set_field:172.18.2.5->tun_dst,set_field:0x10/0xf0->reg0,"
        "set_field:0x1->reg1,goto_table:60",
    }


def _route(state: ClusterState, name: str, cidr: str) -> str:
    return next(flow.to_text() for flow in all_flows(state, name) if f"nw_dst={cidr} " in f"{flow.to_text()} ")


def test_direct_packets_go_to_the_peer_on_the_same_subnet_and_to_the_router_otherwise() -> None:
    """n2 and n3 share a subnet, n4 is behind the router."""
    state = _two_nodes(Overlay.DIRECT)
    state = ClusterState(state.network, {**state.nodes, "n4": node(4)}, {})
    assert "set_field:02:00:00:00:00:03->eth_dst" in _route(state, "n2", "10.244.3.0/24")
    assert "set_field:02:ff:00:00:00:02->eth_dst" in _route(state, "n2", "10.244.4.0/24")


def test_direct_without_a_way_is_an_error_of_that_node_only() -> None:
    """A node without router cannot reach another subnet: the error names both nodes and a remedy."""
    far = node(4)
    lonely = Node("n2", 2, node(2).underlay, node(2).underlay_mac, node(2).pod_cidr)
    state = ClusterState(NetworkConfig(overlay=Overlay.DIRECT), {"n2": lonely, "n4": far}, {})
    compiled = Compiler().compile(state)
    with pytest.raises(InvalidInputError, match=r"node 'n2': overlay 'direct' has no way to node 'n4'.*use overlay"):
        compiler.programs(state, lonely)
    assert isinstance(compiled["n2"], InvalidInputError)
    assert contents(compiled["n4"]) == wanted(state, "n4")
