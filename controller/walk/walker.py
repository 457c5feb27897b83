"""A packet's whole way, node by node, and its answer's way back: what the installed flows do, whoever wrote them.

Bridges are asked (`ofproto/trace`); the nodes' kernels and the underlay between them are as the agents configure them.
"""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from controller.registers import CT_BLOCKED, Zone
from controller.walk import packet as packets
from controller.walk.choosing import Turn
from controller.walk.connections import Connections
from controller.walk.hops import Journey, SwitchHop, Walk
from controller.walk.packet import WalkError
from controller.walk.passage import Options, Passage
from controller.walk.question import Question
from controller.walk.tracer import Tracer
from controller.walk.way import Way
from kubinet.state import ClusterState, Datapath
from kubinet.transport import Protocol

_SOURCE_PORTS: Final = 256
"""How many of a client's ports are tried for a wanted endpoint."""


class Walker:
    """Asks the bridges of a cluster, as it is at the moment of the question."""

    def __init__(self, state: ClusterState, tracer: Tracer) -> None:
        self._state = state
        self._tracer = tracer

    def journey(self, question: Question) -> Journey:
        """A request's way and its answer's; WalkError for what cannot be followed."""
        if question.endpoint is None:
            return self._journey(question)
        failure: WalkError | None = None
        for port in range(question.source_port, question.source_port + _SOURCE_PORTS):
            try:
                made = self._journey(replace(question, source_port=port))
            except WalkError as error:
                failure = error
                break
            if reached(made.request) == question.endpoint:
                return made
        address, number = question.endpoint
        raise failure or WalkError(f"{question.destination}:{question.port} does not lead to {address}:{number}")

    def _journey(self, question: Question) -> Journey:
        blind = {Protocol.SCTP} if self._state.network.datapath is not Datapath.SYSTEM else set()
        connections = Connections(port_blind=frozenset(blind))
        if not question.established:
            way = self._way(question, connections, before_policies=False)
            request = way.request(packets.SYN)
            return Journey(request, way.reply(request, packets.SYN_ACK))
        before = self._way(question, connections, before_policies=True)
        made = before.request(packets.SYN)
        before.reply(made, packets.SYN_ACK)
        connections.settle()
        connections.assume_established = True
        connections.mark(Zone.MAIN, CT_BLOCKED.mask if question.blocked else 0, CT_BLOCKED.mask)
        way = self._way(question, connections, before_policies=False)
        request = way.request(packets.ACK)
        # Where the request does not arrive any more, the other side still sends.
        return Journey(request, way.reply(request if request.outcome.delivered else made, packets.ACK))

    def _way(self, question: Question, connections: Connections, *, before_policies: bool) -> Way:
        turn = Turn(self._state, question.endpoint)
        options = Options(wanted=question.endpoint, before_policies=before_policies, choose=turn)
        return Way(self._state, Passage(self._tracer, connections, options), question)


def reached(walk: Walk) -> tuple[IPv4Address, int]:
    """The endpoint that the packet had become one to, however far it came."""
    last = walk.arrived
    for hop in walk.hops:
        if isinstance(hop, SwitchHop):
            for part in hop.passes:
                if part.meeting is not None and part.meeting.after.destination != part.meeting.before.destination:
                    return part.meeting.after.destination, part.meeting.after.destination_port
    return last.destination, last.destination_port
