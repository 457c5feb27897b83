"""What a node's kernel does with a packet: its own addresses, and its routes (`agents/node_routes.py`). Pure.

No flow decides here, so the walk says what the agents have configured.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from controller.walk.hops import StackTurn
from controller.walk.packet import Packet, WalkError
from kubinet.addressing import (
    FIRST_NODE_PORT,
    GATEWAY_INTERFACE,
    LAST_NODE_PORT,
    REJECT_ADDRESS,
    STACK_ROUTER,
    UPLINK_BRIDGE,
    VIRTUAL_MAC,
)
from kubinet.services import external_addresses, frontends
from kubinet.state import ClusterState, Node, ServiceProxy

MANAGEMENT: Final = "mgmt"
"""A node's interface of the management network, where the control plane is."""
LOOPBACK: Final = "lo"
_LOCALHOST: Final = IPv4Network("127.0.0.0/8")
_UNKNOWN_MAC: Final = "02:00:00:00:00:ff"
"""Of a neighbour that is no node; no flow looks at it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of the packet, through which interface it goes on, and how it looks there."""

    turn: StackTurn
    packet: Packet
    device: str = ""
    why: str = ""


def source_of(state: ClusterState, node: Node, destination: IPv4Address, port: int) -> IPv4Address:
    """The address that the node's own program has on a connection to a destination."""
    device = _device(state, node, destination, port, own=True)
    inner = destination in (node.underlay.ip, STACK_ROUTER)
    inner = inner or any(destination in cidr for cidr in (state.network.pod_cidr, state.network.service_cidr))
    return node.pod_gateway if device == GATEWAY_INTERFACE and inner else node.underlay.ip


def sends(state: ClusterState, node: Node, packet: Packet, *, answer: bool = False) -> Turn:
    """A packet of the node's own, to a new peer or as an answer."""
    if not answer:
        _only_flows(state, node, packet)
    device = _device(state, node, packet.destination, packet.destination_port, own=not answer)
    return _leaves(node, packet, device, StackTurn.SENDS)


def receives(state: ClusterState, node: Node, packet: Packet, came_by: str) -> Turn:
    """A packet that has come in at `gw0`, br-phy's local port, or `mgmt`."""
    _only_flows(state, node, packet)
    if packet.destination == REJECT_ADDRESS:
        return Turn(StackTurn.REFUSES, packet)
    if packet.destination in (node.underlay.ip, node.pod_gateway) or packet.destination in _LOCALHOST:
        return Turn(StackTurn.TAKES, packet)
    if packet.ttl <= 1:
        return Turn(StackTurn.DROPS, packet, why="its time to live ran out")
    device = _device(state, node, packet.destination, packet.destination_port, own=False)
    if device == came_by == UPLINK_BRIDGE:
        return Turn(StackTurn.DROPS, packet, why=f"{packet.destination} is not on this node")
    return _leaves(node, replace(packet, ttl=packet.ttl - 1), device, StackTurn.FORWARDS)


def _only_flows(state: ClusterState, node: Node, packet: Packet) -> None:
    """WalkError where nftables rules decide: no flow shows what they do."""
    if state.network.services is not ServiceProxy.NFTABLES:
        return
    wanted = (packet.destination, packet.destination_port, packet.protocol)
    for service in state.services.values():
        for port in service.ports:
            for front in frontends(service, port, node):
                if (front.address, front.port, front.protocol) == wanted:
                    raise WalkError(
                        f"{packet}: with `services: nftables` the kernel of node {node.name} chooses an endpoint of "
                        f"Service {service.key}, which no flow shows; ask for an endpoint's own address"
                    )
    if packet.destination in state.network.service_cidr:
        raise WalkError(
            f"{packet}: with `services: nftables` the kernel of node {node.name} decides, which no flow shows: it "
            "refuses ports that a cluster IP's Service has not, and drops what is sent to cluster IPs of no Service"
        )


def _leaves(node: Node, packet: Packet, device: str, turn: StackTurn) -> Turn:
    if not device:
        return Turn(StackTurn.DROPS, packet, why=f"the node has no route to {packet.destination}")
    if device == GATEWAY_INTERFACE:
        packet = replace(packet, eth_src=node.pod_gateway_mac, eth_dst=VIRTUAL_MAC)
    elif device == UPLINK_BRIDGE:
        packet = replace(packet, eth_src=node.underlay_mac, eth_dst=node.gateway_mac or _UNKNOWN_MAC)
    return Turn(turn, packet, device)


def _device(state: ClusterState, node: Node, destination: IPv4Address, port: int, *, own: bool) -> str:
    """The interface of the node's route; `own`: for a connection that the node opens."""
    network = state.network
    sdn = network.services is ServiceProxy.SDN
    if destination == node.underlay.ip:
        node_port = own and sdn and FIRST_NODE_PORT <= port <= LAST_NODE_PORT
        return GATEWAY_INTERFACE if node_port else LOOPBACK
    if destination == node.pod_gateway or destination in _LOCALHOST:
        return LOOPBACK
    inner = (network.pod_cidr, network.service_cidr, network.load_balancer_cidr)
    if destination == STACK_ROUTER or any(destination in cidr for cidr in inner):
        return GATEWAY_INTERFACE
    if sdn and destination in external_addresses(state.services.values()):
        return GATEWAY_INTERFACE
    if destination in network.management_cidr:
        return MANAGEMENT
    if destination in node.underlay.network or node.gateway is not None:
        return UPLINK_BRIDGE
    return ""
