"""Services by the node's kernel (`services: nftables`): br-int only brings packets there and back.

What pods send to Services' addresses goes through gw0 with the pod's address; the kernel translates it and sends it
back through gw0 to the endpoint. Replies of such connections find their way by CT_SOURCE (features.gateway).
"""

from collections.abc import Iterator

from controller.features.common import BridgeFlow, Maker, node_owner
from controller.features.gateway import to_gateway
from controller.openflow.fields import IP, IPV4_DST
from controller.openflow.flow import Category
from controller.pipeline import L3_FORWARD, Priority
from controller.registers import SOURCE, Place
from kubinet.services import external_addresses
from kubinet.state import ClusterState, Node


def flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """Service addresses are behind the gateway for the node's pods."""
    make = Maker(node_owner(node), Category.SERVICES)
    networks = (state.network.service_cidr, state.network.load_balancer_cidr)
    known = (*networks, state.network.pod_cidr)
    for network in networks:
        yield make(L3_FORWARD, Priority.NORMAL, (IP, SOURCE(Place.POD), IPV4_DST(network)), *to_gateway(node))
    for address in external_addresses(state.services.values()):
        if not any(address in network for network in known):
            yield make(L3_FORWARD, Priority.NORMAL, (IP, SOURCE(Place.POD), IPV4_DST(address)), *to_gateway(node))
