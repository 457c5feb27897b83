"""How a new connection gets one of a Service port's endpoints: the load-balancing algorithms as OpenFlow. Pure.

| algorithm | up to 64 endpoints | more |
| --- | --- | --- |
| random | select group, the datapath's hash of the 5-tuple | slot table of one slot per endpoint |
| hash, source-hash | select group, highest random weight over fields | the same to 512, then a slot table |
| weighted, least-connections | select group with weighted buckets | slot table in proportion |
| maglev | Maglev's slot table | the same |
| round-robin | the controller is asked for each connection | the same |

Session affinity chooses by the client's address and remembers the choice in a learned flow.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Final

from controller.features import slots
from controller.features.common import BridgeFlow, Maker
from controller.openflow.actions import (
    Action,
    HashFields,
    Learn,
    Multipath,
    Resubmit,
    ToController,
    ToGroup,
    load,
)
from controller.openflow.fields import IP, IPV4_SRC, REG7, SCTP_SRC, TCP_SRC, UDP_SRC
from controller.openflow.flow import Bucket, Category, Group, GroupKind, Owner, Selection
from controller.pipeline import (
    AFFINITY_LEARN,
    ENDPOINT_CHOICE,
    ENDPOINT_DNAT,
    ENDPOINT_SLOT,
    SESSION_AFFINITY,
    Priority,
    Table,
    goto,
)
from controller.registers import BACKENDS, ENDPOINT_ADDRESS, ENDPOINT_PORT, LEARNED_COOKIE, SLOT
from kubinet.state import Algorithm, Endpoint
from kubinet.transport import Protocol

HASHED_GROUP_LIMIT: Final = 64
"""Endpoints in a group that selects by the datapath's hash: it has 256 slots, so shares stay within a quarter."""
RENDEZVOUS_LIMIT: Final = 512
"""Endpoints in a group that selects by fields: the whole group is one message of at most 64 KiB."""
LARGEST_SET: Final = 65536
"""Endpoints that one choice can be made from: slot numbers have 16 bits."""
_FEW: Final = 8
_UNLOADED: Final = 1 << 32
"""Weight of an endpoint without connections; one with n of them has an (n + 1)th of it."""
LONGEST_LEARNED_SECONDS: Final = 65535
"""OpenFlow's idle time-outs have 16 bits. A longer session affinity keeps to the client's address alone."""
LEARNED_LIMIT: Final = 4096
"""Clients that a node remembers for one Service; more are served by their address alone.

Else whoever varies its source address fills the table. Open vSwitch counts them one by one for each that it adds.
"""
ROUND_ROBIN: Final = 3
"""First byte of what is sent along with a packet for which the controller is to choose; the set's id follows."""
MAX_SET_ID: Final = 0xFFFFFEFF
"""Sets of endpoints are groups, and those have ids below OFPG_MAX (OpenFlow 1.5, 0xffffff00)."""
_SOURCE_PORT: Final = {Protocol.TCP: TCP_SRC, Protocol.UDP: UDP_SRC, Protocol.SCTP: SCTP_SRC}

EndpointKey = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class Backends:
    """A set of endpoints that one choice is made from: two or more, or one that clients are to stay with."""

    id: int
    """32 bits; the group's id and the value of register BACKENDS. The same name has the same id on all nodes."""
    owner: Owner
    protocol: Protocol
    endpoints: tuple[Endpoint, ...]
    algorithm: Algorithm
    affinity_seconds: int | None = None
    connections: Mapping[EndpointKey, int] | None = None
    """Open connections by endpoint, for `least-connections`."""
    previous: tuple[Hashable, ...] = ()
    """The endpoints' order in the slot table before, so that a change moves as few slots as possible."""
    node: str = ""
    """The node whose choice it is; empty where all nodes choose from the same endpoints."""

    @property
    def remembers(self) -> bool:
        """Whether clients are remembered in learned flows."""
        return self.affinity_seconds is not None and self.affinity_seconds <= LONGEST_LEARNED_SECONDS

    @property
    def rule(self) -> Algorithm:
        """The algorithm in force: session affinity must choose by the client's address."""
        return self.algorithm if self.affinity_seconds is None else Algorithm.SOURCE_HASH


def backends_name(service: str, port: str, protocol: Protocol, *, local: bool) -> str:
    """What a set of endpoints is called: a Service's port, and whether only the node's own endpoints are meant."""
    return f"{service}|{port}|{protocol.name}|{'local' if local else 'cluster'}"


def backends_id(name: str) -> int:
    """The id of a set: a hash of its name, never 0 and below OpenFlow's reserved group numbers."""
    digest = sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") % MAX_SET_ID + 1


def to_endpoint(endpoint: Endpoint) -> tuple[Action, ...]:
    """Load what table EndpointDNAT looks for."""
    return load(ENDPOINT_ADDRESS, int(endpoint.address)), load(ENDPOINT_PORT, endpoint.port)


def entry(backends: Backends) -> tuple[Action, ...]:
    """What the flow of a Service's address does to choose."""
    known = load(BACKENDS, backends.id)
    if backends.remembers:
        return known, Resubmit(SESSION_AFFINITY.number), goto(ENDPOINT_CHOICE)
    if backends.rule is Algorithm.ROUND_ROBIN:
        return known, ToController(bytes([ROUND_ROBIN]) + backends.id.to_bytes(4, "big"))
    if (size := slot_count(backends)) is not None:
        return known, *_by_slot(backends, size)
    return known, ToGroup(backends.id)


def flows(backends: Backends) -> Iterator[BridgeFlow]:
    """The flows that the choice needs beyond its entry."""
    make = Maker(backends.owner, Category.SERVICES)
    mine = BACKENDS(backends.id)
    after: Table = ENDPOINT_DNAT
    table = slot_table(backends)
    if backends.remembers:
        after = AFFINITY_LEARN
        for endpoint in backends.endpoints:
            remembered = (IP, mine, ENDPOINT_ADDRESS(int(endpoint.address)), ENDPOINT_PORT(endpoint.port))
            yield make(ENDPOINT_CHOICE, Priority.NORMAL, remembered, goto(ENDPOINT_DNAT))
        choose = (ToGroup(backends.id),) if table is None else _by_slot(backends, len(table))
        yield make(ENDPOINT_CHOICE, Priority.POD, (IP, mine), *choose)
        yield make(AFFINITY_LEARN, Priority.NORMAL, (IP, mine), _learn(backends), goto(ENDPOINT_DNAT))
    for slot, endpoint in enumerate(table or ()):
        yield make(ENDPOINT_SLOT, Priority.NORMAL, (IP, mine, SLOT(slot)), *to_endpoint(endpoint), goto(after))


def groups(backends: Backends) -> Iterator[Group]:
    """The group that chooses, where one does."""
    if backends.rule is Algorithm.ROUND_ROBIN or slot_count(backends) is not None:
        return
    after = AFFINITY_LEARN if backends.remembers else ENDPOINT_DNAT
    actions = [(*to_endpoint(endpoint), Resubmit(after.number)) for endpoint in backends.endpoints]
    yield Group(backends.id, GroupKind.SELECT, tuple(_buckets(backends, actions)), backends.owner, _selection(backends))


def slot_count(backends: Backends) -> int | None:
    """How many slots the choice has; None where a group or the controller chooses."""
    count, rule = len(backends.endpoints), backends.rule
    if rule is Algorithm.MAGLEV:
        return slots.table_size(count)
    if rule is Algorithm.ROUND_ROBIN:
        return None
    if rule in (Algorithm.HASH, Algorithm.SOURCE_HASH):
        return None if count <= RENDEZVOUS_LIMIT else count
    if count <= HASHED_GROUP_LIMIT:
        return None
    return slots.table_size(count) if rule in (Algorithm.WEIGHTED, Algorithm.LEAST_CONNECTIONS) else count


def slot_table(backends: Backends) -> list[Endpoint] | None:
    """Slot -> endpoint for choices by slot."""
    size, rule = slot_count(backends), backends.rule
    if size is None:
        return None
    if rule is Algorithm.MAGLEV:
        names = tuple(f"{endpoint.address}:{endpoint.port}" for endpoint in backends.endpoints)
        return [backends.endpoints[index] for index in slots.maglev(names, size)]
    present: dict[Hashable, Endpoint] = {(endpoint.address, endpoint.port): endpoint for endpoint in backends.endpoints}
    if rule in (Algorithm.WEIGHTED, Algorithm.LEAST_CONNECTIONS):
        counts = dict(zip(present, slots.shares(_weights(backends), size), strict=True))
        return [present[key] for key in slots.kept(backends.previous, counts)]
    return [present[key] for key in slots.carried_over(backends.previous, list(present))]


def _by_slot(backends: Backends, size: int) -> tuple[Action, ...]:
    fields = HashFields.NW_SRC if backends.rule is Algorithm.SOURCE_HASH else HashFields.SYMMETRIC_L3L4_UDP
    return Multipath(fields, backends.id & 0xFFFF, size, SLOT), goto(ENDPOINT_SLOT)


def _selection(backends: Backends) -> Selection:
    if backends.rule is Algorithm.SOURCE_HASH:
        return Selection("hash", fields=(IPV4_SRC,))
    if backends.rule is Algorithm.HASH:
        return Selection("hash", fields=(IPV4_SRC, _SOURCE_PORT[backends.protocol]))
    return Selection("dp_hash", parameter=backends.id & 0xFFFF)


def _buckets(backends: Backends, actions: Sequence[tuple[Action, ...]]) -> Iterator[Bucket]:
    if backends.rule in (Algorithm.HASH, Algorithm.SOURCE_HASH):
        # Ids of their own endpoints: the highest random weight then moves only the share of an endpoint that goes.
        taken: set[int] = set()
        for endpoint, does in zip(backends.endpoints, actions, strict=True):
            number = int.from_bytes(sha256(f"{endpoint.address}:{endpoint.port}".encode()).digest()[:4], "big") >> 1
            while number in taken:
                number += 1
            taken.add(number)
            yield Bucket(number, does)
        return
    weights = _weights(backends)
    total = 64 if len(weights) <= _FEW else 256
    counts = slots.shares(weights, total)
    smallest = min(count for count in counts if count)
    if all(count == smallest for count in counts):
        counts, smallest = [1] * len(counts), 1
    number = 0
    for index, (count, does) in enumerate(zip(counts, actions, strict=True)):
        if not count:
            continue
        # Open vSwitch makes total / smallest slots: a bucket of weight 1 keeps the shares as exact as they are here.
        split = index == counts.index(smallest) and smallest > 1
        for weight in (count - 1, 1) if split else (count,):
            yield Bucket(number, does, weight)
            number += 1


def _weights(backends: Backends) -> list[int]:
    if backends.rule is Algorithm.WEIGHTED and any(endpoint.weight for endpoint in backends.endpoints):
        return [endpoint.weight for endpoint in backends.endpoints]
    if backends.rule is Algorithm.LEAST_CONNECTIONS and backends.connections is not None:
        counted = backends.connections
        return [_UNLOADED // (1 + counted.get((one.address, one.port), 0)) for one in backends.endpoints]
    return [1] * len(backends.endpoints)


def _learn(backends: Backends) -> Learn:
    return Learn(
        table=SESSION_AFFINITY.number,
        priority=Priority.NORMAL,
        # Constant over the controller's rounds: flows that are learned already stay.
        cookie=LEARNED_COOKIE | Category.SERVICES << 40 | backends.owner.id,
        idle_seconds=backends.affinity_seconds or 0,
        limit=LEARNED_LIMIT,
        constant=(IP,),
        equal=(IPV4_SRC, REG7),
        loads=(ENDPOINT_ADDRESS, ENDPOINT_PORT),
    )
