"""The verdict proves itself on lost upcalls: packets that Open vSwitch drops on its slow path, made to happen."""

import re
import time
from collections.abc import Callable

import pytest
from controllers import FRAMEWORKS, ControllerProcess, connect
from nodes import NodeSwitch
from private_ovs import OpenVSwitch
from service_states import A, from_pod
from test_round_robin import ENDS, answered, wire

from experiments.validity.control import assess_switches
from experiments.validity.counters import SwitchCounters, parse_switch

pytestmark = pytest.mark.ovs

PACKET = (
    "in_port(1),eth(src=0a:00:00:00:00:01,dst=0a:00:00:00:00:02),eth_type(0x0800),"
    "ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)"
)


def _counters(ovs: OpenVSwitch) -> SwitchCounters:
    return parse_switch(7, ovs.appctl("dpctl/show"), ovs.appctl("coverage/show"))


def test_packets_lost_on_the_slow_path_make_a_run_suspect(ovs: OpenVSwitch) -> None:
    """A datapath whose upcalls nobody takes loses each packet of a new flow; the run says how many."""
    ovs.add_node(1, [102])  # Open vSwitch is up when this returns
    ovs.appctl("dpctl/add-dp", "dummy@loose")
    ovs.appctl("dpctl/add-if", "dummy@loose", "p1,type=dummy-pmd")
    before = _counters(ovs)
    for _ in range(5):
        ovs.appctl("netdev-dummy/receive", "p1", PACKET)
    deadline = time.monotonic() + 20
    while (after := _counters(ovs)).lost < 5 and time.monotonic() < deadline:
        pass  # the datapath's own thread takes them
    found = assess_switches({"n1": before}, {"n1": after}, 1.0)
    assert found.reasons == ("node n1: Open vSwitch lost 5 packets on the slow path (upcalls)",)


def test_what_the_controller_sends_on_is_not_lost(
    node: NodeSwitch, controllers: Callable[..., ControllerProcess]
) -> None:
    """Thirty connections, each sent to the controller and back: Open vSwitch calls them lost, the verdict does not."""
    controller = controllers(FRAMEWORKS[0])
    controller.tell(wire(*ENDS))
    connect(node.ovs, controller.port)
    controller.realises(7)
    before = _counters(node.ovs)
    answered(node, "p102", *(from_pod(A, sport=sport) for sport in range(40000, 40030)))
    said = re.findall(r"lost:(\d+)", node.ovs.appctl("dpctl/show"))
    assert sum(map(int, said)) >= 30
    assert assess_switches({"n1": before}, {"n1": _counters(node.ovs)}, 1.0).reasons == ()
