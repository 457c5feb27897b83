"""THE page: every table, register, mark, zone, priority and port class of Kubinet's data plane, as data.

Features build flows with what stands here and nothing else; `check` refuses a flow whose match or goto this page does
not list. `docs/pipeline.md` is generated from this module (`python -m controller.pipeline_docs`).

Table numbers leave room: 52 (egress addresses).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from controller.openflow.actions import Action, Ct, Goto, Learn, Resubmit
from controller.openflow.fields import (
    ARP_OP,
    ARP_SHA,
    ARP_SPA,
    ARP_TPA,
    CONJ_ID,
    CT_MARK,
    CT_STATE,
    ETH_DST,
    ETH_SRC,
    ETH_TYPE,
    IN_PORT,
    IP_FRAG,
    IP_PROTO,
    IP_TTL,
    IPV4_DST,
    IPV4_SRC,
    METER_CONTROLLER,
    REG0,
    REG1,
    REG2,
    REG3,
    REG4,
    REG7,
    REG8,
    REG15,
    SCTP_DST,
    TCP_DST,
    TCP_FLAGS,
    TUN_SRC,
    UDP_DST,
    Field,
    Match,
)
from controller.openflow.flow import Category, Flow, Meter, Owner
from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_BRIDGE
from kubinet.errors import KubinetError


class PipelineError(KubinetError):
    """A feature made a flow that the pipeline's page does not allow; names table and field."""


@dataclass(frozen=True, slots=True)
class Table:
    """One flow table: where it is, what its flows may match, where they may send a packet on."""

    bridge: str
    number: int
    name: str
    purpose: str
    matches: frozenset[Field]
    gotos: frozenset[str] = frozenset()
    """Names of tables; a goto leads to a higher number."""
    learns: frozenset[str] = frozenset()
    """Names of tables that its flows add learned flows to."""

    def __str__(self) -> str:
        return f"{self.bridge} table {self.number} {self.name}"


def _table(
    bridge: str,
    number: int,
    name: str,
    matches: tuple[Field, ...],
    gotos: tuple[str, ...],
    purpose: str,
    learns: tuple[str, ...] = (),
) -> Table:
    return Table(bridge, number, name, purpose, frozenset(matches), frozenset(gotos), frozenset(learns))


# --- br-int -----------------------------------------------------------------------------------------------------------

CLASSIFIER: Final = _table(
    INTEGRATION_BRIDGE,
    0,
    "Classifier",
    (IN_PORT, ETH_TYPE, IPV4_SRC, TUN_SRC),
    ("ArpSpoofGuard", "SpoofGuard", "UnSnat"),
    "Where the packet came from: loads the source class. Unknown ports and unknown tunnel peers are dropped.",
)
ARP_SPOOF_GUARD: Final = _table(
    INTEGRATION_BRIDGE,
    1,
    "ArpSpoofGuard",
    (IN_PORT, ETH_TYPE, ARP_SPA, ARP_SHA),
    ("ArpResponder",),
    "A pod may only speak ARP with its own address and MAC; each pod's forgeries are counted by a flow of its own.",
)
ARP_RESPONDER: Final = _table(
    INTEGRATION_BRIDGE,
    2,
    "ArpResponder",
    (IN_PORT, ETH_TYPE, ARP_OP, ARP_TPA),
    (),
    "Answers every address of the pod network with the virtual MAC: no ARP ever crosses the fabric.",
)
SPOOF_GUARD: Final = _table(
    INTEGRATION_BRIDGE,
    4,
    "SpoofGuard",
    (IN_PORT, ETH_TYPE, ETH_SRC, IPV4_SRC),
    ("UnSnat",),
    "A pod may only send from its own address and MAC; each pod's forgeries are counted by a flow of its own.",
)
UNSNAT: Final = _table(
    INTEGRATION_BRIDGE,
    8,
    "UnSnat",
    (ETH_TYPE, IPV4_DST),
    ("Conntrack",),
    "Replies to an address that sources were translated to get their client's address back.",
)
CONNTRACK: Final = _table(
    INTEGRATION_BRIDGE,
    10,
    "Conntrack",
    (ETH_TYPE,),
    ("ConntrackState",),
    "Every packet meets its connection: a Service's packets are translated as its first one was, both ways.",
)
CONNTRACK_STATE: Final = _table(
    INTEGRATION_BRIDGE,
    12,
    "ConntrackState",
    (CT_STATE, CT_MARK, ETH_TYPE, IP_PROTO, TCP_FLAGS, REG4),
    ("ServiceLB", "EndpointDNAT", "EgressEntry"),
    "New connections look for a Service; known ones go on; invalid packets are dropped.",
)
_PORTS = (TCP_DST, UDP_DST, SCTP_DST)
SERVICE_LB: Final = _table(
    INTEGRATION_BRIDGE,
    22,
    "ServiceLB",
    (REG0, ETH_TYPE, IP_PROTO, IP_FRAG, IPV4_SRC, IPV4_DST, *_PORTS),
    ("SessionAffinity", "EndpointChoice", "EndpointSlot", "EndpointDNAT", "EgressEntry"),
    "The address and port of a Service: chooses an endpoint, directly, by a group, or by a slot.",
)
SESSION_AFFINITY: Final = _table(
    INTEGRATION_BRIDGE,
    24,
    "SessionAffinity",
    (ETH_TYPE, IPV4_SRC, REG7),
    (),
    "Learned flows: which endpoint a client of a Service with session affinity had last. Returns to ServiceLB.",
)
ENDPOINT_CHOICE: Final = _table(
    INTEGRATION_BRIDGE,
    26,
    "EndpointChoice",
    (ETH_TYPE, REG3, REG4, REG7),
    ("EndpointSlot", "EndpointDNAT"),
    "With session affinity: keeps the remembered endpoint while it belongs to the Service, else chooses anew.",
)
ENDPOINT_SLOT: Final = _table(
    INTEGRATION_BRIDGE,
    28,
    "EndpointSlot",
    (REG2, REG7, ETH_TYPE),
    ("AffinityLearn", "EndpointDNAT"),
    "From a slot number to an endpoint: Maglev's table, and Services of more endpoints than a group holds well.",
)
AFFINITY_LEARN: Final = _table(
    INTEGRATION_BRIDGE,
    29,
    "AffinityLearn",
    (REG7, ETH_TYPE),
    ("EndpointDNAT",),
    "Remembers the chosen endpoint for the client.",
    learns=("SessionAffinity",),
)
ENDPOINT_DNAT: Final = _table(
    INTEGRATION_BRIDGE,
    30,
    "EndpointDNAT",
    (REG0, REG3, REG4, ETH_TYPE, IP_PROTO, IPV4_SRC),
    ("EgressEntry",),
    "Commits the connection with the endpoint as its destination: one flow for each endpoint, whoever names it.",
)
_EGRESS = (REG8, CT_MARK, ETH_TYPE, IP_PROTO, IP_FRAG, IPV4_DST, CONJ_ID, *_PORTS)
EGRESS_ENTRY: Final = _table(
    INTEGRATION_BRIDGE,
    40,
    "EgressEntry",
    (REG0, IN_PORT, CT_STATE, CT_MARK, ETH_TYPE, IP_FRAG, IPV4_SRC, IPV4_DST),
    ("EgressAdmin", "EgressPolicy", "EgressBaseline", "L3Forward"),
    "Sends what pods send to the policies that select them for egress; replies and all others skip these.",
)
EGRESS_ADMIN: Final = _table(
    INTEGRATION_BRIDGE,
    42,
    "EgressAdmin",
    _EGRESS,
    ("EgressPolicy", "L3Forward", "PolicyDeny"),
    "Cluster-wide policies of tier Admin: each rule has a priority of its own.",
)
EGRESS_POLICY: Final = _table(
    INTEGRATION_BRIDGE,
    44,
    "EgressPolicy",
    _EGRESS,
    ("EgressBaseline", "L3Forward", "PolicyDeny"),
    "NetworkPolicies: what no rule allows to an isolated pod is denied; other pods go on to the baseline.",
)
EGRESS_BASELINE: Final = _table(
    INTEGRATION_BRIDGE,
    48,
    "EgressBaseline",
    _EGRESS,
    ("L3Forward", "PolicyDeny"),
    "Cluster-wide policies of tier Baseline, for pods that no NetworkPolicy isolates.",
)
L3_FORWARD: Final = _table(
    INTEGRATION_BRIDGE,
    50,
    "L3Forward",
    (REG0, CT_STATE, CT_MARK, ETH_TYPE, IPV4_DST),
    ("L3DecTTL",),
    "Routes by destination: rewrites the MAC addresses, chooses the output port, the tunnel's far end.",
)
L3_DEC_TTL: Final = _table(
    INTEGRATION_BRIDGE,
    60,
    "L3DecTTL",
    (REG0, ETH_TYPE, IP_TTL),
    ("IngressEntry",),
    "Lowers the TTL of routed packets; the node's own stack has done that already for what it sends.",
)
_INGRESS = (REG1, CT_MARK, ETH_TYPE, IP_PROTO, IP_FRAG, IPV4_SRC, CONJ_ID, *_PORTS)
INGRESS_ENTRY: Final = _table(
    INTEGRATION_BRIDGE,
    70,
    "IngressEntry",
    (REG0, REG1, CT_STATE, CT_MARK, ETH_TYPE, IP_FRAG, IPV4_SRC),
    ("IngressAdmin", "IngressPolicy", "IngressBaseline", "PolicyAccept"),
    "Sends what reaches a pod to the policies that select it; replies and the node's own packets skip them.",
)
INGRESS_ADMIN: Final = _table(
    INTEGRATION_BRIDGE,
    72,
    "IngressAdmin",
    _INGRESS,
    ("IngressPolicy", "PolicyAccept", "PolicyDeny"),
    "As EgressAdmin, for the receiving pod.",
)
INGRESS_POLICY: Final = _table(
    INTEGRATION_BRIDGE,
    74,
    "IngressPolicy",
    _INGRESS,
    ("IngressBaseline", "PolicyAccept", "PolicyDeny"),
    "As EgressPolicy, for the receiving pod.",
)
INGRESS_BASELINE: Final = _table(
    INTEGRATION_BRIDGE,
    78,
    "IngressBaseline",
    _INGRESS,
    ("PolicyAccept", "PolicyDeny"),
    "As EgressBaseline, for the receiving pod.",
)
POLICY_ACCEPT: Final = _table(
    INTEGRATION_BRIDGE,
    80,
    "PolicyAccept",
    (CT_MARK, ETH_TYPE),
    ("Snat",),
    "A connection that was denied before and is allowed now gets its replies again.",
)
SNAT: Final = _table(
    INTEGRATION_BRIDGE,
    82,
    "Snat",
    (REG0, CT_STATE, CT_MARK, ETH_TYPE),
    ("ConntrackCommit",),
    "After the policies, which judge real addresses: translates sources whose replies must come back here.",
)
CONNTRACK_COMMIT: Final = _table(
    INTEGRATION_BRIDGE,
    84,
    "ConntrackCommit",
    (CT_STATE, CT_MARK, ETH_TYPE),
    ("Output",),
    "Remembers new connections that no Service has committed.",
)
POLICY_DENY: Final = _table(
    INTEGRATION_BRIDGE,
    88,
    "PolicyDeny",
    (CT_STATE, CT_MARK, ETH_TYPE),
    (),
    "Drops what a policy denies; a connection that is known already loses its replies too.",
)
OUTPUT: Final = _table(
    INTEGRATION_BRIDGE,
    90,
    "Output",
    (REG0, CT_MARK, ETH_TYPE),
    (),
    "Sends the packet to the port that register OUTPUT_PORT holds.",
)
CANARY: Final = _table(
    INTEGRATION_BRIDGE,
    253,
    "Canary",
    (REG15,),
    (),
    "Never reached: one flow whose cookie says which generation the bridge holds.",
)

# --- br-phy -----------------------------------------------------------------------------------------------------------

UPLINK: Final = _table(
    UPLINK_BRIDGE,
    0,
    "Uplink",
    (IN_PORT, ETH_TYPE, ETH_DST, IP_PROTO, IPV4_SRC, IPV4_DST, *_PORTS),
    ("UplinkOutput", "UplinkService", "UplinkReturn"),
    "Between the underlay and the node's own stack; translates what pods send to the outside to the node's address.",
)
UPLINK_OUTPUT: Final = _table(
    UPLINK_BRIDGE,
    10,
    "UplinkOutput",
    (IN_PORT,),
    (),
    "After connection tracking: out to the underlay, or in to the node's own stack.",
)
UPLINK_SERVICE: Final = _table(
    UPLINK_BRIDGE,
    12,
    "UplinkService",
    (ETH_TYPE,),
    (),
    "What clients outside send to Services goes to br-int, untouched.",
)
UPLINK_RETURN: Final = _table(
    UPLINK_BRIDGE,
    14,
    "UplinkReturn",
    (CT_MARK, ETH_TYPE),
    (),
    "Replies of Services go back to the neighbour that the request came from, whichever router that was.",
)
UPLINK_CANARY: Final = _table(UPLINK_BRIDGE, 253, "UplinkCanary", (REG15,), (), "As Canary, for br-phy.")

TABLES: Final = (
    CLASSIFIER,
    ARP_SPOOF_GUARD,
    ARP_RESPONDER,
    SPOOF_GUARD,
    UNSNAT,
    CONNTRACK,
    CONNTRACK_STATE,
    SERVICE_LB,
    SESSION_AFFINITY,
    ENDPOINT_CHOICE,
    ENDPOINT_SLOT,
    AFFINITY_LEARN,
    ENDPOINT_DNAT,
    EGRESS_ENTRY,
    EGRESS_ADMIN,
    EGRESS_POLICY,
    EGRESS_BASELINE,
    L3_FORWARD,
    L3_DEC_TTL,
    INGRESS_ENTRY,
    INGRESS_ADMIN,
    INGRESS_POLICY,
    INGRESS_BASELINE,
    POLICY_ACCEPT,
    SNAT,
    CONNTRACK_COMMIT,
    POLICY_DENY,
    OUTPUT,
    CANARY,
    UPLINK,
    UPLINK_OUTPUT,
    UPLINK_SERVICE,
    UPLINK_RETURN,
    UPLINK_CANARY,
)
BRIDGES: Final = (INTEGRATION_BRIDGE, UPLINK_BRIDGE)
_BY_NAME: Final = {table.name: table for table in TABLES}
_BY_NUMBER: Final = {(table.bridge, table.number): table for table in TABLES}


def table_named(name: str) -> Table:
    """The table of this name; PipelineError when there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise PipelineError(f"the pipeline has no table '{name}'; it has {', '.join(_BY_NAME)}") from None


def table_numbered(bridge: str, number: int) -> Table | None:
    """The table with this number on a bridge, if the pipeline has one there."""
    return _BY_NUMBER.get((bridge, number))


# --- priorities -------------------------------------------------------------------------------------------------------


class Priority(IntEnum):
    """Within a table, more special first."""

    LOG = 1000
    """Added to another priority: the flow that tells the controller, too."""
    FIRST = 230
    OVERRIDE = 220
    SPECIAL = 210
    NORMAL = 200
    POD = 190
    FALLBACK = 150
    GUARD = 100
    PASS = 50
    MISS = 0


# --- meters -----------------------------------------------------------------------------------------------------------

DENIED_METER: Final = Meter(2, rate=100, burst=100)
"""br-int: denied packets that the controller is told of while they are logged, on each node."""
DENIED_USERDATA: Final = 5
"""First byte of what goes with them."""
DENIED_BYTES: Final = 128
"""How much of them: Ethernet, IPv4 with options, and the ports."""
CONTROLLER_METER: Final = Meter(METER_CONTROLLER, rate=2500, burst=1000)
"""br-int: what else the controller is sent, which is first packets that it chooses an endpoint for.

The rate is above what it answers from one client on two cores (1,867 connections a second, docs/load-balancing.md).
Flows need not name it, so they are the same on a datapath without meters, which sends all.
"""
METERS: Final = (DENIED_METER, CONTROLLER_METER)


# --- checks -----------------------------------------------------------------------------------------------------------


def flow(table: Table, priority: int, match: Match, *actions: Action, owner: Owner, category: Category) -> Flow:
    """A flow of the pipeline; PipelineError where the page does not allow it."""
    _check(table, match, actions)
    return Flow(table.number, priority, match, actions, owner, category)


def goto(table: Table) -> Goto:
    """Go on in `table`."""
    return Goto(table.number)


def _check(table: Table, match: Match, actions: tuple[Action, ...]) -> None:
    for term in match.terms:
        if term.field not in table.matches:
            raise PipelineError(
                f"{table}: matches on {term.field.name}, which the page does not list; it lists "
                f"{', '.join(sorted(field.name for field in table.matches))}"
            )
    for position, action in enumerate(actions):
        if isinstance(action, Goto):
            if position != len(actions) - 1:
                raise PipelineError(f"{table}: goto_table:{action.table} is not the last action")
            _check_target(table, action.table, forward=True)
        elif isinstance(action, Resubmit):
            _check_target(table, action.table, forward=False)
        elif isinstance(action, Learn):
            _check_target(table, action.table, forward=False, learns=True)
        elif isinstance(action, Ct) and action.table is not None:
            _check_target(table, action.table, forward=True)


def _check_target(table: Table, number: int, *, forward: bool, learns: bool = False) -> None:
    target = table_numbered(table.bridge, number)
    if target is None:
        raise PipelineError(f"{table}: sends packets to table {number}, which {table.bridge} does not have")
    if target.name not in (table.learns if learns else table.gotos):
        raise PipelineError(f"{table}: sends packets to {target.name}, which the page does not list for it")
    if forward and target.number <= table.number:
        raise PipelineError(f"{table}: a goto leads to a higher table, {target.name} has number {target.number}")
