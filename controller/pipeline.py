"""THE page: every table, register, mark, zone, priority and port class of Kubinet's data plane, as data.

Features build flows with what stands here and nothing else; `check` refuses a flow whose match or goto this page does
not list. `docs/pipeline.md` is generated from this module (`python -m controller.pipeline_docs`).

Table numbers leave room: 8-48 (services, egress policy), 52 (egress addresses), 62-84 (SNAT, ingress policy).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from controller.openflow.actions import Action, Ct, Goto, Resubmit
from controller.openflow.fields import (
    ARP_OP,
    ARP_SHA,
    ARP_SPA,
    ARP_TPA,
    ETH_DST,
    ETH_SRC,
    ETH_TYPE,
    IN_PORT,
    IP_PROTO,
    IP_TTL,
    IPV4_DST,
    IPV4_SRC,
    REG0,
    REG1,
    REG2,
    REG15,
    TUN_SRC,
    UDP_DST,
    Bits,
    Field,
    Match,
)
from controller.openflow.flow import Category, Flow, Owner
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

    def __str__(self) -> str:
        return f"{self.bridge} table {self.number} {self.name}"


def _table(
    bridge: str, number: int, name: str, matches: tuple[Field, ...], gotos: tuple[str, ...], purpose: str
) -> Table:
    return Table(bridge, number, name, purpose, frozenset(matches), frozenset(gotos))


# --- br-int -----------------------------------------------------------------------------------------------------------

CLASSIFIER: Final = _table(
    INTEGRATION_BRIDGE,
    0,
    "Classifier",
    (IN_PORT, ETH_TYPE, IPV4_SRC, TUN_SRC),
    ("ArpSpoofGuard", "SpoofGuard", "L3Forward"),
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
    ("L3Forward",),
    "A pod may only send from its own address and MAC; each pod's forgeries are counted by a flow of its own.",
)
L3_FORWARD: Final = _table(
    INTEGRATION_BRIDGE,
    50,
    "L3Forward",
    (REG0, ETH_TYPE, IPV4_DST),
    ("L3DecTTL",),
    "Routes by destination: rewrites the MAC addresses, chooses the output port, the tunnel's far end.",
)
L3_DEC_TTL: Final = _table(
    INTEGRATION_BRIDGE,
    60,
    "L3DecTTL",
    (REG0, ETH_TYPE, IP_TTL),
    ("Output",),
    "Lowers the TTL of routed packets; the node's own stack has done that already for what it sends.",
)
OUTPUT: Final = _table(
    INTEGRATION_BRIDGE,
    90,
    "Output",
    (REG0, ETH_TYPE),
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
    (IN_PORT, ETH_TYPE, ETH_DST, IP_PROTO, IPV4_SRC, IPV4_DST, UDP_DST),
    ("UplinkOutput",),
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
UPLINK_CANARY: Final = _table(UPLINK_BRIDGE, 253, "UplinkCanary", (REG15,), (), "As Canary, for br-phy.")

TABLES: Final = (
    CLASSIFIER,
    ARP_SPOOF_GUARD,
    ARP_RESPONDER,
    SPOOF_GUARD,
    L3_FORWARD,
    L3_DEC_TTL,
    OUTPUT,
    CANARY,
    UPLINK,
    UPLINK_OUTPUT,
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


# --- registers --------------------------------------------------------------------------------------------------------

SOURCE: Final = Bits(REG0, 0, 4)
"""Where the packet came from: a `Place`."""
DESTINATION: Final = Bits(REG0, 4, 4)
"""Where the packet goes: a `Place`."""
OUTPUT_PORT: Final = Bits.whole(REG1)
"""The OpenFlow port that Output sends the packet to."""
SCRATCH: Final = REG2
"""Free for use within one flow (the ARP responder swaps addresses through it)."""
NEVER: Final = REG15
"""Written by no flow: canary flows match on it and so never match."""

REGISTERS: Final = {
    "SOURCE": SOURCE,
    "DESTINATION": DESTINATION,
    "OUTPUT_PORT": OUTPUT_PORT,
    "SCRATCH": Bits.whole(SCRATCH),
}


class Place(IntEnum):
    """Classes of ports, in `SOURCE` and `DESTINATION`."""

    TUNNEL = 1
    GATEWAY = 2
    POD = 3
    UPLINK = 4


# --- conntrack --------------------------------------------------------------------------------------------------------

ZONES_PER_NODE: Final = 8


class Zone(IntEnum):
    """A node's conntrack zones, as offsets: different on every node, in case that nodes share a connection table."""

    MAIN = 0
    SNAT = 1
    MAIN_V6 = 2
    SNAT_V6 = 3
    UPLINK_SNAT = 4

    def of(self, node_index: int) -> int:
        """The zone's number on the node; PipelineError above the 16 bits of a zone."""
        number = ZONES_PER_NODE * node_index + self
        if number > 0xFFFF:
            raise PipelineError(f"node index {node_index}: conntrack zones end at 65535; use at most 8190 nodes")
        return number


SNAT_PORTS: Final = (49152, 65535)
"""Ports that translated connections use (RFC 6335's dynamic range); the node's own sockets must stay below."""

# --- priorities -------------------------------------------------------------------------------------------------------


class Priority(IntEnum):
    """Within a table, more special first."""

    OVERRIDE = 220
    SPECIAL = 210
    NORMAL = 200
    POD = 190
    FALLBACK = 150
    GUARD = 100
    MISS = 0


# --- checks -----------------------------------------------------------------------------------------------------------


def flow(table: Table, priority: Priority, match: Match, *actions: Action, owner: Owner, category: Category) -> Flow:
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
        elif isinstance(action, Ct) and action.table is not None:
            _check_target(table, action.table, forward=True)


def _check_target(table: Table, number: int, *, forward: bool) -> None:
    target = table_numbered(table.bridge, number)
    if target is None:
        raise PipelineError(f"{table}: sends packets to table {number}, which {table.bridge} does not have")
    if target.name not in table.gotos:
        raise PipelineError(f"{table}: sends packets to {target.name}, which the page does not list for it")
    if forward and target.number <= table.number:
        raise PipelineError(f"{table}: a goto leads to a higher table, {target.name} has number {target.number}")
