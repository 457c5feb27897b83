"""One real packet, sent from where the question says, and everything that was seen of it."""

import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from controller.registers import SNAT_PORTS
from controller.walk.hops import Journey, Walk
from controller.walk.packet import protocol_word
from controller.walk.question import FromNode, FromOutside, FromPod, Question
from kubinet import capturing
from kubinet.addressing import FIRST_NODE_PORT, LAST_NODE_PORT
from kubinet.cli.livetrace import counters
from kubinet.cli.livetrace.counters import FlowName
from kubinet.cli.livetrace.sightings import Sighting, Spot, beyond, sightings
from kubinet.errors import UsageError
from kubinet.frames import Frame, read
from kubinet.transport import Protocol

if TYPE_CHECKING:
    from controller.walk.tracer import Tracer
    from kubinet.cli.clusterview import View
    from kubinet.cluster import Cluster

_PORTS: Final = (33000, SNAT_PORTS[0])
_SECONDS: Final = 1.5
"""How long frames are waited for; less when all that are expected have come."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen where a packet was expected."""

    sighting: Sighting
    frame: Frame | None
    milliseconds: float = 0
    """After the packet was seen first."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A journey's prediction and what happened."""

    journey: Journey
    identification: int
    request: tuple[Observed, ...]
    reply: tuple[Observed, ...]
    strays: tuple[tuple[Spot, Frame], ...]
    """Where it must not have been."""
    counted: Mapping[FlowName, int]
    """Packets that flows have counted meanwhile, others' too."""

    @property
    def disagreements(self) -> list[str]:
        """Where the packet did otherwise than predicted."""
        said = [f"it was not seen at {one.sighting.spot}" for one in self.request if one.frame is None]
        said += [f"it was seen at {spot}: {frame}" for spot, frame in self.strays]
        step = self.journey.request.outcome.step
        if step is not None and not self.counted.get(counters.name_of(self.journey.request.outcome.node, step)):
            said.append(f"the flow of table {step.table} that is to drop it has counted nothing")
        # A program need not answer a datagram.
        if self.reply and self.journey.request.packet.protocol is not Protocol.UDP:
            said += [f"its answer was not seen at {one.sighting.spot}" for one in self.reply if one.frame is None]
        return said


def check(question: Question) -> None:
    """UsageError for what cannot be sent as one packet."""
    sender = question.sender
    if question.established:
        raise UsageError("--live sends a connection's first packet; leave --established out")
    if question.protocol is Protocol.SCTP:
        raise UsageError("--live sends TCP, UDP and ICMP")
    node_port = FIRST_NODE_PORT <= question.port <= LAST_NODE_PORT
    if isinstance(sender, FromNode) and question.destination == sender.node.underlay.ip and node_port:
        raise UsageError(
            "--live: the kernel routes a node's own node port by its number, which it does not look at here"
        )


def any_port() -> int:
    """A sender's port that no connection of late has had."""
    return random.SystemRandom().randrange(*_PORTS)


def observe(
    cluster: "Cluster", tracer: "Tracer", view: "View", question: Question, journeys: Sequence[Journey]
) -> Observation:
    """Send the packet and watch; `journeys`: for each endpoint that the Service may choose. Says what fits best."""
    state = view.state
    outside = {str(address): name for name, address in view.outside.items()}
    walks = [walk for one in journeys for walk in (one.request, one.reply) if walk is not None]
    expected = {id(walk): sightings(walk, state, outside) for walk in walks}
    forbidden = [spot for one in journeys for spot in beyond(one.request, state)]
    spots = list(dict.fromkeys([one.spot for found in expected.values() for one in found] + forbidden))
    identification = random.SystemRandom().randrange(1, 0x10000)
    bridges = counters.bridges_of(walks)
    places = [
        place
        for spot in spots
        for place in capturing.places_of(cluster, [spot.word], spot.namespace or "default", "ip")
    ]
    with capturing.listening(places) as packets:
        before = counters.packets(cluster, tracer, bridges)
        _send(cluster, view, question, journeys[0].request, identification)
        seen: list[_Seen] = []
        for batch in packets(_SECONDS):
            for one in batch:
                frame = read(one.data)
                if frame is not None:
                    seen.append((spots[one.interface], frame, one.nanoseconds))
            found = _best(journeys, expected, seen, identification)
            if _complete(found, forbidden):
                break
    after = counters.packets(cluster, tracer, bridges)
    counted = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    journey, request, reply = _best(journeys, expected, seen, identification)
    mine = {one.sighting.spot for one in request}
    strays = [
        (spot, frame)
        for spot, frame, _ in seen
        if frame.identification == identification and spot in forbidden and spot not in mine
    ]
    return Observation(journey, identification, tuple(request), tuple(reply), tuple(strays), counted)


_Seen = tuple[Spot, Frame, int]
"""A frame, where it was captured, and when: nanoseconds since the epoch."""
_Fit = tuple[Journey, list[Observed], list[Observed]]


def _best(
    journeys: Sequence[Journey],
    expected: Mapping[int, list[Sighting]],
    seen: list[_Seen],
    identification: int,
) -> _Fit:
    """The journey that most of the frames are of."""
    fits = []
    begin = min((at for _, frame, at in seen if frame.identification == identification), default=0)
    for journey in journeys:
        request = [_look(one, seen, identification, begin) for one in expected[id(journey.request)]]
        back = expected[id(journey.reply)] if journey.reply is not None else []
        fits.append((journey, request, [_look(one, seen, None, begin) for one in back]))
    return max(fits, key=lambda fit: sum(one.frame is not None for one in fit[1]) - len(fit[1]))


def _look(sighting: Sighting, seen: list[_Seen], identification: int | None, begin: int) -> Observed:
    for spot, frame, moment in seen:
        marked = identification is None or frame.identification == identification
        if spot == sighting.spot and marked and sighting.fits(frame):
            return Observed(sighting, frame, (moment - begin) / 1e6)
    return Observed(sighting, None)


def _complete(found: _Fit, forbidden: list[Spot]) -> bool:
    return not forbidden and all(one.frame is not None for one in (*found[1], *found[2]))


def _send(cluster: "Cluster", view: "View", question: Question, walk: Walk, identification: int) -> None:
    packet, sender = walk.packet, question.sender
    asked: dict[str, Any] = {
        "source": str(packet.source),
        "destination": str(packet.destination),
        "protocol": protocol_word(packet.protocol),
        "sourcePort": packet.source_port,
        "destinationPort": packet.destination_port,
        "identification": identification,
    }
    if isinstance(sender, FromPod):
        asked["pod"] = cluster.client.get("Pod", sender.pod.name, sender.pod.namespace)["metadata"]["uid"]
    elif isinstance(sender, FromNode):
        asked["pid"] = cluster.node(sender.node.name).pid
    else:
        asked["pid"] = cluster.outside(_host(view, sender)).pid
    cluster.run([sys.executable, "-m", "agents.marked", json.dumps(asked)])


def _host(view: "View", sender: FromOutside) -> str:
    for name, address in view.outside.items():
        if address == sender.address:
            return name
    raise UsageError(f"--live cannot send from {sender.address}: no outside host has this address")
