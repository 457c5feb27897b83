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
    Field,
)
from controller.openflow.flow import Flow
from controller.pipeline import EGRESS_ENTRY, INGRESS_ENTRY, L3_FORWARD, POLICY_ACCEPT, POLICY_DENY
from controller.registers import DESTINATION, SOURCE, Place
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policy import Party
from kubinet.state import ClusterState
from kubinet.transport import Protocol

_PORT_FIELDS = {Protocol.TCP: TCP_DST, Protocol.UDP: UDP_DST, Protocol.SCTP: SCTP_DST}


@dataclass
class Packet:
    """Fields by name, as numbers; what is missing is 0."""

    fields: dict[Field, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, source: int, destination: int, protocol: int, port: int, *, state: str = "new", mark: int = 0
    ) -> "Packet":
        """A packet of a connection: addresses as numbers; `state` in the words of ct_state."""
        bits = sum(CT_STATES[word] for word in ("trk", *state.split("+")))
        fields = {ETH_TYPE: 0x800, IPV4_SRC: source, IPV4_DST: destination, IP_PROTO: protocol}
        fields |= {CT_STATE: bits, CT_MARK: mark}
        if protocol in set(Protocol):
            fields[_PORT_FIELDS[Protocol(protocol)]] = port
        return cls(fields)

    def from_pod(self, port: int) -> "Packet":
        """It comes from a local pod."""
        self.fields |= {IN_PORT: port, REG0: SOURCE(Place.POD).value}
        return self

    def from_place(self, place: Place) -> "Packet":
        """It comes from elsewhere."""
        self.fields[REG0] = SOURCE(place).value
        return self

    def to_pod(self, port: int) -> "Packet":
        """It is about to go to a local pod."""
        self.fields[REG0] = self.fields.get(REG0, 0) | DESTINATION(Place.POD).value
        self.fields[REG1] = port
        return self

    def matches(self, flow: Flow) -> bool:
        """Whether the flow's match holds; ports of another protocol are no field of the packet."""
        protocol = self.fields.get(IP_PROTO)
        for term in flow.match.terms:
            if term.field in _PORT_FIELDS.values() and _PORT_FIELDS.get(Protocol(protocol or 6)) is not term.field:
                return False
            if self.fields.get(term.field, 0) & term.mask != term.value:
                return False
        return True


class Model:
    """A bridge's flows, by table."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._tables: dict[int, list[Flow]] = {}
        for flow in flows:
            self._tables.setdefault(flow.table, []).append(flow)
        for table in self._tables.values():
            table.sort(key=lambda flow: -flow.priority)

    def run(self, packet: Packet, table: int, ends: Mapping[int, bool]) -> tuple[bool, list[Flow]]:
        """From `table` on until one of `ends` (table: verdict) or the deny table; the flows that it met."""
        met = []
        while table not in ends and table != POLICY_DENY.number:
            flow = self.lookup(packet, table)
            met.append(flow)
            following = None
            for action in flow.actions:
                if isinstance(action, SetField):
                    known = packet.fields.get(action.term.field, 0)
                    packet.fields[action.term.field] = known & ~action.term.mask | action.term.value
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
        flows = self._tables[table]
        priorities = sorted({flow.priority for flow in flows}, reverse=True)
        for priority in priorities:
            level = [flow for flow in flows if flow.priority == priority and packet.matches(flow)]
            clauses: dict[int, set[int]] = {}
            sizes: dict[int, int] = {}
            for flow in level:
                for action in flow.actions:
                    if isinstance(action, Conjunction):
                        clauses.setdefault(action.id, set()).add(action.clause)
                        sizes[action.id] = action.clauses
            whole = [number for number, found in clauses.items() if len(found) == sizes[number]]
            decided = [flow for flow in level if not any(isinstance(action, Conjunction) for action in flow.actions)]
            for number in whole:
                packet.fields[CONJ_ID] = number
                decided += [
                    flow for flow in flows if CONJ_ID in {t.field for t in flow.match.terms} and packet.matches(flow)
                ]
            packet.fields.pop(CONJ_ID, None)
            verdicts = {tuple(a for a in flow.actions if isinstance(a, Goto | Ct)) for flow in decided}
            assert len(verdicts) <= 1, f"flows of one priority disagree: {[flow.to_text() for flow in decided]}"
            if decided:
                return decided[0]
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
