"""What Open vSwitch has cached when a policy's flows change."""

from dataclasses import replace

import pytest
from frames import Frame
from nodes import UNDERLAY, NodeSwitch, cross
from policyclusters import netpol
from service_states import A, B, C, from_pod
from test_policy_packets import DENY_IN, INGRESS, block, under

from kubinet.policies import Policy, Rule

pytestmark = pytest.mark.ovs

OTHER = "10.244.2.100"


def only(source: str) -> Policy:
    """In the place of the default deny: one peer is allowed."""
    return netpol("deny-in", namespace="default", directions=INGRESS, ingress=[Rule(block(f"{source}/32"))])


def arriving(source: str, destination: str, sport: int) -> Frame:
    """A connection from a pod of node 2, as it comes to node 1."""
    return cross(replace(from_pod(C, destination, 8080, sport=sport), src=source), 1)


def test_a_cached_allowance_ends_when_its_successor_asks_for_less(node: NodeSwitch) -> None:
    """A rule that names a peer is replaced by a denial of whoever it is, and another is denied before the cache is
    brought up to date; then a rule names a third one. The first peer is denied from then on.

    The userspace datapath looks a cached decision that is to change up by its packet. It finds the other's first, and
    changes that in its place, because a denial like it (of pod a) was there before the peer was allowed.
    """
    controller = node.controller()
    controller.bring(under(DENY_IN))
    assert node.send(UNDERLAY, arriving(OTHER, A, 30000)) == {}
    node.appctl("revalidator/pause")
    controller.settle = lambda: None
    controller.bring(under(only(C)))
    assert node.one(UNDERLAY, arriving(C, B, 30001))[0] == "p103"
    controller.bring(under(DENY_IN))
    assert node.send(UNDERLAY, arriving(OTHER, B, 30002)) == {}
    node.appctl("revalidator/resume")
    node.settle()
    controller.bring(under(only("10.244.2.200")))
    node.settle()
    assert node.send(UNDERLAY, arriving(C, B, 30003)) == {}
    controller.end()
