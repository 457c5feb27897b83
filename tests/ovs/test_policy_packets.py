"""Packets under network policies through the programs of two nodes, with real connection tracking (overlay direct)."""

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from frames import ACK, UDP, Frame
from nodes import GATEWAY, UNDERLAY, NodeSwitch, cross, program
from policyclusters import label, netpol
from service_states import NODE_1, OUTSIDE, VIRTUAL, A, B, C, cluster, from_outside, from_pod, service

from controller.openflow.flow import Owner
from kubinet.policies import Action, BlockPeer, Direction, PodPeer, Policy, PortRange, Rule, Tier
from kubinet.state import ClusterState, Established, Service
from kubinet.transport import Protocol

pytestmark = pytest.mark.ovs

VIP_2 = IPv4Address("10.96.0.20")
GATEWAY_MAC, GATEWAY_1 = "0a:58:0a:f4:01:01", "10.244.1.1"
INGRESS, EGRESS = frozenset({Direction.INGRESS}), frozenset({Direction.EGRESS})
DENY_IN = netpol("deny-in", namespace="default", directions=INGRESS)
DENY_OUT = netpol("deny-out", namespace="default", directions=EGRESS)


def block(cidr: str) -> tuple[BlockPeer]:
    return (BlockPeer(IPv4Network(cidr)),)


def under(
    *policies: Policy, services: Iterable[Service] = (), established: Established = Established.CUT
) -> ClusterState:
    """Pods a, b (n1) and c (n2) of namespace default, under policies."""
    plain = cluster(*services)
    return replace(
        plain,
        network=replace(plain.network, established=established),
        namespaces={"default": {"ns": "default"}},
        policies={one.key: one for one in policies},
    )


@pytest.fixture(autouse=True)
def fresh(nodes: dict[int, NodeSwitch]) -> None:
    """No connection of another test is known."""
    for node in nodes.values():
        node.flush()
        node.left()


@pytest.mark.parametrize("proto", [6, UDP], ids=["tcp", "udp"])
def test_an_isolated_pod_gets_what_a_rule_allows_and_nothing_else(nodes: dict[int, NodeSwitch], proto: int) -> None:
    """Port 8080 from a alone; another port and another client are dropped; the reply passes without a rule."""
    allowed = Rule(block(f"{A}/32"), (PortRange(Protocol(proto), 8080, 8080),))
    only = netpol("only", namespace="default", directions=INGRESS, ingress=[allowed])
    program(nodes, under(only))
    port, asked = nodes[1].one("p102", from_pod(A, B, 8080, proto=proto))
    assert port == "p103"
    assert nodes[1].one("p103", asked.answer())[0] == "p102"
    assert nodes[1].send("p102", from_pod(A, B, 8081, proto=proto)) == {}
    arriving = cross(nodes[2].one("p102", from_pod(C, B, 8080, proto=proto))[1], 1)
    assert nodes[1].send(UNDERLAY, arriving) == {}


def test_egress_is_judged_at_the_sender_and_by_the_endpoint(nodes: dict[int, NodeSwitch]) -> None:
    """a may send to c's port 8080 only: through the Service it reaches c; the Service's address needs no rule."""
    rule = Rule(block(f"{C}/32"), (PortRange(Protocol.TCP, 8080, 8080),))
    policy = netpol("p", namespace="default", directions=EGRESS, egress=[rule])
    program(nodes, under(policy, services=[service([C]), service([B], name="other", address=VIP_2)]))
    assert nodes[1].one("p102", from_pod(A))[0] == UNDERLAY
    assert nodes[1].send("p102", from_pod(A, str(VIP_2), sport=40001)) == {}
    assert nodes[1].send("p102", from_pod(A, C, 8081, sport=40002)) == {}


def test_a_refusal_needs_no_rule(nodes: dict[int, NodeSwitch]) -> None:
    """A Service without endpoints refuses also under default deny: no time-out."""
    program(nodes, under(DENY_OUT, services=[service([])]))
    assert nodes[1].one("p102", from_pod(A))[0] == GATEWAY


def test_the_node_reaches_its_own_pods_and_other_nodes_do_not(nodes: dict[int, NodeSwitch]) -> None:
    """Probes pass under default deny; what another node's stack sends is judged by its pod gateway address."""
    program(nodes, under(DENY_IN))
    assert nodes[1].one(GATEWAY, Frame(GATEWAY_MAC, VIRTUAL, GATEWAY_1, 40000, B, 8080))[0] == "p103"
    sent = nodes[1].one(GATEWAY, Frame(GATEWAY_MAC, VIRTUAL, GATEWAY_1, 40001, C, 8080))[1]
    assert nodes[2].send(UNDERLAY, cross(sent, 2)) == {}
    allow = netpol("allow", namespace="default", directions=INGRESS, ingress=[Rule(block(f"{GATEWAY_1}/32"))])
    program(nodes, under(DENY_IN, allow))
    assert nodes[2].one(UNDERLAY, cross(sent, 2))[0] == "p102"


def test_clients_outside_are_judged_by_their_own_address_on_the_endpoints_node(nodes: dict[int, NodeSwitch]) -> None:
    """Also where their source is translated afterwards (policy Cluster): 192.0.2.9 is allowed, 192.0.2.10 is not."""
    rule = Rule(block(f"{OUTSIDE}/32"))
    policy = netpol("p", namespace="default", directions=INGRESS, ingress=[rule])
    program(nodes, under(policy, services=[service([B], node_port=30080)]))
    port, asked = nodes[1].one(UNDERLAY, from_outside(1, NODE_1, 30080))
    assert (port, asked.src) == ("p103", GATEWAY_1)
    assert nodes[1].one("p103", asked.answer())[0] == UNDERLAY
    assert nodes[1].send(UNDERLAY, from_outside(1, NODE_1, 30080, src="192.0.2.10")) == {}


def test_a_pod_reaches_itself_through_its_service(nodes: dict[int, NodeSwitch]) -> None:
    """Both directions denied; a cluster-wide rule counts all the same."""
    both = netpol("deny", namespace="default")
    program(nodes, under(both, services=[service([A])]))
    assert nodes[1].one("p102", from_pod(A))[0] == "p102"
    everyone = PodPeer(label("ns", "default"))
    deny = Policy(
        "ClusterNetworkPolicy", "no", "", Tier.ADMIN, everyone, INGRESS, (Rule((everyone,), None, Action.DENY),)
    )
    program(nodes, under(both, deny, services=[service([A])]))
    assert nodes[1].send("p102", from_pod(A, sport=40001)) == {}


def test_established_connections_end_when_a_policy_forbids_them_and_go_on_when_it_goes(
    nodes: dict[int, NodeSwitch],
) -> None:
    """`cut`: the next packet of the client is dropped, then the server's replies; afterwards both pass again."""
    program(nodes, under())
    asked = nodes[1].one("p102", from_pod(A, B, 8080))[1]
    nodes[1].one("p103", asked.answer())
    client = from_pod(A, B, 8080, flags=ACK, seq=1001, ack=5001)
    server = replace(asked.answer(), flags=ACK, seq=5001, ack=1001)
    assert nodes[1].one("p102", client)[0] == "p103"
    program(nodes, under(DENY_IN))
    assert nodes[1].send("p102", client) == {}
    assert nodes[1].send("p103", server) == {}
    program(nodes, under())
    assert nodes[1].one("p102", client)[0] == "p103"
    assert nodes[1].one("p103", server)[0] == "p102"


def test_established_connections_are_kept_where_it_is_declared(nodes: dict[int, NodeSwitch]) -> None:
    """`keep`: the old connection goes on, a new one is dropped."""
    program(nodes, under(established=Established.KEEP))
    asked = nodes[1].one("p102", from_pod(A, B, 8080))[1]
    nodes[1].one("p103", asked.answer())
    program(nodes, under(DENY_IN, established=Established.KEEP))
    assert nodes[1].one("p102", from_pod(A, B, 8080, flags=ACK, seq=1001, ack=5001))[0] == "p103"
    assert nodes[1].send("p102", from_pod(A, B, 8080, sport=40001)) == {}


def test_denied_datagrams_to_a_service_stay_denied_where_connections_are_kept(nodes: dict[int, NodeSwitch]) -> None:
    """`keep`: the Service's connection is tracked from the denied datagram on; more of them make it no older."""
    web = service([B], protocol=Protocol.UDP)
    program(nodes, under(DENY_OUT, services=[web], established=Established.KEEP))
    for _ in range(4):
        assert nodes[1].send("p102", from_pod(A, proto=UDP)) == {}


def test_nobody_answers_a_denied_connection_to_a_service(nodes: dict[int, NodeSwitch]) -> None:
    """The connection is tracked from the first packet on; an endpoint that guesses it gets nothing through."""
    program(nodes, under(DENY_OUT, services=[service([B])]))
    assert nodes[1].send("p102", from_pod(A)) == {}
    guess = from_pod(A, B, 8080).answer()
    assert nodes[1].send("p103", guess) == {}


def test_replies_of_a_cut_service_connection_are_dropped(nodes: dict[int, NodeSwitch]) -> None:
    """Through a Service, on two nodes: the endpoint's node denies; its replies do not leave it."""
    web = service([C])
    program(nodes, under(services=[web]))
    arrived = nodes[2].one(UNDERLAY, cross(nodes[1].one("p102", from_pod(A))[1], 2))[1]
    back = nodes[2].one("p102", arrived.answer())[1]
    nodes[1].one(UNDERLAY, cross(back, 1))
    program(nodes, under(DENY_IN, services=[web]))
    third = nodes[1].one("p102", from_pod(A, flags=ACK, seq=1001, ack=5001))[1]
    assert nodes[2].send(UNDERLAY, cross(third, 2)) == {}
    assert nodes[2].send("p102", replace(arrived.answer(), flags=ACK, seq=5001, ack=1001)) == {}


def test_pass_leaves_it_to_the_next_tier_and_deny_is_final(nodes: dict[int, NodeSwitch]) -> None:
    """Admin: pass a's packets to port 80, deny the rest. A NetworkPolicy allows all: a's port 80 alone arrives."""
    everyone, http = PodPeer(label("ns", "default")), (PortRange(Protocol.TCP, 80, 80),)
    admin = Policy(
        "ClusterNetworkPolicy", "admin", "", Tier.ADMIN, everyone, INGRESS,
        (Rule((everyone,), http, Action.PASS), Rule((everyone,), None, Action.DENY)), (), 10,
    )  # fmt: skip
    allow = netpol("allow", namespace="default", directions=INGRESS, ingress=[Rule()])
    program(nodes, under(admin, allow))
    assert nodes[1].one("p102", from_pod(A, B, 80))[0] == "p103"
    assert nodes[1].send("p102", from_pod(A, B, 81)) == {}
    program(nodes, under(admin, DENY_IN))
    assert nodes[1].send("p102", from_pod(A, B, 80, sport=40001)) == {}


def test_denied_packets_are_counted_by_policy(nodes: dict[int, NodeSwitch]) -> None:
    """The flow that denies has the policy's cookie, and counts each packet."""
    program(nodes, under(DENY_IN))

    def denied() -> tuple[str, int]:
        nodes[1].settle()
        lines = nodes[1].ovs.ofctl("dump-flows", "br-int", "table=74").splitlines()
        [line] = [line for line in lines if "goto_table:88" in line and "reg1=0x67" in line]
        cookie, packets = re.findall(r"cookie=0x[0-9a-f]*([0-9a-f]{8}),.* n_packets=(\d+)", line)[0]
        return cookie, int(packets)

    before = denied()
    assert before[0] == f"{Owner('NetworkPolicy', 'deny-in', 'default').id:08x}"
    nodes[1].send("p102", from_pod(A, B, 80), from_pod(A, B, 81))
    assert denied()[1] - before[1] == 2
