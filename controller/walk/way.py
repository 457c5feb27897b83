"""One packet's way from place to place, and its answer's: bridges, nodes' kernels, the underlay."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from controller.features.uplink import TUNNEL_UDP_PORT
from controller.openflow.fields import LOCAL
from controller.walk import packet as packets
from controller.walk import stack, underlay
from controller.walk.datapath import Encapsulate
from controller.walk.hops import (
    Ending,
    Exit,
    Hop,
    Outcome,
    Party,
    StackHop,
    StackTurn,
    SwitchHop,
    UnderlayHop,
    Walk,
)
from controller.walk.packet import Packet, Seen, Tunnel, WalkError
from controller.walk.passage import Passage
from controller.walk.question import FromNode, FromPod, Question
from kubinet.addressing import (
    GATEWAY_INTERFACE,
    GATEWAY_PORT,
    INTEGRATION_BRIDGE,
    TUNNEL_PORT,
    UNDERLAY_PORT,
    UPLINK_BRIDGE,
    VIRTUAL_MAC,
)
from kubinet.state import ClusterState, Node, Pod
from kubinet.transport import Protocol

_HOP_LIMIT: Final = 32


@dataclass(frozen=True, slots=True)
class _AtSwitch:
    node: Node
    bridge: str
    port: int
    packet: Packet
    tunnel: Tunnel | None = None


@dataclass(frozen=True, slots=True)
class _AtStack:
    node: Node
    packet: Packet
    came_by: str
    """Empty: the node's own packet; `answer`: its own answer."""


@dataclass(frozen=True, slots=True)
class _OnUnderlay:
    sender: Node | None
    """None: an outside host."""
    packet: Packet
    outer: Encapsulate | None = None


_Place: TypeAlias = _AtSwitch | _AtStack | _OnUnderlay
_ANSWER: Final = "answer"
_PORTS_OF_DEVICES: Final = {
    GATEWAY_INTERFACE: (INTEGRATION_BRIDGE, GATEWAY_PORT),
    UPLINK_BRIDGE: (UPLINK_BRIDGE, LOCAL),
}
_DEVICES_OF_PORTS: Final = {place: device for device, place in _PORTS_OF_DEVICES.items()}


class Way:
    """One question's packets."""

    def __init__(self, state: ClusterState, passage: Passage, question: Question) -> None:
        self._state = state
        self._passage = passage
        self._question = question

    def request(self, flags: str) -> Walk:
        """The question's packet; `flags`: TCP's."""
        question, sender = self._question, self._question.sender
        if isinstance(sender, FromPod):
            packet = self._packet(sender.pod.address, flags, sender.pod.mac, VIRTUAL_MAC)
            return self._follow(packet, self._from_pod(sender.pod, packet))
        if isinstance(sender, FromNode):
            address = stack.source_of(self._state, sender.node, question.destination, question.port)
            packet = self._packet(address, flags)
            return self._follow(packet, _AtStack(sender.node, packet, ""))
        packet = self._packet(sender.address, flags)
        return self._follow(packet, _OnUnderlay(None, packet))

    def reply(self, request: Walk, flags: str) -> Walk | None:
        """The receiver's answer, from where the request has arrived; None where nobody answers."""
        outcome, arrived = request.outcome, request.arrived
        if outcome.ending is Ending.REFUSED:
            if arrived.protocol is not Protocol.TCP:
                return None
            flags = "rst|ack"
        elif not outcome.delivered:
            return None
        start: _Place | Outcome
        if outcome.party is Party.POD:
            pod = self._state.pods[outcome.name]
            packet = arrived.answer(pod.mac, VIRTUAL_MAC, flags)
            start = self._from_pod(pod, packet)
        else:
            packet = arrived.answer(arrived.eth_dst, arrived.eth_src, flags)
            node = self._state.nodes.get(outcome.node)
            if outcome.party is Party.OUTSIDE and node is None:
                start = _OnUnderlay(None, packet)
            elif node is not None:
                start = _AtStack(node, packet, _ANSWER if outcome.party is not Party.OUTSIDE else stack.MANAGEMENT)
            else:
                return None
        return self._recognised(request, self._follow(packet, start))

    def _packet(self, source: IPv4Address, flags: str, eth_src: str = "", eth_dst: str = "") -> Packet:
        question = self._question
        ports = (question.source_port, question.port)
        if question.protocol is None:
            ports = (packets.ECHO_REQUEST, 0)
        return Packet(
            eth_src=eth_src or VIRTUAL_MAC,
            eth_dst=eth_dst or VIRTUAL_MAC,
            source=source,
            destination=question.destination,
            protocol=question.protocol,
            source_port=ports[0],
            destination_port=ports[1],
            flags=flags if question.protocol is Protocol.TCP else "",
        )

    def _from_pod(self, pod: Pod, packet: Packet) -> "_AtSwitch | Outcome":
        """At its port; what a pod sends to its own address never leaves it."""
        if packet.destination == pod.address:
            return Outcome(Ending.DELIVERED, Party.POD, pod.key, pod.node)
        node = self._state.nodes[pod.node]
        return _AtSwitch(node, INTEGRATION_BRIDGE, pod.port(node), packet)

    def _recognised(self, request: Walk, reply: Walk) -> Walk:
        """Whether the sender takes the answer for one: from where it has sent to, to where it has sent from."""
        if not reply.outcome.delivered:
            return reply
        sent, back = request.packet, reply.arrived
        if (back.source, back.destination) == (sent.destination, sent.source) and (
            sent.protocol is None or back.ports == (sent.destination_port, sent.source_port)
        ):
            return reply
        why = f"the sender asked {sent.destination} from {sent.source} and does not know this answer: {back}"
        return replace(reply, outcome=Outcome(Ending.DROPPED, node=reply.outcome.node, why=why))

    # From place to place.

    def _follow(self, packet: Packet, start: _Place | Outcome) -> Walk:
        hops: list[Hop] = []
        place = start
        while not isinstance(place, Outcome):
            if len(hops) >= _HOP_LIMIT:
                raise WalkError(f"{packet} goes round: it has passed {_HOP_LIMIT} places")
            hop, place = self._on(place)
            hops.append(hop)
        return Walk(packet, tuple(hops), place)

    def _on(self, place: _Place) -> tuple[Hop, _Place | Outcome]:
        if isinstance(place, _AtSwitch):
            return self._at_switch(place)
        if isinstance(place, _AtStack):
            return self._at_stack(place)
        return self._on_underlay(place)

    def _at_switch(self, place: _AtSwitch) -> tuple[Hop, _Place | Outcome]:
        node = place.node
        seen = Seen(place.packet, place.port, tunnel=place.tunnel)
        hop = self._passage.through(node.name, place.bridge, seen)
        if not hop.exits:
            last = hop.passes[-1]
            step = last.steps[-1] if last.steps else None
            why = last.trouble or "; ".join(step.warnings if step is not None else ())
            return hop, Outcome(Ending.DROPPED, node=node.name, step=step, why=why)
        return hop, self._behind(node, hop, hop.exits[0])

    def _behind(self, node: Node, hop: SwitchHop, left: Exit) -> _Place | Outcome:
        device = _DEVICES_OF_PORTS.get((left.bridge, left.port))
        if device is not None:
            return _AtStack(node, left.packet, device)
        if (left.bridge, left.port) == (UPLINK_BRIDGE, UNDERLAY_PORT):
            return _OnUnderlay(node, left.packet)
        if (left.bridge, left.port) == (INTEGRATION_BRIDGE, TUNNEL_PORT) and left.outer is not None:
            if "routing failed" in left.trouble:
                why = f"the node has no route to the tunnel's end {left.outer.destination}"
                return Outcome(Ending.DROPPED, node=node.name, step=hop.steps[-1], why=why)
            port = TUNNEL_UDP_PORT[self._state.network.overlay]
            return _OnUnderlay(node, left.packet, replace(left.outer, port=left.outer.port or port))
        for pod in self._state.pods.values():
            if pod.node == node.name and (left.bridge, left.port) == (INTEGRATION_BRIDGE, pod.port(node)):
                return Outcome(Ending.DELIVERED, Party.POD, pod.key, node.name)
        why = f"it left through port {left.port} of {left.bridge}, which no pod has"
        return Outcome(Ending.DROPPED, node=node.name, step=hop.steps[-1], why=why)

    def _at_stack(self, place: _AtStack) -> tuple[Hop, _Place | Outcome]:
        node = place.node
        if place.came_by in ("", _ANSWER):
            turn = stack.sends(self._state, node, place.packet, answer=place.came_by == _ANSWER)
        else:
            turn = stack.receives(self._state, node, place.packet, place.came_by)
        hop = StackHop(node.name, turn.packet, turn.turn, turn.device, turn.why)
        if turn.turn is StackTurn.TAKES or turn.device == stack.LOOPBACK:
            return hop, Outcome(Ending.DELIVERED, Party.NODE, node.name, node.name)
        if turn.turn is StackTurn.REFUSES:
            return hop, Outcome(Ending.REFUSED, Party.NODE, node.name, node.name)
        if turn.turn is StackTurn.DROPS:
            return hop, Outcome(Ending.DROPPED, node=node.name, why=turn.why)
        if turn.device == stack.MANAGEMENT:
            return hop, Outcome(Ending.DELIVERED, Party.OUTSIDE, str(turn.packet.destination), node.name)
        bridge, port = _PORTS_OF_DEVICES[turn.device]
        return hop, _AtSwitch(node, bridge, port, turn.packet)

    def _on_underlay(self, place: _OnUnderlay) -> tuple[Hop, _Place | Outcome]:
        state, packet = self._state, place.packet
        node = underlay.receiver(state, packet, place.outer)
        if node is None and place.sender is None:
            node = underlay.announcer(state, packet.destination)
        source = place.sender.name if place.sender is not None else str(packet.source)
        hop = UnderlayHop(source, node.name if node is not None else str(packet.destination), packet, place.outer)
        if node is None:
            if place.sender is not None:
                return hop, Outcome(Ending.DELIVERED, Party.OUTSIDE, str(packet.destination))
            if packet.destination in state.network.service_cidr:
                return hop, Outcome(Ending.DROPPED, why="no router outside of the nodes knows the service CIDR")
            return hop, Outcome(Ending.DROPPED, why=f"no node and no Service has the address {packet.destination}")
        if place.outer is None or place.sender is None:
            arriving = underlay.arriving(node, packet, place.sender)
            return hop, _AtSwitch(node, UPLINK_BRIDGE, UNDERLAY_PORT, arriving)
        return hop, self._decapsulated(node, place.sender, packet, place.outer)

    def _decapsulated(self, node: Node, sender: Node, packet: Packet, outer: Encapsulate) -> _Place | Outcome:
        around = underlay.arriving(node, underlay.encapsulated(sender, outer), sender)
        arrival = self._passage.through(node.name, UPLINK_BRIDGE, Seen(around, UNDERLAY_PORT))
        if [(left.bridge, left.port) for left in arrival.exits] != [(UPLINK_BRIDGE, LOCAL)]:
            step = arrival.steps[-1] if arrival.steps else None
            why = f"the tunnel's packet does not reach the node's address {node.underlay.ip}"
            return Outcome(Ending.DROPPED, node=node.name, step=step, why=why)
        tunnel = Tunnel(around.source, around.destination)
        return _AtSwitch(node, INTEGRATION_BRIDGE, TUNNEL_PORT, packet, tunnel)
