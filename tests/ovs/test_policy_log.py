"""Denied packets that the controller is told of while they are logged (on os-ken and on Ryu)."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from controllers import FRAMEWORKS, ControllerProcess, connect
from frames import ACK, UDP
from nodes import NodeSwitch
from service_states import A, B, from_pod
from states import wire_state

from controller.pipeline import DENIED_METER

pytestmark = pytest.mark.ovs

Start = Callable[..., ControllerProcess]
DEADLINE = 20.0
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"namespace": "default", "name": "deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


def wire(generation: int, *, log: bool, policies: tuple[Any, ...] = (POLICY,)) -> Any:
    return {**wire_state("direct", generation=generation), "policies": list(policies), "log": log}


def next_denied(controller: ControllerProcess) -> Any:
    return controller.next(lambda said: "denied" in said)["denied"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_denied_packet_is_told_with_what_denied_it(node: NodeSwitch, controllers: Start, framework: str) -> None:
    """Addresses, ports, and the number of the policies that isolate the pod; the packet is dropped as before."""
    controller = controllers(framework)
    controller.tell(wire(7, log=True))
    connect(node.ovs, controller.port)
    controller.realises(7)
    node.settle()
    assert node.send("p102", from_pod(A, B, 8080)) == {}
    assert next_denied(controller) == {
        "node": "n1",
        "ends": [f"{A}:40000", f"{B}:8080"],
        "direction": "Ingress",
        "by": "isolated for Ingress by NetworkPolicy/default/deny",
    }


def test_nothing_is_told_when_nobody_asks(node: NodeSwitch, controllers: Start) -> None:
    """Before the log is switched on and after: the first packet that is told is the one between."""
    controller = controllers("os_ken")
    connect(node.ovs, controller.port)
    for generation, port, log in ((7, 1, False), (8, 2, True), (9, 3, False), (10, 4, True)):
        controller.tell(wire(generation, log=log))
        controller.realises(generation)
        node.settle()
        assert node.send("p102", from_pod(A, B, port, proto=UDP)) == {}
        if log:
            assert next_denied(controller)["ends"][1] == f"{B}:{port}"
    flows = [line for line in node.ovs.dump("br-int") if "controller(" in line]
    controller.tell(wire(11, log=False))
    controller.realises(11)
    assert len(flows) == 4
    assert not [line for line in node.ovs.dump("br-int") if "controller(" in line]


def test_a_flood_is_told_of_at_the_meters_rate(node: NodeSwitch, controllers: Start) -> None:
    """Of 1,000 packets the first 100 come, and few more; all of them are dropped and counted."""
    controller = controllers("os_ken")
    controller.tell(wire(7, log=True))
    connect(node.ovs, controller.port)
    controller.realises(7)
    node.settle()
    began = time.monotonic()
    frames = [from_pod(A, B, 1 + number, proto=UDP) for number in range(1000)]
    assert node.send("p102", *frames) == {}
    seconds = time.monotonic() - began
    meter = node.ovs.ofctl("meter-stats", "br-int", f"meter={DENIED_METER.id}")
    band = int(meter.rpartition("packet_count:")[2].split()[0])
    told = 1000 - band
    assert DENIED_METER.burst <= told <= DENIED_METER.burst + DENIED_METER.rate * (seconds + 1)
    assert band > 0


def test_a_connection_that_is_cut_is_told_and_loses_its_answers(node: NodeSwitch, controllers: Start) -> None:
    """The flow that tells does what the flow below it does: it marks the connection."""
    controller = controllers("os_ken")
    controller.tell(wire(7, log=True, policies=()))
    connect(node.ovs, controller.port)
    controller.realises(7)
    node.settle()
    _, asked = node.one("p102", from_pod(A, B, 8080))
    assert node.one("p103", asked.answer())[0] == "p102"
    controller.tell(wire(8, log=True))
    controller.realises(8)
    node.settle()
    assert node.send("p102", from_pod(A, B, 8080, flags=ACK, seq=1001, ack=5001)) == {}
    assert next_denied(controller)["ends"] == [f"{A}:40000", f"{B}:8080"]
    assert node.send("p103", asked.answer()) == {}


def test_a_new_controller_goes_on_with_the_log(node: NodeSwitch, controllers: Start) -> None:
    """It replaces the meter of the one before it: nothing is refused, and what it lets through is told."""
    for generation in (7, 8):
        controller = controllers("os_ken")
        controller.tell(wire(generation, log=True))
        connect(node.ovs, controller.port)
        controller.realises(generation)
        node.settle()
        node.send("p102", *(from_pod(A, B, 1 + number, proto=UDP) for number in range(200)))
        assert next_denied(controller)["ends"][1] == f"{B}:1"
        controller.kill()
    band = int(
        node.ovs.ofctl("meter-stats", "br-int", f"meter={DENIED_METER.id}").rpartition("packet_count:")[2].split()[0]
    )
    assert 0 < band <= 100
    assert "error reply" not in (node.ovs.folder / "ovs-vswitchd.log").read_text()
