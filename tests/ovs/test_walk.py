"""The pipeline walk on private Open vSwitches: what the installed flows do with a packet, both ways."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from service_states import NODE_1, NODE_2, OUTSIDE, VIP, A, B, C, cluster, service
from walking import WalkedCluster, ask, way

from controller.compile import owners
from controller.walk.hops import Ending, Outcome, Party, SwitchHop
from controller.walk.packet import WalkError
from kubinet.state import Algorithm, Service
from kubinet.transport import Protocol

pytestmark = pytest.mark.ovs
OVERLAYS = ("vxlan", "geneve", "direct")


@pytest.fixture(scope="module", params=OVERLAYS)
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalkedCluster]:
    """Nodes n1 and n2, with each overlay."""
    found = WalkedCluster(tmp_path_factory.mktemp("walk"), cluster(overlay=request.param))
    yield found
    found.close()


@pytest.fixture(scope="module")
def vxlan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalkedCluster]:
    """Nodes n1 and n2 with VXLAN, for what does not depend on the overlay."""
    found = WalkedCluster(tmp_path_factory.mktemp("walk"), cluster(overlay="vxlan"))
    yield found
    found.close()


NODE_PORT: dict[str, Any] = {"node_port": 30080}
WAYS: list[tuple[str, str, int, list[Service], str, str, str]] = [
    ("a", B, 8080, [], "n1:br-int", "n1:br-int", f"{A}:40000 > {B}:8080"),
    ("a", C, 8080, [], "n1:br-int ~ n2:IN", "n2:br-int ~ n1:IN", f"{A}:40000 > {C}:8080"),
    ("a", VIP, 80, [service([B])], "n1:br-int", "n1:br-int", f"{A}:40000 > {B}:8080"),
    ("a", VIP, 80, [service([C])], "n1:br-int ~ n2:IN", "n2:br-int ~ n1:IN", f"{A}:40000 > {C}:8080"),
    ("a", VIP, 80, [service([A])], "n1:br-int", "n1:br-int", f"10.244.1.1:49152 > {A}:8080"),
    ("a", NODE_1, 22, [], "n1:br-int n1", "n1 n1:br-int", f"{A}:40000 > {NODE_1}:22"),
    (
        *("a", NODE_2, 22, [], "n1:br-int n1 n1:br-phy ~ n2:br-phy n2"),
        *("n2 n2:br-phy ~ n1:br-phy n1 n1:br-int", f"{NODE_1}:49152 > {NODE_2}:22"),
    ),
    (
        *("a", OUTSIDE, 443, [], "n1:br-int n1 n1:br-phy ~"),
        *("~ n1:br-phy n1 n1:br-int", f"{NODE_1}:49152 > {OUTSIDE}:443"),
    ),
    ("n1", B, 80, [], "n1 n1:br-int", "n1:br-int n1", f"10.244.1.1:40000 > {B}:80"),
    ("n1", C, 80, [], "n1 n1:br-int ~ n2:IN", "n2:br-int ~ n1:IN n1", f"10.244.1.1:40000 > {C}:80"),
    ("n1", VIP, 80, [service([C])], "n1 n1:br-int ~ n2:IN", "n2:br-int ~ n1:IN n1", f"10.244.1.1:40000 > {C}:8080"),
    ("n1", NODE_1, 22, [], "n1", "n1", f"{NODE_1}:40000 > {NODE_1}:22"),
    (
        *("n1", NODE_2, 22, [], "n1 n1:br-phy ~ n2:br-phy n2"),
        *("n2 n2:br-phy ~ n1:br-phy n1", f"{NODE_1}:40000 > {NODE_2}:22"),
    ),
    (
        *("n1", NODE_1, 30080, [service([C], **NODE_PORT)], "n1 n1:br-int ~ n2:IN"),
        *("n2:br-int ~ n1:IN n1", f"10.244.1.1:40000 > {C}:8080"),
    ),
    (OUTSIDE, NODE_1, 22, [], "~ n1:br-phy n1", "n1 n1:br-phy ~", f"{OUTSIDE}:40000 > {NODE_1}:22"),
    (
        *(OUTSIDE, NODE_1, 30080, [service([B], **NODE_PORT)], "~ n1:br-phy"),
        *("n1:br-int ~", f"10.244.1.1:49152 > {B}:8080"),
    ),
    (
        *(OUTSIDE, NODE_1, 30080, [service([C], **NODE_PORT)], "~ n1:br-phy ~ n2:IN"),
        *("n2:br-int ~ n1:IN ~", f"10.244.1.1:49152 > {C}:8080"),
    ),
    (
        *(OUTSIDE, NODE_1, 30080, [service([B], external_local=True, **NODE_PORT)], "~ n1:br-phy"),
        *("n1:br-int ~", f"{OUTSIDE}:40000 > {B}:8080"),
    ),
    (
        *(OUTSIDE, "172.31.0.5", 80, [service([C], load_balancer_ips=(IPv4Address("172.31.0.5"),))]),
        *("~ n1:br-phy ~ n2:IN", "n2:br-int ~ n1:IN ~", f"10.244.1.1:49152 > {C}:8080"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sender", "destination", "port", "services", "there", "back", "arrives"),
    WAYS,
    ids=[f"{row[0]}-{row[1]}-{row[2]}-{row[4].replace(' ', '_')}" for row in WAYS],
)
def test_a_packets_way_and_its_answers(
    walked: WalkedCluster,
    sender: str,
    destination: str,
    port: int,
    services: list[Service],
    there: str,
    back: str,
    arrives: str,
) -> None:
    """Which bridges, kernels and underlays (`~`) it passes, what it is in the end; the sender knows the answer."""
    found = ask(walked, cluster(*services, overlay=walked.overlay), sender, destination, port)
    inner = "br-phy" if walked.overlay == "direct" else "br-int"
    assert (way(found.request), way(found.reply)) == (there.replace("IN", inner), back.replace("IN", inner))
    assert str(found.request.arrived) == f"TCP {arrives}"
    assert found.delivered


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.SCTP, None], ids=str)
def test_other_protocols_go_the_same_way(walked: WalkedCluster, protocol: Protocol | None) -> None:
    """UDP, SCTP and ICMP between nodes."""
    found = ask(walked, cluster(overlay=walked.overlay), "a", C, 8080, protocol)
    assert found.delivered
    assert found.request.outcome == Outcome(Ending.DELIVERED, Party.POD, "default/c", "n2")
    assert found.request.arrived.ttl == 62


@pytest.mark.parametrize("algorithm", sorted(set(Algorithm) - {Algorithm.SOURCE_HASH}))
def test_every_algorithm_can_be_asked_for_each_endpoint(vxlan: WalkedCluster, algorithm: Algorithm) -> None:
    """By a hash, by the client's port, by the controller's turn; source-hash is in the next test."""
    state = cluster(service([B, C], algorithm=algorithm), overlay="vxlan")
    for address in (B, C):
        found = ask(vxlan, state, "a", VIP, 80, endpoint=(IPv4Address(address), 8080))
        assert found.delivered
        assert str(found.request.arrived.destination) == address


def test_an_endpoint_that_the_algorithm_does_not_choose_is_an_error(vxlan: WalkedCluster) -> None:
    """A client has one endpoint only with the algorithm source-hash."""
    state = cluster(service([B, C], algorithm=Algorithm.SOURCE_HASH), overlay="vxlan")
    chosen = ask(vxlan, state, "a", VIP, 80).request.arrived.destination
    other = IPv4Address(C if str(chosen) == B else B)
    with pytest.raises(WalkError, match=rf"{VIP}:80 does not lead to {other}:8080"):
        ask(vxlan, state, "a", VIP, 80, endpoint=(other, 8080))


@pytest.mark.parametrize(
    ("sender", "destination", "port", "services", "node", "table", "priority", "owner"),
    [
        ("a", "10.244.1.99", 80, [], "n1", "L3Forward", 150, "Topology/cluster"),
        ("a", "10.244.77.2", 80, [], "n1", "L3Forward", 150, "Topology/cluster"),
        ("a", "172.31.0.9", 80, [], "n1", "ServiceLB", 100, "Topology/cluster"),
        ("c", VIP, 80, [service([B], internal_local=True)], "n2", "ServiceLB", 200, "Service/default/web"),
        (OUTSIDE, B, 80, [], "n1", "Uplink", 150, "Node/n1"),
        (OUTSIDE, NODE_2, 30080, [service([B], external_local=True, **NODE_PORT)], "n2", "ServiceLB", 210,
         "Service/default/web"),
    ],
)  # fmt: skip
def test_where_a_packet_dies_and_whose_flow_it_was(
    vxlan: WalkedCluster,
    sender: str,
    destination: str,
    port: int,
    services: list[Service],
    node: str,
    table: str,
    priority: int,
    owner: str,
) -> None:
    """Node, table, flow, and the object that the flow exists for."""
    state = cluster(*services, overlay="vxlan")
    found = ask(vxlan, state, sender, destination, port)
    outcome = found.request.outcome
    assert (outcome.ending, outcome.node, found.reply, found.delivered) == (Ending.DROPPED, node, None, False)
    assert outcome.step is not None
    step = outcome.step
    assert (step.table, step.priority, step.owner(owners(state))) == (table, priority, owner)


def test_a_service_without_endpoint_refuses(walked: WalkedCluster) -> None:
    """By a closed port of the node's own stack; the refusal comes from the Service's address."""
    found = ask(walked, cluster(service([]), overlay=walked.overlay), "a", VIP, 80)
    assert (way(found.request), way(found.reply)) == ("n1:br-int n1", "n1 n1:br-int")
    assert found.request.outcome == Outcome(Ending.REFUSED, Party.NODE, "n1", "n1")
    assert found.reply is not None
    assert (str(found.reply.arrived), found.reply.arrived.flags) == (f"TCP {VIP}:80 > {A}:40000", "rst|ack")
    assert not found.delivered


def test_addresses_that_the_underlay_does_not_know(vxlan: WalkedCluster) -> None:
    """A cluster IP ends at the first router; an address of nobody too."""
    state = cluster(service([B]), overlay="vxlan")
    why = "no router outside of the nodes knows the service CIDR"
    assert ask(vxlan, state, OUTSIDE, VIP, 80).request.outcome == Outcome(Ending.DROPPED, why=why)


def test_the_walk_shows_connections_as_they_are_met(vxlan: WalkedCluster) -> None:
    """A Service's first packet: new in table 10, translated in table 30; its answer: known, translated back."""
    found = ask(vxlan, cluster(service([B]), overlay="vxlan"), "a", VIP, 80)
    assert found.reply is not None
    there, back = found.request.hops[0], found.reply.hops[0]
    assert isinstance(there, SwitchHop)
    assert isinstance(back, SwitchHop)
    met = [part.meeting for part in there.passes if part.meeting is not None]
    assert [(one.tracked.zone, one.tracked.mark, str(one.after.destination)) for one in met] == [
        (1, 0x00, VIP),
        (1, 0x13, B),
    ]
    (answered,) = [part.meeting for part in back.passes if part.meeting is not None]
    assert answered.tracked.states == {"trk", "est", "rpl"}
    assert (answered.tracked.mark, str(answered.after.source)) == (0x13, VIP)


@pytest.mark.parametrize("destination", [B, C, VIP, NODE_2, OUTSIDE])
def test_an_established_connection_goes_on(walked: WalkedCluster, destination: str) -> None:
    """Known on every node that it passes, translated as its first packet was."""
    state = cluster(service([C]), overlay=walked.overlay)
    first = ask(walked, state, "a", destination, 80)
    later = ask(walked, state, "a", destination, 80, established=True)
    assert later.delivered
    assert (way(later.request), way(later.reply)) == (way(first.request), way(first.reply))
    assert str(later.request.arrived) == str(first.request.arrived)
    hops = [hop for hop in later.request.hops if isinstance(hop, SwitchHop)]
    met = [part.meeting for hop in hops for part in hop.passes if part.meeting is not None]
    assert {"est" in one.tracked.states for one in met} == {True}


def test_a_blocked_connection_that_policies_allow_is_unblocked(vxlan: WalkedCluster) -> None:
    """PolicyAccept clears the mark, so that the answer passes."""
    found = ask(vxlan, cluster(overlay="vxlan"), "a", B, 80, established=True, blocked=True)
    hop = found.request.hops[0]
    assert isinstance(hop, SwitchHop)
    assert [step.priority for step in hop.steps if step.table == "PolicyAccept"] == [200]
    assert found.delivered
