"""Round-robin: the controller chooses for the first packet of each connection (on os-ken and on Ryu)."""

import select
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from controllers import FRAMEWORKS, ControllerProcess, connect
from frames import ACK, UDP, Frame
from nodes import UNDERLAY, NodeSwitch
from service_states import NODE_1, PHY, ROUTER, A, from_outside, from_pod
from states import wire_state

from controller.pipeline import CONTROLLER_METER

pytestmark = pytest.mark.ovs

DEADLINE = 20.0
ENDS = ("10.244.2.10", "10.244.2.11", "10.244.2.12")
Start = Callable[..., ControllerProcess]


def wire(*ends: str, generation: int = 7) -> Any:
    """The cluster with a Service of round-robin, as the API has it."""
    ports = [
        {"name": "t", "port": 80, "protocol": "TCP", "nodePort": 30080},
        {"name": "u", "port": 53, "protocol": "UDP"},
    ]
    metadata = {"namespace": "default", "name": "web", "annotations": {"kubinet.dev/load-balancer": "round-robin"}}
    service = {"metadata": metadata, "spec": {"type": "NodePort", "clusterIP": "10.96.0.10", "ports": ports}}
    labels = {"kubernetes.io/service-name": "web"}
    slice_ = {
        "metadata": {"namespace": "default", "name": "web-1", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "t", "port": 8080, "protocol": "TCP"}, {"name": "u", "port": 5353, "protocol": "UDP"}],
        "endpoints": [{"addresses": [end], "nodeName": "n2"} for end in ends],
    }
    return {**wire_state("direct", generation=generation), "services": [service], "slices": [slice_]}


def answered(node: NodeSwitch, port: str, *frames: Frame, leave: int | None = None) -> list[Frame]:
    """Put frames in and wait until as many (or as many as should) have left through the underlay port."""
    expected = len(frames) if leave is None else leave
    out = node.send(port, *frames).get(UNDERLAY, [])
    end = time.monotonic() + DEADLINE
    while len(out) < expected:
        assert time.monotonic() < end, f"{len(out)} of {expected} frames left"
        select.select([], [], [], 0.01)
        out += node.left().get(UNDERLAY, [])
    return out


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_endpoints_take_turns(node: NodeSwitch, controllers: Start, framework: str) -> None:
    """Thirty connections, ten for each; the packet is the one that was sent, with everything but its destination."""
    controller = controllers(framework)
    controller.tell(wire(*ENDS))
    connect(node.ovs, controller.port)
    controller.realises(7)
    tcp = [frame for sport in range(40000, 40030) for frame in answered(node, "p102", from_pod(A, sport=sport))]
    assert [frame.dst for frame in tcp] == list(ENDS) * 10
    assert {(frame.src, frame.dport, frame.seq) for frame in tcp} == {(A, 8080, 1000)}
    assert [frame.sport for frame in tcp] == list(range(40000, 40030))
    udp = answered(node, "p102", *(from_pod(A, dport=53, sport=sport, proto=UDP) for sport in range(40000, 40030)))
    assert Counter((frame.dst, frame.dport) for frame in udp) == {(end, 5353): 10 for end in ENDS}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_only_the_first_packet_needs_the_controller(node: NodeSwitch, controllers: Start, framework: str) -> None:
    """What follows and what is sent again goes on without one; a new connection waits."""
    controller = controllers(framework)
    controller.tell(wire(*ENDS))
    connect(node.ovs, controller.port)
    controller.realises(7)
    (first,) = answered(node, "p102", from_pod(A))
    controller.kill()
    arrived = replace(first.answer(), eth_src=ROUTER[1], eth_dst=PHY[1])
    port, seen = node.one(UNDERLAY, arrived)
    assert (port, seen.client) == ("p102", ("10.96.0.10", 80))
    assert node.one("p102", from_pod(A, flags=ACK, seq=1001, ack=5001))[1].dst == first.dst
    assert node.send("p102", from_pod(A, sport=40001)) == {}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_clients_outside_are_masqueraded_although_the_controller_chose(
    node: NodeSwitch, controllers: Start, framework: str
) -> None:
    """The registers come back with the packet: through the node port the endpoint sees the node."""
    controller = controllers(framework)
    controller.tell(wire(*ENDS))
    connect(node.ovs, controller.port)
    controller.realises(7)
    out = answered(node, UNDERLAY, *(from_outside(1, NODE_1, 30080, sport) for sport in range(50000, 50006)))
    assert Counter(frame.dst for frame in out) == dict.fromkeys(ENDS, 2)
    assert {frame.src for frame in out} == {"10.244.1.1"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_turns_follow_the_endpoints(node: NodeSwitch, controllers: Start, framework: str) -> None:
    """Whoever leaves gets no turn any more; whoever comes gets one; one endpoint alone needs no controller."""
    controller = controllers(framework)
    for generation, ends in ((7, ENDS), (8, ENDS[1:]), (9, (*ENDS, "10.244.2.13"))):
        controller.tell(wire(*ends, generation=generation))
        if generation == 7:
            connect(node.ovs, controller.port)
        controller.realises(generation)
        node.settle()
        sports = range(generation * 1000, generation * 1000 + 12)
        out = answered(node, "p102", *(from_pod(A, sport=sport) for sport in sports))
        assert Counter(frame.dst for frame in out) == dict.fromkeys(ends, 12 // len(ends))
    controller.tell(wire(ENDS[0], generation=10))
    controller.realises(10)
    node.settle()
    assert node.one("p102", from_pod(A))[1].dst == ENDS[0]


def test_a_flood_of_new_connections_reaches_the_controller_at_the_meters_rate(
    node: NodeSwitch, controllers: Start
) -> None:
    """What comes faster is dropped on the node, as if lost, and gets its endpoint when it is sent again."""
    controller = controllers("os_ken")
    controller.tell(wire(*ENDS))
    connect(node.ovs, controller.port)
    controller.realises(7)
    node.settle()
    node.appctl("time/stop")
    flood = [from_pod(A, sport=20000 + number) for number in range(CONTROLLER_METER.burst + 100)]
    out = answered(node, "p102", *flood, leave=CONTROLLER_METER.burst)
    assert [frame.sport for frame in out] == [frame.sport for frame in flood[: CONTROLLER_METER.burst]]
    stats = node.ovs.ofctl("meter-stats", "br-int", "meter=controller")
    assert int(stats.rpartition("packet_count:")[2].split()[0]) == 100
    node.appctl("time/warp", "1000", "1000")
    (again,) = answered(node, "p102", flood[-1])
    assert again.sport == flood[-1].sport
