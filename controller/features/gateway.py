"""Between a node's own stack and the pod network, through the gateway port gw0; also the pods' way to the outside.

What a pod sends to an address outside of the cluster goes to the node's stack, whose kernel routes it out of br-phy's
local port; `features.uplink` translates it there.
"""

from collections.abc import Iterator

from controller.features.common import BridgeFlow, Maker, node_owner
from controller.features.pods import arp_answer
from controller.openflow.actions import SetField, load
from controller.openflow.fields import ARP, ARP_OP, ARP_TPA, ETH_DST, ETH_SRC, IN_PORT, IP, IPV4_DST
from controller.openflow.flow import Category
from controller.pipeline import (
    ARP_RESPONDER,
    ARP_SPOOF_GUARD,
    CLASSIFIER,
    DESTINATION,
    L3_DEC_TTL,
    L3_FORWARD,
    OUTPUT_PORT,
    SOURCE,
    Place,
    Priority,
    goto,
)
from kubinet.addressing import GATEWAY_PORT, VIRTUAL_MAC
from kubinet.state import ClusterState, Node


def flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """Node to pods, pods to node, pods to the outside."""
    make = Maker(node_owner(node), Category.GATEWAY)
    port = IN_PORT(GATEWAY_PORT)
    to_gateway = (
        SetField(ETH_SRC(VIRTUAL_MAC)),
        SetField(ETH_DST(node.pod_gateway_mac)),
        load(DESTINATION, Place.GATEWAY),
        load(OUTPUT_PORT, GATEWAY_PORT),
        goto(L3_DEC_TTL),
    )
    yield make(CLASSIFIER, Priority.NORMAL, (port, IP), load(SOURCE, Place.GATEWAY), goto(L3_FORWARD))
    yield make(ARP_SPOOF_GUARD, Priority.NORMAL, (port, ARP), goto(ARP_RESPONDER))
    yield make(ARP_RESPONDER, Priority.SPECIAL, (port, ARP, ARP_TPA(node.pod_gateway)))
    # The kernel's route for the whole pod network is on-link, so it asks for pods of other nodes too.
    yield make(ARP_RESPONDER, Priority.POD, (port, ARP, ARP_OP(1), ARP_TPA(state.network.pod_cidr)), *arp_answer())
    yield make(L3_FORWARD, Priority.SPECIAL, (IP, IPV4_DST(node.pod_gateway)), *to_gateway)
    yield make(L3_FORWARD, Priority.GUARD, (IP, SOURCE(Place.POD)), *to_gateway)
