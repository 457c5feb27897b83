"""Between a node's own stack and the pod network, through the gateway port gw0; also the pods' way to the outside.

The stack's own packets carry the gateway's address. Any other source is translated, else replies of Services'
endpoints on other nodes would not come back here: another one of the node's addresses (a program bound to it), or a
client outside that routes to a cluster IP by this node (kube-proxy masquerades what is not of the pod network, too).

What a pod sends to an address outside of the cluster goes to the node's stack, whose kernel routes it out of br-phy's
local port; `features.uplink` translates it there.
"""

from collections.abc import Iterator

from controller.features.common import BridgeFlow, Maker, node_owner
from controller.features.pods import arp_answer
from controller.openflow.actions import Action, Ct, Nat, SetField, copy, load
from controller.openflow.fields import (
    ARP,
    ARP_OP,
    ARP_TPA,
    CT_MARK,
    ETH_DST,
    ETH_SRC,
    IN_PORT,
    IP,
    IPV4_DST,
    IPV4_SRC,
    ct_state,
)
from controller.openflow.flow import Category
from controller.pipeline import (
    ARP_RESPONDER,
    ARP_SPOOF_GUARD,
    CLASSIFIER,
    CONNTRACK,
    CONNTRACK_COMMIT,
    L3_DEC_TTL,
    L3_FORWARD,
    SNAT,
    UNSNAT,
    Priority,
    goto,
)
from controller.registers import (
    CT_SERVICE,
    CT_SNAT,
    CT_SOURCE,
    DESTINATION,
    MASQUERADE,
    OUTPUT_PORT,
    SCRATCH,
    SNAT_PORTS,
    SOURCE,
    Place,
    Zone,
)
from kubinet.addressing import GATEWAY_PORT, REJECT_ADDRESS, STACK_ROUTER, VIRTUAL_MAC
from kubinet.state import ClusterState, Node


def flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """Node to pods, pods to node, pods to the outside."""
    make = Maker(node_owner(node), Category.GATEWAY)
    port = IN_PORT(GATEWAY_PORT)
    stack = to_gateway(node)
    from_stack = load(SOURCE, Place.GATEWAY)
    yield make(CLASSIFIER, Priority.NORMAL, (port, IP), from_stack, load(MASQUERADE, 1), goto(UNSNAT))
    own = (port, IP, IPV4_SRC(node.pod_gateway))
    yield make(CLASSIFIER, Priority.SPECIAL, own, from_stack, goto(UNSNAT))
    yield make(ARP_SPOOF_GUARD, Priority.NORMAL, (port, ARP), goto(ARP_RESPONDER))
    yield make(ARP_RESPONDER, Priority.SPECIAL, (port, ARP, ARP_TPA(node.pod_gateway)))
    # The kernel's route for the whole pod network is on-link, so it asks for pods of other nodes too.
    yield make(ARP_RESPONDER, Priority.POD, (port, ARP, ARP_OP(1), ARP_TPA(state.network.pod_cidr)), *arp_answer())
    yield make(L3_FORWARD, Priority.SPECIAL, (IP, IPV4_DST(node.pod_gateway)), *stack)
    yield make(L3_FORWARD, Priority.SPECIAL, (IP, IPV4_DST(REJECT_ADDRESS)), *stack)
    yield make(L3_FORWARD, Priority.GUARD, (IP, SOURCE(Place.POD)), *stack)
    # Endpoints that are no pods: of the node's network, or anywhere outside.
    yield make(L3_FORWARD, Priority.GUARD, (IP, CT_SERVICE(1), ct_state("-rpl+trk")), *stack)
    # What came from the stack goes back to it, whatever its address (the kernel's own Services, for one).
    yield make(L3_FORWARD, Priority.OVERRIDE, (IP, CT_SOURCE(Place.GATEWAY), ct_state("+rpl+trk")), *stack)
    for translated in (node.pod_gateway, STACK_ROUTER):
        back = Ct(Zone.SNAT, nat=Nat(), table=CONNTRACK.number)
        yield make(UNSNAT, Priority.NORMAL, (IP, IPV4_DST(translated)), back)
    yield from _source_translation(make, node)


def to_gateway(node: Node) -> tuple[Action, ...]:
    """Into the node's own stack."""
    return (
        SetField(ETH_SRC(VIRTUAL_MAC)),
        SetField(ETH_DST(node.pod_gateway_mac)),
        load(DESTINATION, Place.GATEWAY),
        load(OUTPUT_PORT, GATEWAY_PORT),
        goto(L3_DEC_TTL),
    )


def _source_translation(make: Maker, node: Node) -> Iterator[BridgeFlow]:
    """Into the stack as the stack's router, so that it answers through gw0; elsewhere as the gateway."""
    for priority, place, address in (
        (Priority.SPECIAL, (DESTINATION(Place.GATEWAY),), STACK_ROUTER),
        (Priority.NORMAL, (), node.pod_gateway),
    ):
        yield make(
            SNAT,
            priority,
            (IP, CT_SNAT(1), ct_state("+new+trk"), *place),
            copy(CT_MARK, SCRATCH),
            Ct(
                Zone.SNAT,
                commit=True,
                table=CONNTRACK_COMMIT.number,
                nat=Nat(source=address, ports=SNAT_PORTS),
                marks=(copy(SCRATCH, CT_MARK),),
            ),
        )
    known = (IP, CT_SNAT(1), ct_state("-new-rpl+trk"))
    yield make(SNAT, Priority.NORMAL, known, Ct(Zone.SNAT, nat=Nat(), table=CONNTRACK_COMMIT.number))
