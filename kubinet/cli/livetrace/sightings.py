"""Where a predicted packet passes an interface that can be captured on, and how it looks there. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.openflow.fields import LOCAL
from controller.registers import SNAT_PORTS
from controller.walk.hops import StackHop, StackTurn, SwitchHop, UnderlayHop, Walk
from controller.walk.packet import Packet
from kubinet.addressing import (
    GATEWAY_INTERFACE,
    GATEWAY_PORT,
    INTEGRATION_BRIDGE,
    TUNNEL_PORT,
    UNDERLAY_PORT,
    UPLINK_BRIDGE,
)
from kubinet.frames import Frame
from kubinet.state import ClusterState

_DEVICES = {
    (INTEGRATION_BRIDGE, GATEWAY_PORT): GATEWAY_INTERFACE,
    (UPLINK_BRIDGE, LOCAL): UPLINK_BRIDGE,
    (INTEGRATION_BRIDGE, TUNNEL_PORT): "",
    (UPLINK_BRIDGE, UNDERLAY_PORT): "",
}
"""Interfaces of a node by bridge and port; empty: the one on the underlay."""


@dataclass(frozen=True, slots=True)
class Spot:
    """An interface, in the words of `kubinet capture`."""

    word: str
    """`NODE`, `NODE:INTERFACE`, `pod/NAME` or an outside host."""
    namespace: str = ""

    def __str__(self) -> str:
        return f"pod {self.namespace}/{self.word.removeprefix('pod/')}" if self.namespace else self.word


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet that is expected at a spot."""

    spot: Spot
    packet: Packet
    hop: int
    """Index of the hop that it is at the end of; -1: as it was sent."""

    def fits(self, frame: Frame) -> bool:
        """Whether the frame is this packet, apart from what tells one connection from another."""
        packet = self.packet
        protocol = int(packet.protocol) if packet.protocol is not None else 1
        if (frame.source, frame.destination, frame.protocol) != (packet.source, packet.destination, protocol):
            return False
        pairs = (frame.source_port, packet.source_port), (frame.destination_port, packet.destination_port)
        return all(seen == wanted or _both_translated(seen, wanted) for seen, wanted in pairs)


def sightings(walk: Walk, state: ClusterState, outside: dict[str, str]) -> list[Sighting]:
    """Every spot that the packet passes, in order, once each; `outside`: names of outside hosts by their address."""
    found: list[Sighting] = []
    for sighting in _all(walk, state, outside):
        if not found or found[-1].spot != sighting.spot:
            found.append(sighting)
    return found


def _all(walk: Walk, state: ClusterState, outside: dict[str, str]) -> Iterator[Sighting]:
    for number, hop in enumerate(walk.hops):
        if isinstance(hop, SwitchHop):
            yield from _at(hop.node, hop.bridge, hop.port, hop.packet, number - 1, state)
            for left in hop.exits[:1]:
                yield from _at(hop.node, left.bridge, left.port, left.packet, number, state)
        elif isinstance(hop, UnderlayHop):
            for place in (hop.source, hop.destination):
                spot = Spot(place) if place in state.nodes else Spot(outside[place]) if place in outside else None
                if spot is not None:
                    yield Sighting(spot, hop.packet, number)
        elif isinstance(hop, StackHop) and hop.turn in (StackTurn.SENDS, StackTurn.FORWARDS) and hop.device != "lo":
            yield Sighting(Spot(f"{hop.node}:{hop.device}"), hop.packet, number)


def beyond(walk: Walk, state: ClusterState) -> list[Spot]:
    """Where a dropped packet must not be seen: at the pod that it was sent to, or translated to."""
    if walk.outcome.delivered:
        return []
    addresses = {walk.packet.destination, walk.arrived.destination}
    pods = [pod for pod in state.pods.values() if pod.address in addresses]
    return [Spot(f"pod/{pod.name}", pod.namespace) for pod in pods]


def _at(node: str, bridge: str, port: int, packet: Packet, hop: int, state: ClusterState) -> Iterator[Sighting]:
    device = _DEVICES.get((bridge, port))
    if device is not None:
        yield Sighting(Spot(f"{node}:{device}" if device else node), packet, hop)
        return
    for pod in state.pods.values():
        if pod.node == node and bridge == INTEGRATION_BRIDGE and pod.port(state.nodes[node]) == port:
            yield Sighting(Spot(f"pod/{pod.name}", pod.namespace), packet, hop)


def _both_translated(one: int, other: int) -> bool:
    first, last = SNAT_PORTS
    return first <= one <= last and first <= other <= last
