"""The frame that network policies stand in: what skips them, what follows a verdict. See docs/policy.md."""

from collections.abc import Iterator
from typing import Final

from controller.features.common import TOPOLOGY, BridgeFlow, Maker, node_owner
from controller.openflow.actions import Action, Ct, ToController
from controller.openflow.fields import FRAGMENT, IP, IPV4_DST, IPV4_SRC, Term, ct_state
from controller.openflow.flow import Category
from controller.pipeline import (
    DENIED_BYTES,
    DENIED_METER,
    DENIED_USERDATA,
    EGRESS_ADMIN,
    EGRESS_BASELINE,
    EGRESS_ENTRY,
    EGRESS_POLICY,
    INGRESS_ADMIN,
    INGRESS_BASELINE,
    INGRESS_ENTRY,
    INGRESS_POLICY,
    L3_FORWARD,
    POLICY_ACCEPT,
    POLICY_DENY,
    SNAT,
    Priority,
    goto,
)
from controller.registers import CT_BLOCKED, CT_SERVICE, SOURCE, Place, Zone
from kubinet.addressing import REJECT_ADDRESS
from kubinet.state import ClusterState, Established, Node, ServiceProxy


def flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """What a node has whatever policies there are."""
    make = Maker(TOPOLOGY, Category.POLICY)
    for entry, onward in ((EGRESS_ENTRY, L3_FORWARD), (INGRESS_ENTRY, POLICY_ACCEPT)):
        # Denied connections lose their replies; those of all others pass, and errors about them (ICMP).
        for known in ("+rpl+trk", "+rel+trk"):
            yield make(entry, Priority.OVERRIDE, (IP, CT_BLOCKED(1), ct_state(known)))
            yield make(entry, Priority.SPECIAL, (IP, ct_state(known)), goto(onward))
        # Pieces of a datagram have no ports to be judged by: they go the way of the connection that they belong to.
        pieces = (IP, FRAGMENT, CT_BLOCKED(0), ct_state("-new+trk"))
        yield make(entry, Priority.SPECIAL, pieces, goto(onward))
        if state.network.established is Established.KEEP:
            old = (IP, CT_BLOCKED(0), ct_state("-new+est+trk"))
            yield make(entry, Priority.SPECIAL, old, goto(onward))
        yield make(entry, Priority.PASS, (IP,), goto(onward))
    for table, onward in (
        (EGRESS_ADMIN, EGRESS_POLICY),
        (EGRESS_POLICY, EGRESS_BASELINE),
        (EGRESS_BASELINE, L3_FORWARD),
        (INGRESS_ADMIN, INGRESS_POLICY),
        (INGRESS_POLICY, INGRESS_BASELINE),
        (INGRESS_BASELINE, POLICY_ACCEPT),
    ):
        yield make(table, Priority.PASS, (IP,), goto(onward))
    # A refusal gives no access, and says at once what a drop would say after a time-out.
    yield make(EGRESS_ENTRY, Priority.SPECIAL, (IP, IPV4_DST(REJECT_ADDRESS)), goto(L3_FORWARD))
    if state.network.services is ServiceProxy.NFTABLES:
        # Judged when the kernel has chosen the endpoint and sends the packet back.
        yield make(EGRESS_ENTRY, Priority.SPECIAL, (IP, IPV4_DST(state.network.service_cidr)), goto(L3_FORWARD))
    yield from _verdicts(make)
    own = Maker(node_owner(node), Category.POLICY)
    for address in (node.pod_gateway, node.underlay.ip):
        yield own(
            INGRESS_ENTRY,
            Priority.SPECIAL,
            (IP, SOURCE(Place.GATEWAY), IPV4_SRC(address)),
            goto(POLICY_ACCEPT),
        )


def _mark(blocked: int, table: int | None) -> Ct:
    return Ct(Zone.MAIN, commit=True, table=table, marks=(CT_BLOCKED(blocked),))


_DENIALS: Final[tuple[tuple[Priority, tuple[Term, ...], tuple[Action, ...]], ...]] = (
    (Priority.SPECIAL, (IP, CT_BLOCKED(1)), ()),
    (Priority.NORMAL, (IP, ct_state("-new+trk")), (_mark(1, None),)),
    # A Service's connection is there from its first packet on: nobody may answer it.
    (Priority.NORMAL, (IP, CT_SERVICE(1)), (_mark(1, None),)),
    (Priority.PASS, (IP,), ()),
)
"""What is done with a packet that a policy denies: priority, match and actions."""


def _verdicts(make: Maker) -> Iterator[BridgeFlow]:
    yield make(POLICY_ACCEPT, Priority.NORMAL, (IP, CT_BLOCKED(1)), _mark(0, SNAT.number))
    yield make(POLICY_ACCEPT, Priority.PASS, (IP,), goto(SNAT))
    for priority, match, actions in _DENIALS:
        yield make(POLICY_DENY, priority, match, *actions)


def log_flows() -> Iterator[BridgeFlow]:
    """Above the flows that drop what policies deny: the same, and the controller is told.

    Those below stay, so that a datapath that refuses these (it has no meters) denies as before.
    """
    make = Maker(TOPOLOGY, Category.POLICY)
    tell = ToController(bytes([DENIED_USERDATA]), DENIED_BYTES, DENIED_METER.id)
    for priority, match, actions in _DENIALS:
        yield make(POLICY_DENY, Priority.LOG + priority, match, *actions, tell)
