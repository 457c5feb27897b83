"""Whom the underlay brings a packet to: nodes by their addresses, and whoever announces a Service's address. Pure.

The walk takes routers and links to work; `kubinet link` shows those.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from controller.walk.datapath import Encapsulate
from controller.walk.packet import Packet
from kubinet.services import healthy
from kubinet.state import ClusterState, Node
from kubinet.transport import Protocol

_NEIGHBOUR_MAC: Final = "02:00:00:00:00:ff"
"""Of a neighbour whose address the cluster's state does not know; no flow looks at it."""
_OUTER_PORT: Final = 50000
"""A source port for outer packets: Open vSwitch hashes the inner one into it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The node that a packet arrives at, and how it looks on its underlay interface."""

    node: Node
    packet: Packet


def receiver(state: ClusterState, packet: Packet, outer: Encapsulate | None) -> Node | None:
    """The node that the packet, or the tunnel's packet around it, is brought to; None: it leaves the cluster."""
    destination = outer.destination if outer is not None else packet.destination
    for node in state.nodes.values():
        if destination == node.underlay.ip or destination in node.pod_cidr:
            return node
    return None


def announcer(state: ClusterState, address: IPv4Address) -> Node | None:
    """A node that answers for a Service's external address: the first of those that announce it."""
    services = [service for service in state.services.values() if address in service.external]
    for node in state.nodes.values():
        if any(not service.external_local or healthy(service, node) for service in services):
            return node
    return None


def arriving(node: Node, packet: Packet, sender: Node | None) -> Packet:
    """The packet in front of the node's underlay interface, from a neighbour or the node's router."""
    if sender is not None and sender.underlay.ip in node.underlay.network:
        mac = sender.underlay_mac
    else:
        mac = node.gateway_mac or _NEIGHBOUR_MAC
    return replace(packet, eth_src=mac, eth_dst=node.underlay_mac)


def encapsulated(sender: Node, outer: Encapsulate) -> Packet:
    """The tunnel's own packet."""
    return Packet(
        eth_src=sender.underlay_mac,
        eth_dst=sender.gateway_mac or _NEIGHBOUR_MAC,
        source=outer.source or sender.underlay.ip,
        destination=outer.destination,
        protocol=Protocol.UDP,
        source_port=_OUTER_PORT,
        destination_port=outer.port,
    )
