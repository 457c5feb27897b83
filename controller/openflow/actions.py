"""Actions that Kubinet's flows use, each as a value with its text in `ovs-ofctl`'s syntax (ovs-actions(7)).

An empty list of actions drops the packet.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from controller.openflow.fields import IN_PORT_RESERVED, PORT_NAMES, Bits, Field, Term


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet to a port."""

    port: int

    def __str__(self) -> str:
        name = PORT_NAMES.get(self.port)
        return name or f"output:{self.port}"


BOUNCE: Final = Output(IN_PORT_RESERVED)
"""Send the packet back to the port it came from."""


@dataclass(frozen=True, slots=True)
class OutputRegister:
    """Send the packet to the port whose number a register holds."""

    source: Bits

    def __str__(self) -> str:
        return f"output:{_nxm(self.source)}"


@dataclass(frozen=True, slots=True)
class SetField:
    """Write a value into a field; only the masked bits of a register slice change."""

    term: Term

    def __str__(self) -> str:
        return f"set_field:{self.term.value_text}->{self.term.field.name}"


@dataclass(frozen=True, slots=True)
class CopyField:
    """Copy bits from one field to another of the same width."""

    source: Bits
    target: Bits

    def __post_init__(self) -> None:
        if self.source.width != self.target.width:
            raise ValueError(f"copy {self.source} to {self.target}: widths differ")

    def __str__(self) -> str:
        return f"move:{_nxm(self.source)}->{_nxm(self.target)}"


@dataclass(frozen=True, slots=True)
class DecrementTtl:
    """Lower the IPv4 TTL by one."""

    def __str__(self) -> str:
        return "dec_ttl"


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand the packet to a group."""

    group: int

    def __str__(self) -> str:
        return f"group:{self.group}"


@dataclass(frozen=True, slots=True)
class Nat:
    """Translate addresses inside a `Ct`: to a range when one is given, else as the connection's first packet was.

    Never `source` without an address: OVS 3.1's userspace conntrack aborts on it (lib/conntrack.c:1063).
    """

    source: IPv4Address | None = None
    destination: IPv4Address | None = None
    ports: tuple[int, int] | None = None
    """First and last port of the range, inclusive."""

    def __post_init__(self) -> None:
        if self.source is not None and self.destination is not None:
            raise ValueError("nat: either the source or the destination is translated, not both")
        if self.ports is not None and self.source is None and self.destination is None:
            raise ValueError("nat: a port range needs an address")

    def __str__(self) -> str:
        address = self.source or self.destination
        if address is None:
            return "nat"
        side = "src" if self.source is not None else "dst"
        if self.ports is None:
            return f"nat({side}={address})"
        first, last = self.ports
        return f"nat({side}={address}:{first if first == last else f'{first}-{last}'})"


@dataclass(frozen=True, slots=True)
class Ct:
    """Send the packet through connection tracking in `zone`, then on to `table`; `nat` and `marks` as the text says."""

    zone: int
    commit: bool = False
    table: int | None = None
    nat: Nat | None = None
    marks: tuple["Term | CopyField", ...] = ()
    """What to write into ct_mark and ct_label; only with `commit`."""

    def __str__(self) -> str:
        parts = ["commit"] if self.commit else []
        if self.table is not None:
            parts.append(f"table={self.table}")
        parts.append(f"zone={self.zone}")
        if self.nat is not None:
            parts.append(str(self.nat))
        if self.marks:
            marks = [mark if isinstance(mark, CopyField) else SetField(mark) for mark in self.marks]
            parts.append(f"exec({','.join(map(str, marks))})")
        return f"ct({','.join(parts)})"


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the packet up in another table as a subroutine, then go on with the next action."""

    table: int

    def __str__(self) -> str:
        return f"resubmit(,{self.table})"


class HashFields(IntEnum):
    """NX_HASH_FIELDS_*: what `Multipath` hashes (nicira-ext.h)."""

    SYMMETRIC_L3L4_UDP = 3
    NW_SRC = 4

    @property
    def word(self) -> str:
        """Its name in ovs-actions(7)."""
        return {HashFields.SYMMETRIC_L3L4_UDP: "symmetric_l3l4+udp", HashFields.NW_SRC: "nw_src"}[self]


@dataclass(frozen=True, slots=True)
class Multipath:
    """Write a hash of the packet, modulo `count`, into a slice: values are equally likely, and equal on all nodes."""

    fields: HashFields
    basis: int
    count: int
    target: Bits

    def __str__(self) -> str:
        return f"multipath({self.fields.word},{self.basis},modulo_n,{self.count},0,{_nxm(self.target)})"


@dataclass(frozen=True, slots=True)
class Learn:
    """Add a flow to `table` made from the packet; it goes when it is idle or when the flow with this action goes.

    `equal`: fields that the new flow matches as in the packet; `constant`: terms that it matches; `loads`: slices that
    it writes with the packet's present values; `limit`: flows of the table with this cookie, above which none is added.
    """

    table: int
    priority: int
    cookie: int
    idle_seconds: int
    limit: int
    constant: tuple[Term, ...]
    equal: tuple[Field, ...]
    loads: tuple[Bits, ...]

    def __str__(self) -> str:
        parts = [f"table={self.table}", f"idle_timeout={self.idle_seconds}", f"priority={self.priority}"]
        parts += ["delete_learned", f"cookie={self.cookie:#x}", f"limit={self.limit}"]
        parts += [f"{term.field.name}={term.value_text}" for term in self.constant]
        parts += [_nxm(Bits.whole(field)) for field in self.equal]
        parts += [f"load:{_nxm(bits)}->{_nxm(bits)}" for bits in self.loads]
        return f"learn({','.join(parts)})"


@dataclass(frozen=True, slots=True)
class ToController:
    """Send the packet to the controller with bytes that say why; `max_len`: bytes of it.

    `meter`: limits how many are sent; what it holds back goes on all the same.
    """

    userdata: bytes
    max_len: int = 0xFFFF
    meter: int | None = None

    def __str__(self) -> str:
        metered = "" if self.meter is None else f",meter_id={self.meter}"
        return f"controller(max_len={self.max_len},userdata={self.userdata.hex('.')}{metered})"


@dataclass(frozen=True, slots=True)
class Conjunction:
    """The flow is one of the matches of clause `clause` (from 0) of `clauses` of a conjunction (ovs-fields(7))."""

    id: int
    clause: int
    clauses: int

    def __str__(self) -> str:
        return f"conjunction({self.id},{self.clause + 1}/{self.clauses})"


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on in another table; the last of a flow's actions."""

    table: int

    def __str__(self) -> str:
        return f"goto_table:{self.table}"


Action: TypeAlias = (
    Output
    | OutputRegister
    | SetField
    | CopyField
    | DecrementTtl
    | ToGroup
    | Ct
    | Resubmit
    | Multipath
    | Learn
    | ToController
    | Conjunction
    | Goto
)

_NXM_NAMES: Final = {
    "nw_src": "NXM_OF_IP_SRC",
    "nw_dst": "NXM_OF_IP_DST",
    "tcp_dst": "NXM_OF_TCP_DST",
    "udp_dst": "NXM_OF_UDP_DST",
    "sctp_dst": "OXM_OF_SCTP_DST",
    "eth_dst": "NXM_OF_ETH_DST",
    "eth_src": "NXM_OF_ETH_SRC",
    "arp_spa": "NXM_OF_ARP_SPA",
    "arp_tpa": "NXM_OF_ARP_TPA",
    "arp_sha": "NXM_NX_ARP_SHA",
    "arp_tha": "NXM_NX_ARP_THA",
}


def _nxm(bits: Bits) -> str:
    name = _NXM_NAMES.get(bits.field.name, f"NXM_NX_{bits.field.name.upper()}")
    return f"{name}{str(bits).removeprefix(bits.field.name)}"


def load(slice_: Bits, value: int) -> SetField:
    """Write a number into a register slice."""
    return SetField(slice_(value))


def copy(source: Field, target: Field) -> CopyField:
    """Copy a whole field."""
    return CopyField(Bits.whole(source), Bits.whole(target))
