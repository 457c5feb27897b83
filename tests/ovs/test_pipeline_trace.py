"""What Open vSwitch itself says that the compiled flows do with a packet (ofproto/trace)."""

import re

import pytest
from private_ovs import OpenVSwitch
from states import state

from controller import compile as compiler
from controller.openflow.flow import Flow

pytestmark = pytest.mark.ovs

POD_A = "in_port=102,dl_src=0a:58:0a:f4:01:02,dl_dst=aa:bb:cc:dd:ee:ff"
A, B, C = "10.244.1.2", "10.244.1.3", "10.244.2.2"
OUTSIDE = "192.0.2.9"


def install(ovs: OpenVSwitch, overlay: str = "vxlan") -> None:
    """Node n1 with its flows."""
    ovs.add_node(1, [102, 103], None if overlay == "direct" else overlay)
    cluster = state(overlay)
    for bridge, program in compiler.programs(cluster, cluster.nodes["n1"]).items():
        ovs.ofctl("replace-flows", bridge, "-", stdin=_text(list(program.flows())))


def _text(flows: list[Flow]) -> str:
    return "\n".join(f"cookie={flow.cookie(1):#x},{flow.to_text()}" for flow in flows)


def dropped(trace: str) -> bool:
    return "Datapath actions: drop" in trace


def last_table(trace: str) -> int:
    return int(re.findall(r"^ *(\d+)\. ", trace, re.MULTILINE)[-1])


def test_a_pod_reaches_a_pod_on_its_node(ovs: OpenVSwitch) -> None:
    """MAC addresses are rewritten, the TTL falls by one, the packet goes to the other pod's port."""
    install(ovs)
    trace = ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst={B},nw_ttl=64")
    assert "output port is 103" in trace
    finals = [line for line in trace.splitlines() if line.startswith("Final flow")]
    routed = next(line for line in finals if "dl_dst=0a:58:0a:f4:01:03" in line)
    assert "dl_src=aa:bb:cc:dd:ee:ff" in routed
    assert "nw_ttl=63" in routed


@pytest.mark.parametrize("overlay", ["vxlan", "geneve"])
def test_a_pod_reaches_a_pod_on_another_node_through_the_tunnel(ovs: OpenVSwitch, overlay: str) -> None:
    """The tunnel's far end is the other node's underlay address."""
    install(ovs, overlay)
    trace = ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst={C},nw_ttl=64")
    assert "set_field:172.18.2.2->tun_dst" in trace
    assert "output port is 1\n" in trace


def test_direct_packets_leave_through_the_underlay_port_with_the_routers_mac(ovs: OpenVSwitch) -> None:
    """Through the patch and br-phy, untranslated."""
    install(ovs, "direct")
    trace = ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst={C},nw_ttl=64")
    assert 'bridge("br-phy")' in trace
    assert "set_field:02:ff:00:00:00:01->eth_dst" in trace
    assert "nat(" not in trace
    assert not dropped(trace)


def test_direct_packets_from_the_underlay_reach_the_pod(ovs: OpenVSwitch) -> None:
    """From br-phy through the patch to the pod's port; a source that is no node's pod is dropped."""
    install(ovs, "direct")
    arriving = "in_port=1,dl_src=02:ff:00:00:00:01,dl_dst=02:00:00:00:00:01,ip,nw_ttl=60"
    trace = ovs.trace("br-phy", f"{arriving},nw_src={C},nw_dst={A}")
    assert "output port is 102" in trace
    assert dropped(ovs.trace("br-phy", f"{arriving},nw_src={OUTSIDE},nw_dst={A}"))


def test_packets_from_the_tunnel_are_admitted_from_known_nodes_only(ovs: OpenVSwitch) -> None:
    """The tunnel's source address must be a node's."""
    install(ovs)
    inner = f"in_port=1,tun_dst=172.18.1.2,ip,nw_src={C},nw_dst={A},nw_ttl=60"
    assert "output port is 102" in ovs.trace("br-int", f"{inner},tun_src=172.18.2.2")
    assert dropped(ovs.trace("br-int", f"{inner},tun_src=172.18.9.9"))


@pytest.mark.parametrize(
    ("packet", "table"),
    [
        (f"{POD_A},ip,nw_src={B},nw_dst={C}", 4),
        (f"in_port=102,dl_src=0a:58:0a:f4:01:03,dl_dst=aa:bb:cc:dd:ee:ff,ip,nw_src={A},nw_dst={C}", 4),
        (f"{POD_A},arp,arp_op=1,arp_spa={B},arp_sha=0a:58:0a:f4:01:02,arp_tpa=10.244.1.1", 1),
        (f"{POD_A},arp,arp_op=1,arp_spa={A},arp_sha=0a:58:0a:f4:01:03,arp_tpa=10.244.1.1", 1),
    ],
    ids=["address", "mac", "arp-address", "arp-mac"],
)
def test_forgeries_end_at_a_flow_of_the_pods_own(ovs: OpenVSwitch, packet: str, table: int) -> None:
    """A wrong source ends at the drop flow of that pod's port, which counts it."""
    install(ovs)
    trace = ovs.trace("br-int", packet)
    assert dropped(trace)
    assert last_table(trace) == table
    assert re.search(r"in_port=102, priority 100, cookie 0x1020[0-9a-f]+$", trace, re.MULTILINE)


def test_a_pod_may_not_send_what_is_neither_ipv4_nor_arp(ovs: OpenVSwitch) -> None:
    """IPv6 ends in the classifier."""
    install(ovs)
    trace = ovs.trace("br-int", f"{POD_A},ipv6")
    assert (dropped(trace), last_table(trace)) == (True, 0)


def test_the_switch_answers_arp_for_the_pods_subnet_with_the_virtual_mac(ovs: OpenVSwitch) -> None:
    """The answer goes back to the pod, from the asked address and aa:bb:cc:dd:ee:ff; its own address gets silence."""
    install(ovs)
    asking = f"in_port=102,dl_src=0a:58:0a:f4:01:02,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_spa={A}"
    asking += ",arp_sha=0a:58:0a:f4:01:02"
    final = next(
        line
        for line in ovs.trace("br-int", f"{asking},arp_tpa=10.244.1.77").splitlines()
        if line.startswith("Final flow")
    )
    assert "dl_src=aa:bb:cc:dd:ee:ff,dl_dst=0a:58:0a:f4:01:02" in final
    assert f"arp_spa=10.244.1.77,arp_tpa={A},arp_op=2,arp_sha=aa:bb:cc:dd:ee:ff,arp_tha=0a:58:0a:f4:01:02" in final
    assert dropped(ovs.trace("br-int", f"{asking},arp_tpa={A}"))
    assert dropped(ovs.trace("br-int", f"{asking},arp_tpa=10.244.2.2"))


def test_node_and_pods_reach_each_other_through_the_gateway(ovs: OpenVSwitch) -> None:
    """The node's packets keep their TTL on the way to a pod; a pod's go to gw0's MAC address."""
    install(ovs)
    gateway = "in_port=2,dl_src=0a:58:0a:f4:01:01,dl_dst=aa:bb:cc:dd:ee:ff"
    to_pod = ovs.trace("br-int", f"{gateway},ip,nw_src=10.244.1.1,nw_dst={A},nw_ttl=64")
    assert "output port is 102" in to_pod
    assert "dec_ttl" not in to_pod
    to_node = ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst=10.244.1.1,nw_ttl=64")
    assert "output port is 2\n" in to_node
    assert "set_field:0a:58:0a:f4:01:01->eth_dst" in to_node
    arp = f"{gateway},arp,arp_op=1,arp_spa=10.244.1.1,arp_sha=0a:58:0a:f4:01:01,arp_tpa={C}"
    assert not dropped(ovs.trace("br-int", arp))


def test_pods_reach_the_outside_through_the_nodes_stack(ovs: OpenVSwitch) -> None:
    """An outside address goes to gw0; an unused pod address and a service address nowhere."""
    install(ovs)
    assert "output port is 2\n" in ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst={OUTSIDE},nw_ttl=64")
    for nowhere, table in (("10.244.1.99", 50), ("10.244.77.2", 50), ("10.96.0.10", 22), ("172.31.0.9", 22)):
        trace = ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst={nowhere},nw_ttl=64")
        assert (dropped(trace), last_table(trace)) == (True, table)


def test_a_time_to_live_that_runs_out_is_a_counted_drop(ovs: OpenVSwitch) -> None:
    """The drop is a flow of its own in L3DecTTL."""
    install(ovs)
    trace = ovs.trace("br-int", f"{POD_A},ip,nw_src={A},nw_dst={B},nw_ttl=1")
    assert (dropped(trace), last_table(trace)) == (True, 60)


def test_what_pods_send_outside_is_translated_to_the_nodes_address(ovs: OpenVSwitch) -> None:
    """TCP and UDP to ports from 49152 on, ICMP to the address alone; the node's own packets stay as they are."""
    install(ovs)
    local = "in_port=LOCAL,dl_src=02:00:00:00:00:01,dl_dst=02:ff:00:00:00:01"
    for protocol, ports in (("tcp", ":49152-65535"), ("udp", ":49152-65535"), ("icmp", "")):
        trace = ovs.trace("br-phy", f"{local},{protocol},nw_src={A},nw_dst={OUTSIDE}")
        assert f"ct(commit,table=10,zone=3,nat(src=172.18.1.2{ports}))" in trace
    assert "ct(" not in ovs.trace("br-phy", f"{local},tcp,nw_src=172.18.1.2,nw_dst={OUTSIDE}")
    assert dropped(ovs.trace("br-phy", f"{local},tcp,nw_src=172.18.1.2,nw_dst={C}"))


def test_what_arrives_for_the_node_is_translated_back_but_tunnels_go_straight(ovs: OpenVSwitch) -> None:
    """Replies pass connection tracking; VXLAN does not; bare packets to pods are dropped while there is an overlay."""
    install(ovs)
    arriving = "in_port=1,dl_src=02:ff:00:00:00:01,dl_dst=02:00:00:00:00:01"
    assert "ct(table=10,zone=3,nat)" in ovs.trace("br-phy", f"{arriving},tcp,nw_src={OUTSIDE},nw_dst=172.18.1.2")
    tunnel = ovs.trace("br-phy", f"{arriving},udp,nw_src=172.18.2.2,nw_dst=172.18.1.2,udp_dst=4789")
    assert "ct(" not in tunnel
    assert not dropped(tunnel)
    assert dropped(ovs.trace("br-phy", f"{arriving},tcp,nw_src={OUTSIDE},nw_dst={A}"))
    assert not dropped(ovs.trace("br-phy", f"{arriving},arp"))


def test_installing_twice_changes_nothing(ovs: OpenVSwitch) -> None:
    """The bridge holds exactly the compiled flows; a second installation leaves the same dump."""
    install(ovs)
    cluster = state()
    tables = {bridge: one.table() for bridge, one in compiler.programs(cluster, cluster.nodes["n1"]).items()}
    before = {bridge: ovs.dump(bridge) for bridge in tables}
    for bridge, table in tables.items():
        assert len(before[bridge]) == len(table)
        ovs.ofctl("add-flows", bridge, "-", stdin=_text(list(table.values())))
        assert ovs.dump(bridge) == before[bridge]
