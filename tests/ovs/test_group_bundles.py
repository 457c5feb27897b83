"""Groups of a bridge: strangers go, lost ones come back, the others are never interrupted."""

import re
import select
import time

import pytest
from nodes import NodeSwitch
from service_states import A, cluster, from_pod, service

from controller.features.balancing import backends_id
from kubinet.state import Algorithm, ClusterState

pytestmark = pytest.mark.ovs

WEB = backends_id("default/web|web|TCP|cluster")
DEADLINE = 20.0


def state(*hosts: int) -> ClusterState:
    return cluster(service([f"10.244.2.{host}" for host in hosts], algorithm=Algorithm.HASH))


def groups(node: NodeSwitch) -> dict[int, int]:
    """The bridge's groups, and how many buckets they have."""
    dump = node.ovs.ofctl("dump-groups", "br-int")
    found = re.findall(r"group_id=(\d+),(.*)", dump)
    return {int(number): line.count("bucket=") for number, line in found}


def wait_for(node: NodeSwitch, wanted: dict[int, int]) -> None:
    """Wait until the bridge has such groups (ovs-ofctl has no way to be told)."""
    end = time.monotonic() + DEADLINE
    while groups(node) != wanted:
        assert time.monotonic() < end, f"seen last: {groups(node)}"
        select.select([], [], [], 0.05)


def test_a_controller_that_connects_deletes_groups_that_are_not_of_its_state(node: NodeSwitch) -> None:
    """Also many of them, whose list comes in several parts; flows that pointed there go as well."""
    many = "\n".join(f"group_id={number},type=all,bucket=drop" for number in range(1000, 4000))
    node.ovs.ofctl("add-groups", "br-int", "-", stdin=many)
    node.ovs.ofctl("add-flow", "br-int", "table=7,priority=5,actions=group:1500")
    assert len(groups(node)) == 3000
    node.controller().bring(state(10, 11))
    assert groups(node) == {WEB: 2}
    assert not [line for line in node.ovs.dump("br-int") if "table=7," in line]


def test_a_group_that_somebody_deletes_comes_back_with_the_flows_that_point_to_it(node: NodeSwitch) -> None:
    """The switch deletes such flows with the group, and the audit counts flows."""
    controller = node.controller()
    controller.bring(state(10, 11))
    before = [re.sub(r"cookie=0x[0-9a-f]+", "", line) for line in node.ovs.dump("br-int")]
    node.ovs.ofctl("del-groups", "br-int", f"group_id={WEB}")
    wait_for(node, {WEB: 2})
    controller.bring(state(10, 11))
    assert [re.sub(r"cookie=0x[0-9a-f]+", "", line) for line in node.ovs.dump("br-int")] == before
    assert node.one("p102", from_pod(A))[1].dst in ("10.244.2.10", "10.244.2.11")


def test_groups_follow_the_endpoints(node: NodeSwitch) -> None:
    """More, fewer, one, which needs no group, and none."""
    controller = node.controller()
    for hosts, wanted in (((10, 11), 2), ((10, 11, 12), 3), ((12, 13), 2), ((13,), 0), ((), 0), ((10, 13), 2)):
        controller.bring(state(*hosts))
        assert groups(node) == ({WEB: wanted} if wanted else {})
        assert (controller.sessions["br-int"].groups, controller.sessions["br-phy"].groups) == (bool(wanted), 0)


def test_another_controller_replaces_groups_where_they_are(node: NodeSwitch) -> None:
    """Same id, other endpoints; the flows that point there are never without it."""
    before = node.controller()
    before.bring(state(10, 11))
    before.end()
    node.controller().bring(state(11, 12, 13))
    assert groups(node) == {WEB: 3}
