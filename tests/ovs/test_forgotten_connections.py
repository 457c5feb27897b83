"""Open vSwitch forgets the connections that it is told to, and no others."""

from contextlib import nullcontext
from ipaddress import IPv4Address

import pytest
from private_ovs import OpenVSwitch

from agents.services.ovs_connections import OvsConnections
from agents.services.stale import Front, Stale, read_entries

pytestmark = pytest.mark.ovs

VIP, OWN = IPv4Address("10.96.0.10"), IPv4Address("172.18.0.1")
A, B = IPv4Address("10.244.1.5"), IPv4Address("10.244.2.6")
_FLOWS = """\
udp,nw_dst=10.96.0.10,tp_src=1000,actions=ct(commit,zone=1,nat(dst=10.244.1.5:53)),2
udp,nw_dst=10.96.0.10,tp_src=1001,actions=ct(commit,zone=1,nat(dst=10.244.2.6:53)),2
udp,nw_dst=172.18.0.1,actions=ct(commit,zone=1,nat(dst=10.244.2.6:53)),2
udp,nw_dst=10.244.2.6,actions=ct(commit,zone=1),2
tcp,nw_dst=10.96.0.10,actions=ct(commit,zone=1,nat(dst=10.244.2.6:53)),2
"""


@pytest.fixture
def node(ovs: OpenVSwitch) -> OpenVSwitch:
    """A switch with five tracked connections."""
    ovs.add_node(1, [100, 101])
    ovs.ofctl("add-flows", "br-int", "-", stdin=_FLOWS.replace(",2\n", ",101\n"))
    for protocol, target, sport, dport in (
        (17, VIP, 1000, 53),
        (17, VIP, 1001, 53),
        (17, OWN, 1002, 30053),
        (17, B, 1003, 53),
        (6, VIP, 1004, 53),
    ):
        layer4 = f"udp(src={sport},dst={dport})" if protocol == 17 else f"tcp(src={sport},dst={dport}),tcp_flags(syn)"
        addresses = f"ipv4(src=10.244.1.9,dst={target},proto={protocol},tos=0,ttl=64,frag=no)"
        frame = f"in_port(100),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),{addresses},{layer4}"
        ovs.appctl("netdev-dummy/receive", "p100", frame)
    assert _left(ovs) == [1000, 1001, 1002, 1003, 1004]
    return ovs


def _left(ovs: OpenVSwitch) -> list[int]:
    """The client's ports of the connections that are tracked."""
    dump = ovs.appctl("dpctl/dump-conntrack", "zone=1")
    return sorted(int(line.split("sport=")[1].split(",")[0]) for line in dump.splitlines())


def _connections(ovs: OpenVSwitch) -> OvsConnections:
    return OvsConnections(lambda: nullcontext(ovs.appctl), OWN)


@pytest.mark.parametrize("others", [0, 20])
def test_stale_udp_connections_go_by_front_and_target(node: OpenVSwitch, others: int) -> None:
    """One through the cluster IP to the endpoint that went away; the node port's only when it is named too.

    Many at once, of other Services, are looked for in another way with the same result.
    """
    more = {Stale(Front(VIP + one, 53), (B, 53)) for one in range(1, others + 1)}
    _connections(node).forget(frozenset({Stale(Front(VIP, 53), (B, 53)), *more}), frozenset())
    assert _left(node) == [1000, 1002, 1003, 1004]
    _connections(node).forget(frozenset({Stale(Front(None, 30053), (B, 53)), *more}), frozenset())
    assert _left(node) == [1000, 1003, 1004]


def test_what_a_deleted_pod_answered_goes_in_every_protocol(node: OpenVSwitch) -> None:
    """UDP and TCP, through any front and directly; the other endpoint's connection stays."""
    _connections(node).forget(frozenset(), frozenset({B}))
    assert _left(node) == [1000]


def test_a_sweep_keeps_what_is_not_stale(node: OpenVSwitch) -> None:
    """Only the first endpoint serves: both UDP connections to the second through the Service go, no others."""
    assert len(list(read_entries(node.appctl("dpctl/dump-conntrack", "zone=1")))) == 4
    serving = frozenset({(A, 53)})
    _connections(node).sweep({Front(VIP, 53): serving, Front(None, 30053): serving})
    assert _left(node) == [1000, 1003, 1004]
