"""Match fields: OpenFlow's own (OXM, OpenFlow 1.5 section 7.2.3) and Open vSwitch's (NXM, meta-flow.xml).

A field called with a value is a `Term`, the unit of matches and of set-field actions:
`IPV4_SRC(IPv4Network("10.0.0.0/24"))`. A `Bits` is a slice of a register and works the same: `SOURCE(3)`.
"""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import Final, TypeAlias

Value: TypeAlias = int | str | IPv4Address | IPv4Network
"""Numbers, MAC addresses as text, IPv4 addresses and, where a mask is allowed, IPv4 networks."""

IN_PORT_RESERVED: Final = 0xFFFFFFF8
"""As an output: the port that the packet came from (OFPP_IN_PORT)."""
CONTROLLER: Final = 0xFFFFFFFD
"""As the port that a packet came from: the controller sent it (OFPP_CONTROLLER)."""
LOCAL: Final = 0xFFFFFFFE
"""The bridge's own port (OFPP_LOCAL)."""
METER_CONTROLLER: Final = 0xFFFFFFFE
"""The meter of everything that the controller is sent (OFPM_CONTROLLER)."""
PORT_NAMES: Final = {IN_PORT_RESERVED: "IN_PORT", LOCAL: "LOCAL"}

CT_STATES: Final = {
    "new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08, "inv": 0x10, "trk": 0x20, "snat": 0x40, "dnat": 0x80,
}  # fmt: skip
"""Bits of ct_state by the names that ovs-fields(7) gives them."""

_FRAGMENTS: Final = {(0, 3): "no", (1, 1): "yes", (1, 3): "first", (3, 3): "later", (0, 2): "not_later"}
"""Values and masks of ip_frag by the names that ovs-fields(7) gives them."""
_BASIC = 0x8000
_NXM = 0x0001


class Form(Enum):
    """How `ovs-ofctl` writes a field's value."""

    DECIMAL = "decimal"
    HEXADECIMAL = "hexadecimal"
    ADDRESS = "address"
    MAC = "mac"
    PORT = "port"
    FLAGS = "flags"
    FRAGMENT = "fragment"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name for `ovs-ofctl`, the class and number of its OXM header, its width in bits."""

    name: str
    oxm_class: int
    number: int
    bits: int
    form: Form = Form.DECIMAL

    @property
    def length(self) -> int:
        """Bytes on the wire."""
        return (self.bits + 7) // 8

    @property
    def all_ones(self) -> int:
        """The mask that matches every bit."""
        return (1 << self.bits) - 1

    def header(self, *, masked: bool) -> int:
        """The 32-bit OXM header."""
        return self.oxm_class << 16 | self.number << 9 | masked << 8 | self.length * (1 + masked)

    def __call__(self, value: Value, mask: int | None = None) -> "Term":
        """This field with a value; bits outside of `mask` do not count."""
        if isinstance(value, IPv4Network):
            number, mask = int(value.network_address), int(value.netmask)
        elif isinstance(value, str):
            number = int(value.replace(":", ""), 16)
        else:
            number = int(value)
        mask = self.all_ones if mask is None else mask
        if number & ~mask or mask & ~self.all_ones:
            raise ValueError(f"{self.name}: value {number:#x} does not fit mask {mask:#x} of {self.bits} bits")
        return Term(self, number, mask)

    def text(self, number: int) -> str:
        """A value of this field as `ovs-ofctl` writes it."""
        if self.form is Form.ADDRESS:
            return str(IPv4Address(number))
        if self.form is Form.MAC:
            return number.to_bytes(6, "big").hex(":")
        if self.form is Form.FLAGS:
            return "".join(f"+{name}" for name, bit in CT_STATES.items() if number & bit)
        if self.form is Form.PORT:
            return PORT_NAMES.get(number, str(number))
        return f"{number:#x}" if self.form is Form.HEXADECIMAL else str(number)


@dataclass(frozen=True, slots=True)
class Term:
    """A field with a value and a mask, both as numbers."""

    field: Field
    value: int
    mask: int

    @property
    def exact(self) -> bool:
        """Whether every bit counts."""
        return self.mask == self.field.all_ones

    @property
    def bits(self) -> "Bits":
        """The slice of the field that the mask covers, from its first bit to its last."""
        first = (self.mask & -self.mask).bit_length() - 1
        return Bits(self.field, first, self.mask.bit_length() - first)

    def merge(self, other: "Term") -> "Term":
        """Both terms of one field as one; ValueError when they contradict each other."""
        common = self.mask & other.mask
        if self.field != other.field or self.value & common != other.value & common:
            raise ValueError(f"{self} and {other} cannot hold together")
        return Term(self.field, self.value | other.value, self.mask | other.mask)

    @property
    def value_text(self) -> str:
        """`VALUE` or `VALUE/MASK`."""
        if self.field.form is Form.FLAGS:
            names = [(name, self.value & bit) for name, bit in CT_STATES.items() if self.mask & bit]
            return "".join(f"{'+' if wanted else '-'}{name}" for name, wanted in names)
        if self.field.form is Form.FRAGMENT:
            return _FRAGMENTS[self.value, self.mask]
        value = self.field.text(self.value)
        if self.exact:
            return value
        if self.field.form is Form.ADDRESS:
            return str(IPv4Network((self.value, str(IPv4Address(self.mask)))))
        mask = f"{self.mask:#x}" if self.field.form is Form.DECIMAL else self.field.text(self.mask)
        return f"{value}/{mask}"

    def __str__(self) -> str:
        return f"{self.field.name}={self.value_text}"


@dataclass(frozen=True, slots=True)
class Bits:
    """A slice of a field: `width` bits from bit `first` on."""

    field: Field
    first: int
    width: int

    @classmethod
    def whole(cls, field: Field) -> "Bits":
        """All bits of a field."""
        return cls(field, 0, field.bits)

    @property
    def mask(self) -> int:
        """The slice's bits within the field."""
        return (1 << self.width) - 1 << self.first

    def __call__(self, value: int) -> Term:
        """The slice with a value; the field's other bits do not count."""
        if value >> self.width:
            raise ValueError(f"{self}: {value:#x} is wider than {self.width} bits")
        return Term(self.field, value << self.first, self.mask)

    def __str__(self) -> str:
        if self.width == self.field.bits:
            return f"{self.field.name}[]"
        last = f"..{self.first + self.width - 1}" if self.width > 1 else ""
        return f"{self.field.name}[{self.first}{last}]"


def _register(number: int) -> Field:
    return Field(f"reg{number}", _NXM, number, 32, Form.HEXADECIMAL)


IN_PORT: Final = Field("in_port", _BASIC, 0, 32, Form.PORT)
IN_PORT_WRITABLE: Final = Field("in_port", 0, 0, 16, Form.PORT)
"""The same in Nicira's form (NXM_OF_IN_PORT): 0 lets a packet leave by the port that it came from."""
ETH_DST: Final = Field("eth_dst", _BASIC, 3, 48, Form.MAC)
ETH_SRC: Final = Field("eth_src", _BASIC, 4, 48, Form.MAC)
ETH_TYPE: Final = Field("eth_type", _BASIC, 5, 16, Form.HEXADECIMAL)
IP_PROTO: Final = Field("nw_proto", _BASIC, 10, 8)
IPV4_SRC: Final = Field("nw_src", _BASIC, 11, 32, Form.ADDRESS)
IPV4_DST: Final = Field("nw_dst", _BASIC, 12, 32, Form.ADDRESS)
TCP_SRC: Final = Field("tcp_src", _BASIC, 13, 16)
TCP_DST: Final = Field("tcp_dst", _BASIC, 14, 16)
UDP_SRC: Final = Field("udp_src", _BASIC, 15, 16)
UDP_DST: Final = Field("udp_dst", _BASIC, 16, 16)
SCTP_SRC: Final = Field("sctp_src", _BASIC, 17, 16)
SCTP_DST: Final = Field("sctp_dst", _BASIC, 18, 16)
ARP_OP: Final = Field("arp_op", _BASIC, 21, 16)
ARP_SPA: Final = Field("arp_spa", _BASIC, 22, 32, Form.ADDRESS)
ARP_TPA: Final = Field("arp_tpa", _BASIC, 23, 32, Form.ADDRESS)
ARP_SHA: Final = Field("arp_sha", _BASIC, 24, 48, Form.MAC)
ARP_THA: Final = Field("arp_tha", _BASIC, 25, 48, Form.MAC)
IP_FRAG: Final = Field("ip_frag", _NXM, 26, 2, Form.FRAGMENT)
IP_TTL: Final = Field("nw_ttl", _NXM, 29, 8)
CONJ_ID: Final = Field("conj_id", _NXM, 37, 32)
"""The conjunction that the packet satisfies, all of whose clauses some flow of the table matched."""
TUN_SRC: Final = Field("tun_src", _NXM, 31, 32, Form.ADDRESS)
TUN_DST: Final = Field("tun_dst", _NXM, 32, 32, Form.ADDRESS)
TCP_FLAGS: Final = Field("tcp_flags", _BASIC, 42, 16, Form.HEXADECIMAL)
CT_STATE: Final = Field("ct_state", _NXM, 105, 32, Form.FLAGS)
CT_MARK: Final = Field("ct_mark", _NXM, 107, 32, Form.HEXADECIMAL)
CT_LABEL: Final = Field("ct_label", _NXM, 108, 128, Form.HEXADECIMAL)
REG0: Final = _register(0)
REG1: Final = _register(1)
REG2: Final = _register(2)
REG3: Final = _register(3)
REG4: Final = _register(4)
REG5: Final = _register(5)
REG6: Final = _register(6)
REG7: Final = _register(7)
REG8: Final = _register(8)
REG9: Final = _register(9)
REG15: Final = _register(15)

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
PROTO_ICMP: Final = 1
PROTO_TCP: Final = 6
PROTO_UDP: Final = 17
PROTO_SCTP: Final = 132

IP: Final = ETH_TYPE(ETHERTYPE_IPV4)
"""The packet is IPv4; prerequisite of every IPv4 field."""
ARP: Final = ETH_TYPE(ETHERTYPE_ARP)
"""The packet is ARP."""
ICMP: Final = IP_PROTO(PROTO_ICMP)
TCP: Final = IP_PROTO(PROTO_TCP)
UDP: Final = IP_PROTO(PROTO_UDP)
SCTP: Final = IP_PROTO(PROTO_SCTP)
TCP_RESET: Final = TCP_FLAGS(0x004, 0x004)
"""The segment ends its connection (RST)."""

FRAGMENT: Final = IP_FRAG(1, 1)
"""A piece of a datagram; Open vSwitch looks it up with ports 0, also the first one."""


def ct_state(text: str) -> Term:
    """What connection tracking says, in ovs-fields(7)'s words: `ct_state("+new+trk")`."""
    value = mask = 0
    for sign, name in re.findall(r"([+-])([a-z]+)", text):
        mask |= CT_STATES[name]
        value |= CT_STATES[name] if sign == "+" else 0
    return CT_STATE(value, mask)


# Prerequisites come first on the wire (OpenFlow 1.5 section 7.2.3.6), whatever their class.
_FIRST: Final = {IN_PORT: 0, ETH_TYPE: 1, IP_PROTO: 2}
_KEYWORDS: Final = {IP: "ip", ARP: "arp", ICMP: "icmp", TCP: "tcp", UDP: "udp", SCTP: "sctp"}


@dataclass(frozen=True, slots=True)
class Match:
    """A conjunction of terms in one canonical order, so that equal matches are equal values."""

    terms: tuple[Term, ...] = ()

    @classmethod
    def of(cls, *terms: Term) -> "Match":
        """The match of all `terms`; slices of one register are merged."""
        merged: dict[Field, Term] = {}
        for term in terms:
            known = merged.get(term.field)
            merged[term.field] = term if known is None else known.merge(term)
        order = sorted(
            merged.values(), key=lambda term: (_FIRST.get(term.field, 9), term.field.oxm_class, term.field.number)
        )
        return cls(tuple(order))

    def __str__(self) -> str:
        words = [_KEYWORDS.get(term) or str(term) for term in self.terms]
        if "ip" in words and any(term in _KEYWORDS and term.field == IP_PROTO for term in self.terms):
            words.remove("ip")  # `tcp` says it too
        return ",".join(words)
