"""The controller as a process, on os-ken and on Ryu, against a real Open vSwitch."""

import select
import time
from collections.abc import Callable
from typing import Any

import pytest
from controllers import DEADLINE, FRAMEWORKS, ControllerProcess, connect
from private_ovs import OpenVSwitch
from states import state, wire_state

from controller import compile as compiler
from controller.compile import owners
from controller.flow_view import parse_dump

pytestmark = pytest.mark.ovs


def rounds(ovs: OpenVSwitch, bridge: str) -> set[int]:
    return {row.generation for row in parse_dump(ovs.ofctl("dump-flows", bridge), bridge=bridge)}


def count(bridge: str) -> int:
    """How many flows n1's bridge should have."""
    cluster = state()
    return compiler.programs(cluster, cluster.nodes["n1"])[bridge].flow_count


def wanted(ovs: OpenVSwitch, bridge: str, round_: int, **options: Any) -> list[str]:
    """The flows that n1's bridge should have, in Open vSwitch's own words."""
    cluster = state(**options)
    flows = compiler.programs(cluster, cluster.nodes["n1"])[bridge].flows()
    ovs.vsctl("--", "add-br", "expected", "--", "set", "bridge", "expected", "datapath_type=dummy", "fail_mode=secure")
    text = "\n".join(f"cookie={flow.cookie(round_):#x},{flow.to_text()}" for flow in flows)
    ovs.ofctl("add-flows", "expected", "-", stdin=text)
    try:
        return ovs.dump("expected")
    finally:
        ovs.vsctl("del-br", "expected")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_bridge_gets_exactly_the_compiled_flows_and_then_only_differences(
    ovs: OpenVSwitch, controllers: Callable[..., ControllerProcess], framework: str
) -> None:
    """After the first state both bridges hold it; a new pod adds its flows, a gone pod takes its flows along."""
    ovs.add_node(1, [102, 103])
    controller = controllers(framework)
    controller.tell(wire_state())
    connect(ovs, controller.port)
    said = controller.realises(7)
    assert said["n1"]["flows"] == {bridge: count(bridge) for bridge in ("br-int", "br-phy")}
    for bridge in ("br-int", "br-phy"):
        assert ovs.dump(bridge) == wanted(ovs, bridge, 1)
    controller.tell(wire_state(generation=9, pods=(("d", 1, "10.244.1.9"),)))
    controller.realises(9)
    assert ovs.dump("br-int") == wanted(ovs, "br-int", 1, pods=(("d", 1, "10.244.1.9"),))
    controller.tell(wire_state(generation=11))
    controller.realises(11)
    assert ovs.dump("br-int") == wanted(ovs, "br-int", 1)
    names = {row.owner for row in parse_dump(ovs.ofctl("dump-flows", "br-int"), owners=owners(state()))}
    assert names == {"Topology/cluster", "Node/n1", "Node/n2", "Pod/default/a", "Pod/default/b"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_new_controller_takes_over_without_a_gap(
    ovs: OpenVSwitch, controllers: Callable[..., ControllerProcess], framework: str
) -> None:
    """kill -9 leaves the flows; the next controller puts its own round in their place, and counters go on."""
    ovs.add_node(1, [102, 103])
    first = controllers(framework)
    first.tell(wire_state())
    connect(ovs, first.port)
    first.realises(7)
    before = ovs.dump("br-int")
    first.kill()
    assert ovs.dump("br-int") == before
    ovs.ofctl("add-flow", "br-int", "cookie=0x7,table=50,priority=9,actions=drop")
    second = controllers(framework)
    second.tell(wire_state(generation=8))
    connect(ovs, second.port)
    second.realises(8)
    assert rounds(ovs, "br-int") == {2}
    assert ovs.dump("br-int") == wanted(ovs, "br-int", 2)
    assert ovs.dump("br-phy") == wanted(ovs, "br-phy", 2)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_bridge_that_lost_its_connection_is_programmed_anew(
    ovs: OpenVSwitch, controllers: Callable[..., ControllerProcess], framework: str
) -> None:
    """What changed meanwhile is there after the reconnection."""
    ovs.add_node(1, [102, 103])
    controller = controllers(framework)
    controller.tell(wire_state())
    connect(ovs, controller.port)
    controller.realises(7)
    # Another controller, where none is; a bridge without any controller would flush its flows.
    connect(ovs, 9)
    controller.next(lambda said: said["n1"] == {"generation": 0, "flows": {}, "error": ""})
    controller.tell(wire_state(generation=9, pods=(("d", 1, "10.244.1.9"),)))
    connect(ovs, controller.port)
    controller.realises(9)
    assert ovs.dump("br-int") == wanted(ovs, "br-int", 2, pods=(("d", 1, "10.244.1.9"),))


def wait_for_dump(ovs: OpenVSwitch, bridge: str, flows: int, round_: int) -> None:
    """Wait until the bridge holds so many flows, all of one round (ovs-ofctl has no way to be told)."""
    end = time.monotonic() + DEADLINE
    while True:
        rows = parse_dump(ovs.ofctl("dump-flows", bridge), bridge=bridge)
        if len(rows) == flows and {row.generation for row in rows} == {round_}:
            return
        assert time.monotonic() < end, f"{len(rows)} flows of rounds { {row.generation for row in rows} }"
        select.select([], [], [], 0.05)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_flows_that_somebody_deletes_or_adds_by_hand_are_put_right(
    ovs: OpenVSwitch, controllers: Callable[..., ControllerProcess], framework: str
) -> None:
    """The audit finds a bridge whose number of flows is not what it acknowledged."""
    ovs.add_node(1, [102, 103])
    controller = controllers(framework, audit_seconds=0.2)
    controller.tell(wire_state())
    connect(ovs, controller.port)
    controller.realises(7)
    ovs.ofctl("del-flows", "br-int", "table=50")
    wait_for_dump(ovs, "br-int", count("br-int"), 2)
    ovs.ofctl("add-flow", "br-int", "table=50,priority=60000,actions=drop")
    wait_for_dump(ovs, "br-int", count("br-int"), 3)
    ovs.ofctl("del-flows", "br-int")
    wait_for_dump(ovs, "br-int", count("br-int"), 4)
    assert ovs.dump("br-int") == wanted(ovs, "br-int", 4)
