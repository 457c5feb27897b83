"""Desired flows as a function of the cluster's state."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from clusters import node, states
from contents import contents, holds, wanted
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import compile as compiler
from controller.compile import Compiler
from controller.openflow.flow import Flow
from controller.program import Program, apply, differences
from kubinet.errors import InvalidInputError
from kubinet.state import ClusterState, NetworkConfig, Node, Overlay, Pod


def all_flows(state: ClusterState, name: str) -> list[Flow]:
    return [flow for program in compiler.programs(state, state.nodes[name]).values() for flow in program.flows()]


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
