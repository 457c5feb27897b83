"""A packet's stay at one node's bridges: each pass asked of Open vSwitch, connection tracking followed in between."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final, TypeAlias
from zlib import crc32

from controller.openflow.fields import CONTROLLER
from controller.pipeline import CONNTRACK, L3_FORWARD, POLICY_ACCEPT, POLICY_DENY
from controller.registers import BACKENDS, CHOSEN, CT_BLOCKED, ENDPOINT_ADDRESS, ENDPOINT_PORT, SOURCE, Zone
from controller.walk import packet as packets
from controller.walk.connections import Connections
from controller.walk.datapath import Hash, Recirculate, Track
from controller.walk.exits import exits
from controller.walk.hops import Exit, Meeting, Pass, SwitchHop
from controller.walk.packet import Packet, Seen, Tunnel, WalkError
from controller.walk.parse import Section, Step, parse
from controller.walk.tracer import Tracer, as_received, resumed
from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_PATCH_PORT
from kubinet.state import Endpoint

_PASS_LIMIT: Final = 32
_HASHES: Final = 1024
"""How many hashes are tried for a wanted endpoint: a group has at most 256 slots."""

EndpointKey: TypeAlias = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class Options:
    """How a packet is followed through a node's bridges."""

    wanted: EndpointKey | None = None
    """The endpoint that a hashed group is to choose, where it may."""
    before_policies: bool = False
    """What policies deny goes on as if they had accepted it: how a connection was made before they came."""
    choose: Callable[[str, int], Endpoint | None] = lambda _node, _backends: None
    """The controller's choice for a node and a set of endpoints (round-robin)."""


@dataclass(frozen=True, slots=True)
class _Leg:
    """A pass that is still to be asked about."""

    bridge: str
    seen: Seen
    table: int | None = None
    meeting: Meeting | None = None
    outer: IPv4Address | None = None
    """The tunnel's far end that flows have set."""
    chosen: Endpoint | None = None


class Passage:
    """Takes packets through bridges; the connections that they make are kept in `connections`."""

    def __init__(self, tracer: Tracer, connections: Connections, options: Options) -> None:
        self._tracer = tracer
        self._connections = connections
        self._options = options

    def through(self, node: str, bridge: str, seen: Seen) -> SwitchHop:
        """In at a port, until it leaves or is dropped; WalkError for what the walk cannot follow."""
        waiting = deque([_Leg(bridge, seen)])
        passes: list[Pass] = []
        left: list[Exit] = []
        while waiting:
            leg = waiting.popleft()
            sections, leg = self._ask(node, leg)
            section = sections[0]
            done = Pass(leg.seen, section.steps, leg.table, leg.meeting, section.trouble, leg.chosen)
            passes.append(done)
            if len(passes) > _PASS_LIMIT:
                raise WalkError(f"node '{node}': {seen.packet} goes round in its bridges")
            if section.trouble:
                continue
            if self._options.before_policies and denied(section.steps):
                waiting.append(_past_policies(leg, section))
                continue
            waiting.extend(self._onward(node, leg, sections, seen.tunnel))
            left.extend(exits(section, leg.seen.in_port))
        return SwitchHop(node, bridge, seen.in_port, seen.packet, tuple(passes), tuple(left))

    def _ask(self, node: str, leg: _Leg) -> tuple[tuple[Section, ...], _Leg]:
        """Open vSwitch's answer; once more with a hash where a group needs one to choose."""
        sections = parse(self._tracer.trace(node, _words(leg)))
        if not any(isinstance(action, Hash) for action in sections[0].datapath):
            return sections, leg
        start = 1 + _hash_of(leg.seen.packet)
        for number in range(start, start + _HASHES):
            hashed = replace(leg, seen=replace(leg.seen, hashed=number))
            sections = parse(self._tracer.trace(node, _words(hashed)))
            if self._options.wanted in (None, _endpoint(sections)):
                return sections, hashed
        address, port = self._options.wanted or ("", 0)
        raise WalkError(f"node '{node}': its group never chooses the endpoint {address}:{port}")

    def _onward(self, node: str, leg: _Leg, sections: tuple[Section, ...], came_by: Tunnel | None) -> Iterator[_Leg]:
        section = sections[0]
        resumes = [(step.bridge, table) for step in section.steps for table in step.resumes_at]
        by_number = {one.recirculation: one for one in sections[1:]}
        actions = section.datapath
        for position, action in enumerate(actions):
            if not isinstance(action, Track):
                continue
            following = actions[position + 1] if position + 1 < len(actions) else None
            if not isinstance(following, Recirculate):
                self._connections.track(node, action, leg.seen.packet)
                continue
            again = by_number.get(following.number)
            if again is None or not resumes:
                raise WalkError(f"node '{node}': Open vSwitch does not say where recirc({following.number:#x}) goes on")
            bridge, table = resumes.pop(0)
            seen = packets.parse(again.flow)
            before = _before(again, seen.packet)
            mark = seen.read(SOURCE) if action.zone == Zone.MAIN else 0
            after, tracked = self._connections.track(node, action, before, mark)
            outer = seen.tunnel.destination if seen.tunnel is not None and seen.tunnel != came_by else None
            resumed_ = replace(seen.resumed(after, tracked), tunnel=came_by, hashed=0)
            yield _Leg(bridge, resumed_, table, Meeting(action, tracked, before, after), outer)
        if any(_asks_controller(step) for step in section.steps):
            yield self._asked_controller(node, leg, section)

    def _asked_controller(self, node: str, leg: _Leg, section: Section) -> _Leg:
        """As `controller.turns` answers."""
        end = packets.parse(section.final)
        endpoint = self._options.choose(node, end.read(BACKENDS))
        if endpoint is None:
            raise WalkError(f"node '{node}': the controller is asked for an endpoint of a Service that is gone")
        port = CONTROLLER if end.in_port == UPLINK_PATCH_PORT else end.in_port
        chosen = CHOSEN(1).value | ENDPOINT_PORT(endpoint.port).value
        registers = {**end.registers, ENDPOINT_ADDRESS.field.number: int(endpoint.address), CHOSEN.field.number: chosen}
        seen = Seen(leg.seen.packet, port, registers, tunnel=leg.seen.tunnel)
        return _Leg(INTEGRATION_BRIDGE, seen, CONNTRACK.number, chosen=endpoint)


def _asks_controller(step: Step) -> bool:
    """Whether the controller has to answer; what policies deny it is only told."""
    told = (step.bridge, step.number) == (POLICY_DENY.bridge, POLICY_DENY.number)
    return not told and any(action.startswith("controller(") for action in step.actions)


def _words(leg: _Leg) -> list[str]:
    if leg.table is None:
        return as_received(leg.bridge, leg.seen.text())
    return resumed(leg.bridge, leg.seen.text(), leg.table, str(leg.outer) if leg.outer is not None else None)


def _hash_of(packet: Packet) -> int:
    """Some hash of the packet's addresses and ports, the same every time. The datapath's own cannot be asked for."""
    return crc32(str(packet).encode()) & 0xFFFF


def _endpoint(sections: tuple[Section, ...]) -> EndpointKey | None:
    """The endpoint that the pipeline had chosen when the first section ended."""
    if len(sections) == 1:
        return None
    seen = packets.parse(sections[1].flow)
    return IPv4Address(seen.read(ENDPOINT_ADDRESS)), seen.read(ENDPOINT_PORT)


def _before(section: Section, packet: Packet) -> Packet:
    """The packet without the translation that Open vSwitch assumes."""
    if not section.before_translation:
        return packet
    values = dict(word.partition("=")[::2] for word in section.before_translation.split(","))
    moved = replace(packet, source=IPv4Address(values["nw_src"]), destination=IPv4Address(values["nw_dst"]))
    if packet.protocol is None:
        return moved
    return replace(moved, source_port=int(values["tp_src"]), destination_port=int(values["tp_dst"]))


def denied(steps: tuple[Step, ...]) -> bool:
    """Whether the packet ended as one that a policy denies."""
    return bool(steps) and (steps[-1].bridge, steps[-1].number) == (POLICY_DENY.bridge, POLICY_DENY.number)


def _past_policies(leg: _Leg, section: Section) -> _Leg:
    """Where the packet would be if its policies had accepted it."""
    end = packets.parse(section.final)
    before = [step.number for step in section.steps if step.number != POLICY_DENY.number]
    table = POLICY_ACCEPT if before and before[-1] > L3_FORWARD.number else L3_FORWARD
    tracked = leg.seen.tracked
    if tracked is not None:
        tracked = replace(tracked, mark=tracked.mark & ~CT_BLOCKED.mask)
    outer = end.tunnel.destination if end.tunnel is not None and end.tunnel != leg.seen.tunnel else None
    return _Leg(leg.bridge, replace(end, tracked=tracked, tunnel=leg.seen.tunnel), table.number, None, outer)
