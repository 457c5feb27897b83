"""Packets of Services through the programs of two nodes, with real connection tracking (overlay direct)."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from frames import ACK, FIN, RST, SYN, UDP, Frame
from nodes import GATEWAY, UNDERLAY, UNDERLAY_LOCAL, NodeSwitch, cross, program
from service_states import (
    MAC,
    NODE_1,
    NODE_2,
    OUTSIDE,
    PHY,
    ROUTER,
    VIP,
    VIRTUAL,
    A,
    B,
    C,
    cluster,
    endpoint,
    from_outside,
    from_pod,
    service,
)

from kubinet.transport import Protocol

pytestmark = pytest.mark.ovs

GATEWAY_MAC = "0a:58:0a:f4:01:01"
REJECT = "169.254.1.2"


@pytest.fixture(autouse=True)
def fresh(nodes: dict[int, NodeSwitch]) -> None:
    """No connection of another test is known."""
    for node in nodes.values():
        node.flush()
        node.left()


@pytest.mark.parametrize("proto", [6, UDP], ids=["tcp", "udp"])
def test_a_pod_reaches_an_endpoint_on_its_node_and_the_answer_comes_from_the_service(
    nodes: dict[int, NodeSwitch], proto: int
) -> None:
    """Destination translated to the endpoint's address and port, source untouched; the answer translated back."""
    program(nodes, cluster(service([B], protocol=Protocol(proto))))
    port, asked = nodes[1].one("p102", from_pod(A, proto=proto))
    assert (port, asked.client, asked.server) == ("p103", (A, 40000), (B, 8080))
    assert (asked.eth_src, asked.eth_dst, asked.ttl) == (VIRTUAL, MAC[B], 63)
    port, answered = nodes[1].one("p103", asked.answer())
    assert (port, answered.client, answered.server) == ("p102", (VIP, 80), (A, 40000))
    assert (answered.eth_src, answered.eth_dst) == (VIRTUAL, MAC[A])


def test_a_pod_reaches_an_endpoint_on_another_node_and_back(nodes: dict[int, NodeSwitch]) -> None:
    """The client's node translates both ways; the endpoint sees the client's address."""
    program(nodes, cluster(service([C])))
    port, sent = nodes[1].one("p102", from_pod(A))
    assert (port, sent.server, sent.eth_dst) == (UNDERLAY, (C, 8080), ROUTER[1])
    port, arrived = nodes[2].one(UNDERLAY, cross(sent, 2))
    assert (port, arrived.client, arrived.server) == ("p102", (A, 40000), (C, 8080))
    port, back = nodes[2].one("p102", arrived.answer())
    assert (port, back.client, back.server) == (UNDERLAY, (C, 8080), (A, 40000))
    port, answered = nodes[1].one(UNDERLAY, cross(back, 1))
    assert (port, answered.client, answered.server) == ("p102", (VIP, 80), (A, 40000))
    port, third = nodes[1].one("p102", from_pod(A, flags=ACK, seq=1001, ack=5001))
    assert (port, third.server) == (UNDERLAY, (C, 8080))


def test_a_pod_that_reaches_itself_sees_the_gateway_as_its_client(nodes: dict[int, NodeSwitch]) -> None:
    """Hairpin: the packet goes back to the pod's own port with the gateway's address, and the answer as well."""
    program(nodes, cluster(service([A])))
    port, asked = nodes[1].one("p102", from_pod(A))
    assert (port, asked.src, asked.server) == ("p102", "10.244.1.1", (A, 8080))
    assert 49152 <= asked.sport <= 65535
    port, answered = nodes[1].one("p102", asked.answer())
    assert (port, answered.client, answered.server) == ("p102", (VIP, 80), (A, 40000))
    port, third = nodes[1].one("p102", from_pod(A, flags=ACK, seq=1001, ack=5001))
    assert (port, third.client, third.server) == ("p102", asked.client, (A, 8080))


def test_the_node_itself_reaches_a_service(nodes: dict[int, NodeSwitch]) -> None:
    """From gw0 with the gateway's address, untranslated; with the node's own, translated to the gateway's."""
    program(nodes, cluster(service([B])))
    plain = Frame(GATEWAY_MAC, VIRTUAL, "10.244.1.1", 40000, VIP, 80)
    port, asked = nodes[1].one(GATEWAY, plain)
    assert (port, asked.client, asked.server, asked.ttl) == ("p103", plain.client, (B, 8080), 64)
    port, answered = nodes[1].one("p103", asked.answer())
    assert (port, answered.client, answered.server) == (GATEWAY, (VIP, 80), plain.client)
    own = Frame(GATEWAY_MAC, VIRTUAL, NODE_1, 40001, VIP, 80)
    port, asked = nodes[1].one(GATEWAY, own)
    assert (port, asked.src, asked.server) == ("p103", "10.244.1.1", (B, 8080))
    port, answered = nodes[1].one("p103", asked.answer())
    assert (port, answered.client, answered.server) == (GATEWAY, (VIP, 80), own.client)


def _answered_by(end: str, nodes: dict[int, NodeSwitch], port: str, sent: Frame) -> tuple[str, Frame]:
    """What node 1 does with the answer of endpoint `end` to what it sent, masqueraded, out of `port`."""
    if end == B:
        assert port == "p103"
        return nodes[1].one("p103", sent.answer())
    assert port == UNDERLAY
    port, arrived = nodes[2].one(UNDERLAY, cross(sent, 2))
    assert (port, arrived.server) == ("p102", (C, 8080))
    port, back = nodes[2].one("p102", arrived.answer())
    assert (port, back.dst) == (UNDERLAY, "10.244.1.1")
    return nodes[1].one(UNDERLAY, cross(back, 1))


@pytest.mark.parametrize("end", [B, C], ids=["local", "remote"])
def test_a_client_outside_that_routes_to_a_cluster_ip_is_masqueraded(nodes: dict[int, NodeSwitch], end: str) -> None:
    """Its packets come through the node's stack. The endpoint sees the gateway, so that its answer comes back here."""
    program(nodes, cluster(service([end])))
    through = from_outside(1, VIP, 80)
    assert nodes[1].one(UNDERLAY, through)[0] == UNDERLAY_LOCAL
    routed = Frame(GATEWAY_MAC, VIRTUAL, OUTSIDE, through.sport, VIP, 80)
    port, sent = nodes[1].one(GATEWAY, routed)
    assert (sent.src, sent.server) == ("10.244.1.1", (end, 8080))
    port, answered = _answered_by(end, nodes, port, sent)
    assert (port, answered.client, answered.server) == (GATEWAY, (VIP, 80), (OUTSIDE, 50000))


def test_an_endpoint_of_the_nodes_own_network_is_reached_and_answers(nodes: dict[int, NodeSwitch]) -> None:
    """A pod's connection to a host-network endpoint of its node goes through gw0, and back."""
    program(nodes, cluster(service([endpoint(NODE_1, 6443)])))
    port, asked = nodes[1].one("p102", from_pod(A))
    assert (port, asked.client, asked.server) == (GATEWAY, (A, 40000), (NODE_1, 6443))
    port, answered = nodes[1].one(GATEWAY, replace(asked.answer(), eth_src=GATEWAY_MAC, eth_dst=VIRTUAL))
    assert (port, answered.client, answered.server) == ("p102", (VIP, 80), (A, 40000))


@pytest.mark.parametrize("end", [B, C], ids=["local", "remote"])
def test_a_node_port_of_policy_cluster_gives_outside_clients_the_nodes_address(
    nodes: dict[int, NodeSwitch], end: str
) -> None:
    """Masqueraded to the gateway; the answer leaves through the underlay port to the neighbour that asked."""
    program(nodes, cluster(service([end], node_port=30080)))
    asked = from_outside(1, NODE_1, 30080)
    port, sent = nodes[1].one(UNDERLAY, asked)
    assert (sent.src, sent.server) == ("10.244.1.1", (end, 8080))
    port, answered = _answered_by(end, nodes, port, sent)
    assert (port, answered.client, answered.server) == (UNDERLAY, (NODE_1, 30080), (OUTSIDE, 50000))
    assert (answered.eth_src, answered.eth_dst) == (PHY[1], ROUTER[1])


def test_the_answer_goes_to_the_neighbour_that_the_request_came_from(nodes: dict[int, NodeSwitch]) -> None:
    """Not to the node's default router, when another one forwarded the request."""
    program(nodes, cluster(service([B], node_port=30080)))
    other = replace(from_outside(1, NODE_1, 30080, 50001), eth_src="02:ff:00:00:00:77")
    _, sent = nodes[1].one(UNDERLAY, other)
    port, answered = nodes[1].one("p103", sent.answer())
    assert (port, answered.eth_dst, answered.server) == (UNDERLAY, "02:ff:00:00:00:77", (OUTSIDE, 50001))


def test_a_node_port_of_policy_local_keeps_the_clients_address(nodes: dict[int, NodeSwitch]) -> None:
    """The node's own endpoint sees the client; a node without endpoint is silent; pods reach the whole cluster."""
    program(nodes, cluster(service([B], node_port=30080, external_local=True)))
    port, sent = nodes[1].one(UNDERLAY, from_outside(1, NODE_1, 30080))
    assert (port, sent.client, sent.server) == ("p103", (OUTSIDE, 50000), (B, 8080))
    port, answered = nodes[1].one("p103", sent.answer())
    assert (port, answered.client, answered.server) == (UNDERLAY, (NODE_1, 30080), (OUTSIDE, 50000))
    assert answered.eth_dst == ROUTER[1]
    assert nodes[2].send(UNDERLAY, from_outside(2, NODE_2, 30080)) == {}
    port, sent = nodes[2].one("p102", from_pod(C, NODE_2, 30080))
    assert (port, sent.client, sent.server) == (UNDERLAY, (C, 40000), (B, 8080))


@pytest.mark.parametrize("proto", [6, UDP], ids=["tcp", "udp"])
def test_a_service_without_endpoint_is_refused_by_the_nodes_stack(nodes: dict[int, NodeSwitch], proto: int) -> None:
    """Connections go to a port of the stack where nothing listens, from pods, the node and the outside."""
    program(nodes, cluster(service([], node_port=30080, protocol=Protocol(proto))))
    port, refused = nodes[1].one("p102", from_pod(A, proto=proto))
    assert (port, refused.client, refused.server) == (GATEWAY, (A, 40000), (REJECT, 1))
    if proto == 6:
        reset = replace(refused.answer(RST | ACK, seq=0), eth_src=GATEWAY_MAC, eth_dst=VIRTUAL)
        port, answered = nodes[1].one(GATEWAY, reset)
        assert (port, answered.client, answered.server, answered.flags) == ("p102", (VIP, 80), (A, 40000), RST | ACK)
    port, refused = nodes[1].one(UNDERLAY, from_outside(1, NODE_1, 30080, proto=proto))
    assert (port, refused.src, refused.server) == (GATEWAY, "169.254.1.1", (REJECT, 1))
    if proto == 6:
        reset = replace(refused.answer(RST | ACK, seq=0), eth_src=GATEWAY_MAC, eth_dst=VIRTUAL)
        port, answered = nodes[1].one(GATEWAY, reset)
        assert (port, answered.client, answered.server) == (UNDERLAY, (NODE_1, 30080), (OUTSIDE, 50000))


def test_unknown_cluster_addresses_are_refused_and_never_leave_the_node(nodes: dict[int, NodeSwitch]) -> None:
    """An address and a port that no Service has: refused; other addresses of the outside: on their way."""
    program(nodes, cluster(service([B])))
    for address, number in (("10.96.0.77", 80), (VIP, 81)):
        port, refused = nodes[1].one("p102", from_pod(A, address, number))
        assert (port, refused.server) == (GATEWAY, (REJECT, 1))
    port, sent = nodes[1].one("p102", from_pod(A, OUTSIDE, 80))
    assert (port, sent.server) == (GATEWAY, (OUTSIDE, 80))


def test_internal_policy_local_never_leaves_the_node(nodes: dict[int, NodeSwitch]) -> None:
    """The node's own endpoint serves; where there is none the connection gets no answer."""
    program(nodes, cluster(service([B], internal_local=True)))
    assert nodes[1].one("p102", from_pod(A))[1].server == (B, 8080)
    assert nodes[2].send("p102", from_pod(C)) == {}


def test_a_load_balancer_serves_its_source_ranges_only(nodes: dict[int, NodeSwitch]) -> None:
    """Other clients get no answer; a pod is a client like any other."""
    options = {"load_balancer_ips": (IPv4Address("172.31.0.5"),), "node_port": 30080}
    program(nodes, cluster(service([B], source_ranges=(IPv4Network("192.0.2.0/28"),), **options)))
    port, sent = nodes[1].one(UNDERLAY, from_outside(1, "172.31.0.5", 80))
    assert (port, sent.src, sent.server) == ("p103", "10.244.1.1", (B, 8080))
    port, answered = nodes[1].one("p103", sent.answer())
    assert (port, answered.client, answered.server) == (UNDERLAY, ("172.31.0.5", 80), (OUTSIDE, 50000))
    stranger = from_outside(1, "172.31.0.5", 80, src="192.0.2.99")
    assert nodes[1].send(UNDERLAY, stranger) == {}
    assert nodes[1].send("p102", from_pod(A, "172.31.0.5")) == {}
    assert nodes[1].one(UNDERLAY, replace(stranger, dst=NODE_1, dport=30080))[0] == "p103"


def test_an_external_address_may_be_the_nodes_own(nodes: dict[int, NodeSwitch]) -> None:
    """The Service's port is served; all other ports of the node are the node's."""
    program(nodes, cluster(service([B], external_ips=(IPv4Address(NODE_1),))))
    port, sent = nodes[1].one(UNDERLAY, from_outside(1, NODE_1, 80))
    assert (port, sent.src, sent.server) == ("p103", "10.244.1.1", (B, 8080))
    port, answered = nodes[1].one("p103", sent.answer())
    assert (port, answered.client, answered.server) == (UNDERLAY, (NODE_1, 80), (OUTSIDE, 50000))
    port, sent = nodes[1].one(UNDERLAY, from_outside(1, NODE_1, 22))
    assert (port, sent.server) == (UNDERLAY_LOCAL, (NODE_1, 22))


def test_a_first_packet_that_is_sent_again_goes_to_the_same_endpoint(nodes: dict[int, NodeSwitch]) -> None:
    """Even when the Service has other endpoints by then: the connection is committed."""
    program(nodes, cluster(service([B])))
    assert nodes[1].one("p102", from_pod(A))[1].server == (B, 8080)
    program(nodes, cluster(service([C])))
    port, again = nodes[1].one("p102", from_pod(A))
    assert (port, again.server) == ("p103", (B, 8080))
    assert nodes[1].one("p102", from_pod(A, sport=40001))[1].server == (C, 8080)


def test_established_connections_stay_when_other_endpoints_come_and_go(nodes: dict[int, NodeSwitch]) -> None:
    """The reply and what follows are translated as the first packet was."""
    program(nodes, cluster(service([B])))
    _, asked = nodes[1].one("p102", from_pod(A))
    program(nodes, cluster(service([C])))
    port, answered = nodes[1].one("p103", asked.answer())
    assert (port, answered.client) == ("p102", (VIP, 80))
    port, third = nodes[1].one("p102", from_pod(A, flags=ACK, seq=1001, ack=5001))
    assert (port, third.server) == ("p103", (B, 8080))


def test_a_source_port_that_is_used_again_in_time_wait_is_served(nodes: dict[int, NodeSwitch]) -> None:
    """The endpoint answers the new SYN from its old connection; the client's reset for that reaches it."""
    program(nodes, cluster(service([B])))
    node = nodes[1]

    def client(flags: int, seq: int, ack: int) -> Frame:
        return node.one("p102", from_pod(A, flags=flags, seq=seq, ack=ack))[1]

    def server(asked: Frame, flags: int, seq: int, ack: int) -> None:
        assert node.one("p103", asked.answer(flags, seq=seq, ack=ack))[0] == "p102"

    asked = client(SYN, 1000, 0)
    server(asked, SYN | ACK, 5000, 1001)
    client(ACK, 1001, 5001)
    server(asked, FIN | ACK, 5001, 1001)
    client(FIN | ACK, 1001, 5002)
    server(asked, ACK, 5002, 1002)
    assert "TIME_WAIT" in "".join(node.connections())
    # The client's port is used again, long before the endpoint's TIME_WAIT is over.
    assert client(SYN, 900_000_000, 0).server == (B, 8080)
    node.send("p103", asked.answer(ACK, seq=5002, ack=1002))
    port, reset = node.one("p102", from_pod(A, flags=RST, seq=1002, ack=0))
    assert (port, reset.server, reset.flags) == ("p103", (B, 8080), RST)
    again = client(SYN, 900_000_000, 0)
    assert again.server == (B, 8080)
    server(again, SYN | ACK, 700_000_000, 900_000_001)
