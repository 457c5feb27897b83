"""A whole journey told: stage by stage, table by table. Pure; `kubinet trace` prints it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from controller.walk.hops import Hop, Journey, StackHop, StackTurn, SwitchHop, UnderlayHop, Walk
from controller.walk.packet import Packet, protocol_word
from controller.walk.parse import Step
from controller.walk.words import forwarding, judging, serving, uplink
from controller.walk.words.endings import Verdict, verdict
from controller.walk.words.moment import Moment
from controller.walk.words.names import Names, socket
from kubinet.addressing import GATEWAY_PORT, INTEGRATION_BRIDGE, TUNNEL_PORT, UPLINK_BRIDGE, UPLINK_PATCH_PORT

_WORDS: Final[dict[str, Callable[[Moment], str]]] = {
    "Classifier": forwarding.classifier,
    "SpoofGuard": forwarding.spoof_guard,
    "UnSnat": forwarding.unsnat,
    "ConntrackState": forwarding.connection_state,
    "ServiceLB": serving.service_lb,
    "SessionAffinity": serving.affinity,
    "EndpointChoice": serving.endpoint_choice,
    "EndpointSlot": serving.endpoint_slot,
    "AffinityLearn": serving.affinity_learn,
    "EndpointDNAT": serving.endpoint_dnat,
    "EgressEntry": judging.egress_entry,
    "IngressEntry": judging.ingress_entry,
    **dict.fromkeys(judging.TIERS, judging.tier),
    "L3Forward": forwarding.l3_forward,
    "L3DecTTL": forwarding.l3_dec_ttl,
    "PolicyAccept": judging.policy_accept,
    "PolicyDeny": judging.policy_deny,
    "Snat": forwarding.snat,
    "ConntrackCommit": forwarding.conntrack_commit,
    "Output": forwarding.output,
    "Uplink": uplink.uplink,
    "UplinkOutput": uplink.uplink_output,
    "UplinkService": uplink.uplink_service,
    "UplinkReturn": uplink.uplink_return,
}
"""What a table's step means, by the table's name; tables without words only hand packets on."""


_TELL_TRANSLATION: Final = frozenset({"EndpointDNAT", "ServiceLB", "Snat", "ConntrackCommit", "Uplink"})
"""Tables whose words say what their connection tracking has done."""


@dataclass(frozen=True, slots=True)
class Line:
    """One table: what it meant for the packet, and whose flow it was."""

    step: Step
    text: str
    """Empty: it only handed the packet on."""
    owner: str
    """`Kind/namespace/name`; empty for a flow that is not Kubinet's."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What happened between tables: connection tracking in a zone, or the controller's choice (zone None)."""

    text: str
    zone: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One hop."""

    hop: Hop
    title: str
    lines: tuple[Line | Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """One packet's way."""

    walk: Walk
    title: str
    stages: tuple[Stage, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Story:
    """A request and its answer."""

    request: Account
    reply: Account | None
    delivered: bool


def tell(journey: Journey, names: Names, meanings: Mapping[int, str] | None = None) -> Story:
    """The journey in words; `meanings`: of policies' rules by their numbers."""
    known = meanings or {}
    request = _account(journey.request, names, known)
    reply = _account(journey.reply, names, known) if journey.reply is not None else None
    return Story(request, reply, journey.delivered)


def _account(walk: Walk, names: Names, meanings: Mapping[int, str]) -> Account:
    moments = {number: list(_moments(hop, names, meanings)) for number, hop in enumerate(walk.hops)}
    stages = tuple(_stage(hop, names, moments[number]) for number, hop in enumerate(walk.hops))
    last = next((group[-1] for group in reversed(moments.values()) if group), None)
    packet = walk.packet
    title = f"{protocol_word(packet.protocol).upper()} from {_end(names, packet, source=True)}"
    title += f" to {_end(names, packet, source=False)}"
    return Account(walk, title, stages, verdict(walk, names, last))


def _end(names: Names, packet: Packet, *, source: bool) -> str:
    address = packet.source if source else packet.destination
    who, node = names.who(address), names.node(address)
    served = None
    if node is not None and not source:
        served = names.served(node, address, packet.destination_port, packet.protocol)
    if served is not None:
        who = f"Service {served.service.key} at {who}"
    there = socket(packet, source=source)
    return f"{who} ({there})" if who else there


def _moments(hop: Hop, names: Names, meanings: Mapping[int, str]) -> Iterator[Moment]:
    if not isinstance(hop, SwitchHop):
        return
    for number, part in enumerate(hop.passes):
        following = hop.passes[number + 1] if number + 1 < len(hop.passes) else None
        for at in range(len(part.steps)):
            last = at == len(part.steps) - 1
            yield Moment(names, meanings, hop, part, at, following if last else None)


def _stage(hop: Hop, names: Names, moments: list[Moment]) -> Stage:
    if isinstance(hop, StackHop):
        return Stage(hop, _stack_words(hop))
    if isinstance(hop, UnderlayHop):
        return Stage(hop, _underlay_words(hop, names))
    return Stage(hop, _switch_words(hop, names), tuple(_lines(hop, moments)))


def _lines(hop: SwitchHop, moments: list[Moment]) -> Iterator[Line | Remark]:
    told = False
    for moment in moments:
        if moment.at == 0 and moment.part.chosen is not None:
            yield Remark(serving.controller_choice(moment.part.chosen, moment.names))
        if moment.at == 0 and moment.part.meeting is not None and not told:
            yield Remark(forwarding.met(moment.part.meeting, moment.names), moment.part.meeting.tracked.zone)
        table = moment.step.table
        if _is_outer(hop, moment):
            text = "the tunnel's packet goes out to the underlay"
        else:
            text = _WORDS[table](moment) if table in _WORDS else ""
        yield Line(moment.step, text, moment.owner)
        told = table in _TELL_TRANSLATION


def _is_outer(hop: SwitchHop, moment: Moment) -> bool:
    """Whether the step is of the packet that the tunnel has made: on br-phy, after br-int's output."""
    before = {step.bridge for step in moment.part.steps[: moment.at]}
    tunnelled = any(left.outer is not None for left in hop.exits)
    return tunnelled and moment.step.bridge == UPLINK_BRIDGE and INTEGRATION_BRIDGE in before


def _switch_words(hop: SwitchHop, names: Names) -> str:
    node = names.state.nodes[hop.node]
    if hop.bridge == UPLINK_BRIDGE:
        came_by = "the underlay" if hop.port == 1 else "the node's own stack"
    else:
        pod = names.pod_at(node, hop.port)
        known = {TUNNEL_PORT: "the tunnel", GATEWAY_PORT: "the node's own stack", UPLINK_PATCH_PORT: "br-phy"}
        came_by = f"pod {pod.key}" if pod is not None else known.get(hop.port, f"port {hop.port}")
    return f"Node {hop.node}, {hop.bridge}, from {came_by}"


def _stack_words(hop: StackHop) -> str:
    match hop.turn:
        case StackTurn.SENDS:
            what = f"sends through {hop.device}"
        case StackTurn.FORWARDS:
            what = f"routes {hop.packet.destination} to {hop.device}"
        case StackTurn.TAKES:
            what = f"has the address {hop.packet.destination}"
        case StackTurn.REFUSES:
            what = f"refuses: nothing listens at {hop.packet.destination} port {hop.packet.destination_port}"
        case StackTurn.DROPS:
            what = f"drops: {hop.why}"
    return f"Node {hop.node}, its own stack {what}"


def _underlay_words(hop: UnderlayHop, names: Names) -> str:
    ends = [_place_words(end, names) for end in (hop.source, hop.destination)]
    words = f"Underlay, from {ends[0]} to {ends[1]}"
    outer = hop.outer
    if outer is None:
        return words
    source = f"{outer.source} to " if outer.source is not None else "to "
    return f"{words} in a tunnel: outer UDP {source}{outer.destination}:{outer.port}"


def _place_words(place: str, names: Names) -> str:
    """A node by its name, others by their address."""
    return f"node {place}" if place in names.state.nodes else names.address(IPv4Address(place))
