"""A small interpreter of flows: what the policies' tables do with a packet, by the rules of ovs-fields(7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller import compile as compiler
from controller.openflow.actions import Conjunction, Ct, Goto, SetField
from controller.openflow.fields import (
    CONJ_ID,
    CT_MARK,
    CT_STATE,
    CT_STATES,
    ETH_TYPE,
    IN_PORT,
    IP_PROTO,
    IPV4_DST,
    IPV4_SRC,
    REG0,
    REG1,
    SCTP_DST,
    TCP_DST,
    UDP_DST,
)
from controller.openflow.flow import Flow
from controller.pipeline import EGRESS_ENTRY, INGRESS_ENTRY, L3_FORWARD, POLICY_ACCEPT, POLICY_DENY
from controller.registers import DESTINATION, SOURCE, Place
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policy import Party
from kubinet.state import ClusterState
from kubinet.transport import Protocol

_PORT_FIELDS = {Protocol.TCP: TCP_DST, Protocol.UDP: UDP_DST, Protocol.SCTP: SCTP_DST}
_PROTOCOLS = {field.name: int(protocol) for protocol, field in _PORT_FIELDS.items()}
"""The protocol whose packets alone have the field."""


@dataclass
class Packet:
    """Fields by name, as numbers; what is missing is 0."""

    fields: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, source: int, destination: int, protocol: int, port: int, *, state: str = "new", mark: int = 0
    ) -> "Packet":
        """A packet of a connection: addresses as numbers; `state` in the words of ct_state."""
        bits = CT_STATES["trk"]
        for word in state.split("+"):
            bits |= CT_STATES[word]
        fields = {ETH_TYPE.name: 0x800, IPV4_SRC.name: source, IPV4_DST.name: destination, IP_PROTO.name: protocol}
        fields |= {CT_STATE.name: bits, CT_MARK.name: mark}
        for name, number in _PROTOCOLS.items():
            if number == protocol:
                fields[name] = port
        return cls(fields)

    def from_pod(self, port: int) -> "Packet":
        """It comes from a local pod."""
        self.fields |= {IN_PORT.name: port, REG0.name: SOURCE(Place.POD).value}
        return self

    def from_place(self, place: Place) -> "Packet":
        """It comes from elsewhere."""
        self.fields[REG0.name] = SOURCE(place).value
        return self

    def to_pod(self, port: int) -> "Packet":
        """It is about to go to a local pod."""
        self.fields[REG0.name] = self.fields.get(REG0.name, 0) | DESTINATION(Place.POD).value
        self.fields[REG1.name] = port
        return self


class _Row:
    """A flow, and what a lookup asks of it, worked out once."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.terms = [(term.field.name, term.mask, term.value) for term in flow.match.terms]
        self.protocols = {_PROTOCOLS[name] for name, _, _ in self.terms if name in _PROTOCOLS}
        self.clauses = [action for action in flow.actions if isinstance(action, Conjunction)]
        self.verdict = tuple(action for action in flow.actions if isinstance(action, Goto | Ct))

    def matches(self, fields: dict[str, int]) -> bool:
        """Whether the flow's match holds; ports of another protocol are no field of the packet."""
        for name, mask, value in self.terms:
            if fields.get(name, 0) & mask != value:
                return False
        return not self.protocols or self.protocols == {fields.get(IP_PROTO.name, int(Protocol.TCP))}


class _Table:
    """A table's flows: by priority, the highest first, and those that match on a conjunction's number."""

    def __init__(self) -> None:
        self.levels: list[tuple[int, list[_Row]]] = []
        self.joined: list[_Row] = []


class Model:
    """A bridge's flows, by table."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._tables: dict[int, _Table] = {}
        rows = sorted(map(_Row, flows), key=lambda row: -row.flow.priority)
        for row in rows:
            table = self._tables.setdefault(row.flow.table, _Table())
            if not table.levels or table.levels[-1][0] != row.flow.priority:
                table.levels.append((row.flow.priority, []))
            table.levels[-1][1].append(row)
            if any(name == CONJ_ID.name for name, _, _ in row.terms):
                table.joined.append(row)

    def run(self, packet: Packet, table: int, ends: Mapping[int, bool]) -> tuple[bool, list[Flow]]:
        """From `table` on until one of `ends` (table: verdict) or the deny table; the flows that it met."""
        met = []
        while table not in ends and table != POLICY_DENY.number:
            flow = self.lookup(packet, table)
            met.append(flow)
            following = None
            for action in flow.actions:
                if isinstance(action, SetField):
                    name, mask = action.term.field.name, action.term.mask
                    packet.fields[name] = packet.fields.get(name, 0) & ~mask | action.term.value
                elif isinstance(action, Goto):
                    following = action.table
                else:
                    raise AssertionError(f"{flow.to_text()}: the model does not know {action}")
            if following is None:
                return False, met  # dropped here
            table = following
        return ends.get(table, False), met

    def lookup(self, packet: Packet, table: int) -> Flow:
        """The flow that applies: by priority, conjunctions counting where all their clauses are matched."""
        found, fields = self._tables[table], packet.fields
        for _, rows in found.levels:
            level = [row for row in rows if row.matches(fields)]
            clauses: dict[int, set[int]] = {}
            sizes: dict[int, int] = {}
            for row in level:
                for action in row.clauses:
                    clauses.setdefault(action.id, set()).add(action.clause)
                    sizes[action.id] = action.clauses
            decided = [row for row in level if not row.clauses]
            for number, matched in clauses.items():
                if len(matched) == sizes[number]:
                    joined = {**fields, CONJ_ID.name: number}
                    decided += [row for row in found.joined if row.matches(joined)]
            verdicts = {row.verdict for row in decided}
            assert len(verdicts) <= 1, f"flows of one priority disagree: {[row.flow.to_text() for row in decided]}"
            if decided:
                return decided[0].flow
        raise AssertionError(f"table {table} has no flow for the packet")


def models_of(state: ClusterState) -> dict[str, Model]:
    """br-int of each node."""
    return {
        name: Model(compiler.programs(state, node)[INTEGRATION_BRIDGE].flows()) for name, node in state.nodes.items()
    }


def egress(state: ClusterState, models: dict[str, Model], source: Party, packet: Packet) -> bool:
    """Whether a pod's node lets its packet out."""
    pod = source.pod
    assert pod is not None
    sent = packet.from_pod(pod.port(state.nodes[pod.node]))
    return models[pod.node].run(sent, EGRESS_ENTRY.number, {L3_FORWARD.number: True})[0]


def ingress(state: ClusterState, models: dict[str, Model], to: Party, packet: Packet, source: Party) -> bool:
    """Whether a pod's node lets a packet in to it."""
    pod = to.pod
    assert pod is not None
    here = pod.node in (source.node, source.pod.node if source.pod else "")
    place = Place.TUNNEL
    if source.node:
        place = Place.GATEWAY if here else Place.TUNNEL
    elif source.pod is not None:
        place = Place.POD if here else Place.TUNNEL
    else:
        place = Place.OUTSIDE
    arrived = packet.from_place(place).to_pod(pod.port(state.nodes[pod.node]))
    return models[pod.node].run(arrived, INGRESS_ENTRY.number, {POLICY_ACCEPT.number: True})[0]
