"""Pods of other nodes: two flows per other node, however many pods it has.

`vxlan` and `geneve`: out of the tunnel port, with the far node's address as the tunnel's destination. `direct`: no
encapsulation; out through br-phy to the far node's MAC address, or to the router's when it is on another subnet.
"""

from collections.abc import Iterator

from controller.features.common import BridgeFlow, Maker, node_owner
from controller.openflow.actions import Action, OutputRegister, SetField, load
from controller.openflow.fields import (
    ETH_DST,
    ETH_SRC,
    IN_PORT,
    IN_PORT_WRITABLE,
    IP,
    IPV4_DST,
    IPV4_SRC,
    TUN_DST,
    TUN_SRC,
)
from controller.openflow.flow import Category
from controller.pipeline import CLASSIFIER, L3_DEC_TTL, L3_FORWARD, OUTPUT, UNSNAT, Priority, goto
from controller.registers import DESTINATION, OUTPUT_PORT, SOURCE, Place
from kubinet.addressing import TUNNEL_PORT, UPLINK_PATCH_PORT, VIRTUAL_MAC
from kubinet.errors import InvalidInputError
from kubinet.state import ClusterState, Node, Overlay


def flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """Routes to all other nodes' pods, and admission of what comes from them."""
    direct = state.network.overlay is Overlay.DIRECT
    if direct:
        yield from _turned_round(node)
    for peer in state.nodes.values():
        if peer.name == node.name:
            continue
        make = Maker(node_owner(peer), Category.OVERLAY)
        if direct:
            came_from = (IN_PORT(UPLINK_PATCH_PORT), IP, IPV4_SRC(peer.pod_cidr))
            source, way = Place.UPLINK, _direct(node, peer)
        else:
            came_from = (IN_PORT(TUNNEL_PORT), IP, TUN_SRC(peer.underlay.ip))
            source, way = Place.TUNNEL, _tunnelled(peer)
        yield make(CLASSIFIER, Priority.OVERRIDE, came_from, load(SOURCE, source), goto(UNSNAT))
        yield make(L3_FORWARD, Priority.NORMAL, (IP, IPV4_DST(peer.pod_cidr)), *way, goto(L3_DEC_TTL))


def _turned_round(node: Node) -> Iterator[BridgeFlow]:
    """Outside clients and other nodes' pods come and go by the same port, and a switch sends nothing back by itself.

    Not by BOUNCE: where the controller chose the endpoint, the packet came in from the controller.
    """
    make = Maker(node_owner(node), Category.OVERLAY)
    for source, destination in ((Place.OUTSIDE, Place.UPLINK), (Place.UPLINK, Place.OUTSIDE)):
        match = (IP, SOURCE(source), DESTINATION(destination))
        yield make(OUTPUT, Priority.SPECIAL, match, SetField(IN_PORT_WRITABLE(0)), OutputRegister(OUTPUT_PORT))


def _tunnelled(peer: Node) -> tuple[Action, ...]:
    return (
        SetField(ETH_SRC(VIRTUAL_MAC)),
        SetField(ETH_DST(VIRTUAL_MAC)),
        SetField(TUN_DST(peer.underlay.ip)),
        load(DESTINATION, Place.TUNNEL),
        load(OUTPUT_PORT, TUNNEL_PORT),
    )


def _direct(node: Node, peer: Node) -> tuple[Action, ...]:
    return (
        SetField(ETH_SRC(node.underlay_mac)),
        SetField(ETH_DST(next_hop_mac(node, peer))),
        load(DESTINATION, Place.UPLINK),
        load(OUTPUT_PORT, UPLINK_PATCH_PORT),
    )


def next_hop_mac(node: Node, peer: Node) -> str:
    """The MAC address that a bare packet to `peer`'s pods is sent to; InvalidInputError when there is no way."""
    if peer.underlay.ip in node.underlay.network:
        return peer.underlay_mac
    if node.gateway_mac is None:
        raise InvalidInputError(
            f"node '{node.name}': overlay 'direct' has no way to node '{peer.name}' at {peer.underlay}, which is on "
            "another subnet, because the node has no router; use overlay 'vxlan' or give its segment a router"
        )
    return node.gateway_mac
