"""All bridges of a cluster: gives each its desired flows and says what is realised. Knows no API server."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller import turns
from controller.compile import Compiler, Programs
from controller.complaints import Complaint, not_enforced
from controller.framework import Switch
from controller.generations import Generations, everywhere, published
from controller.openflow.decode import PacketIn, decode
from controller.pipeline import BRIDGES, POLICY_DENY
from controller.policy.meanings import Meaning
from controller.sdn_session import AUDIT_SECONDS, Session
from controller.turns import backends_number
from kubinet.addressing import datapath_id, node_index_and_bridge
from kubinet.state import ClusterState

_LOG = logging.getLogger(__name__)
_PACKET_OUT_XID = 0x4A000000


@dataclass(frozen=True, slots=True)
class Realised:
    """What a node's bridges have acknowledged."""

    generation: int
    """The state generation (of pods) that both bridges realise, and where cluster-wide rules need it all nodes' bridges
    (`generations.everywhere`); 0 before the first."""
    endpoint_generation: int
    """The generation of EndpointSlices that both bridges realise."""
    service_generation: int
    """The generation of Services that both bridges realise."""
    policy_generation: int
    """The generation of policies and namespaces that both bridges realise."""
    topology_generation: int
    """The version of the object `Topology/cluster` that both bridges realise."""
    flows: Mapping[str, int]
    """Number of flows by bridge."""
    groups: int
    """Number of groups."""
    errors: int
    last_error: str


class Controller:
    """The framework's listener. `update` gives it the state; `on_realised` is called when `realised` has news."""

    def __init__(
        self,
        on_realised: Callable[[], None] = lambda: None,
        *,
        on_denied: Callable[[str, PacketIn], None] = lambda _node, _packet: None,
        audit_seconds: float = AUDIT_SECONDS,
    ) -> None:
        """`on_denied`: called with a node's name and a packet that its policies deny, while these are logged."""
        self._on_realised = on_realised
        self._on_denied = on_denied
        self._audit_seconds = audit_seconds
        self._lock = threading.Lock()
        self._sessions: dict[int, Session] = {}
        self._desired: dict[int, tuple[Programs, Generations]] = {}
        self._names: dict[int, str] = {}
        self._compiler = Compiler()
        self._turns = turns.Turns()
        self._failures: dict[str, str] = {}
        self._everywhere = False

    def update(self, state: ClusterState) -> None:
        """Compile the state and have every bridge brought to it. Call from one thread only."""
        begin = time.perf_counter()
        compiled = self._compiler.compile(state)
        self._turns.keep(self._compiler.backends_numbers)
        failures = {}
        for name, flows in compiled.items():
            if isinstance(flows, Exception):
                failures[name] = str(flows)
                if self._failures.get(name) != str(flows):
                    _LOG.error("node '%s': its flows cannot be made: %s", name, flows, exc_info=flows)
        with self._lock:
            self._failures = failures
            self._names = {node.index: name for name, node in state.nodes.items()}
            generations = Generations(
                state.generation,
                state.endpoint_generation,
                state.service_generation,
                state.policy_generation,
                state.topology_generation,
            )
            self._everywhere = everywhere(state.policies.values())
            for index, name in self._names.items():
                flows = compiled[name]
                if not isinstance(flows, Exception):
                    self._desired[index] = (flows, generations)
            for index in self._desired.keys() - self._names.keys():
                del self._desired[index]
            for session in self._sessions.values():
                self._instruct(session)
        _LOG.debug("generation %d compiled in %.1f ms", state.generation, (time.perf_counter() - begin) * 1000)

    def complaints(self, state: ClusterState) -> Iterator[Complaint]:
        """What of Services and policies is not in force as it stands; after `update`, from the same thread."""
        yield from self._compiler.complaints(state)
        for owner, why in self._compiler.policy_failures.items():
            yield from not_enforced(owner, [why])

    def deciders(self) -> Mapping[int, Meaning]:
        """What the numbers stand for that denied packets carry; after `update`, from the same thread."""
        return self._compiler.deciders()

    def realised(self) -> dict[str, Realised]:
        """What each known node realises."""
        with self._lock:
            connected = {name: self._connected(index) for index, name in self._names.items()}
            reached = {name: _reached(sessions) for name, sessions in connected.items()}
            pods = published(
                {name: None if own is None else own.pods for name, own in reached.items()},
                wait_for_all=self._everywhere,
            )
            return {
                name: self._realised(name, sessions, (reached[name] or Generations())._replace(pods=pods[name]))
                for name, sessions in connected.items()
            }

    def _connected(self, index: int) -> list[Session]:
        """The sessions of a node's bridges."""
        sessions = (self._sessions.get(datapath_id(index, bridge)) for bridge in BRIDGES)
        return [session for session in sessions if session is not None]

    def _realised(self, name: str, connected: Sequence[Session], generations: Generations) -> Realised:
        errors = [session.last_error for session in connected if session.last_error]
        return Realised(
            generation=generations.pods,
            endpoint_generation=generations.endpoints,
            service_generation=generations.services,
            policy_generation=generations.policies,
            topology_generation=generations.topology,
            flows={session.bridge: session.flows for session in connected},
            groups=sum(session.groups for session in connected),
            errors=sum(session.errors for session in connected),
            last_error=self._failures.get(name) or (errors[-1] if errors else ""),
        )

    def _instruct(self, session: Session) -> None:
        desired = self._desired.get(session.node_index)
        if desired is not None:
            session.want(desired[0][session.bridge], desired[1])

    # The framework's calls.

    def connected(self, switch: Switch) -> None:
        """A bridge is there: give it its flows."""
        try:
            index, bridge = node_index_and_bridge(switch.id)
        except KeyError:
            _LOG.error("switch with datapath id %#x is none of this cluster's bridges; it gets no flows", switch.id)
            return
        _LOG.info("%s of node %d is connected", bridge, index)
        session = Session(switch, self._on_realised, audit_seconds=self._audit_seconds)
        with self._lock:
            before = self._sessions.get(switch.id)
            self._sessions[switch.id] = session
            self._instruct(session)
        if before is not None:
            before.end()
        session.start()

    def received(self, switch: Switch, data: bytes) -> None:
        """A bridge answers."""
        with self._lock:
            session = self._sessions.get(switch.id)
        answer = decode(data)
        if session is None or answer is None or not session.serves(switch):
            return
        if isinstance(answer, PacketIn) and answer.table == POLICY_DENY.number:
            self._on_denied(self._names.get(session.node_index, ""), answer)
        elif isinstance(answer, PacketIn):
            self._choose(switch, session, answer)
        else:
            session.received(answer)

    def _choose(self, switch: Switch, session: Session, packet: PacketIn) -> None:
        """A Service wants the controller to choose an endpoint; a set that is gone by now drops the packet."""
        backends = self._compiler.backends(self._names.get(session.node_index, ""), backends_number(packet))
        if backends is not None:
            switch.send(turns.answer(packet, self._turns.next(backends), _PACKET_OUT_XID))

    def disconnected(self, switch: Switch) -> None:
        """A bridge's connection ended; it keeps its flows and goes on forwarding."""
        with self._lock:
            session = self._sessions.get(switch.id)
            if session is None or not session.serves(switch):
                return
            del self._sessions[switch.id]
        _LOG.info("%s is disconnected", session)
        session.end()
        self._on_realised()


def _reached(sessions: Sequence[Session]) -> Generations | None:
    """What all bridges of a node have acknowledged; None while one is not connected."""
    if len(sessions) < len(BRIDGES):
        return None
    return Generations(*map(min, zip(*(session.realised for session in sessions), strict=True)))
