"""A packet as a bridge sees it at one moment: headers, and what Open vSwitch keeps beside them. Pure.

The text form is Open vSwitch's own: what `ofproto/trace` prints after `Flow:`, and what it reads (ovs-fields(7)).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Final

from controller.openflow.fields import CONTROLLER, IN_PORT_RESERVED, LOCAL, Bits
from kubinet.errors import KubinetError
from kubinet.transport import Protocol

_PROTOCOLS: Final = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP, "icmp": None}
PORT_NUMBERS: Final = {"LOCAL": LOCAL, "CONTROLLER": CONTROLLER, "IN_PORT": IN_PORT_RESERVED}
"""OpenFlow's reserved ports by the names that Open vSwitch gives them."""
_NAMES: Final = {number: name for name, number in PORT_NUMBERS.items()}
SYN: Final = "syn"
SYN_ACK: Final = "syn|ack"
ACK: Final = "ack"
ECHO_REQUEST: Final = 8
ECHO_REPLY: Final = 0


class WalkError(KubinetError):
    """Open vSwitch said something that the walk cannot follow; quotes it."""


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv4 packet's headers."""

    eth_src: str
    eth_dst: str
    source: IPv4Address
    destination: IPv4Address
    protocol: Protocol | None
    """None: ICMP."""
    source_port: int = 0
    """ICMP: the type."""
    destination_port: int = 0
    """ICMP: the code."""
    ttl: int = 64
    flags: str = ""
    """TCP's, as Open vSwitch writes them: `syn|ack`."""

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port; of ICMP 0, as a request and its reply belong together."""
        return (self.source_port, self.destination_port) if self.protocol is not None else (0, 0)

    def answer(self, eth_src: str, eth_dst: str, flags: str) -> "Packet":
        """What the receiver sends back; `flags`: for TCP."""
        ports = (self.destination_port, self.source_port)
        if self.protocol is None:
            ports = (ECHO_REPLY if self.source_port == ECHO_REQUEST else self.source_port, 0)
        return Packet(
            eth_src=eth_src,
            eth_dst=eth_dst,
            source=self.destination,
            destination=self.source,
            protocol=self.protocol,
            source_port=ports[0],
            destination_port=ports[1],
            flags=flags if self.protocol is Protocol.TCP else "",
        )

    def fields(self) -> list[str]:
        """As Open vSwitch reads it."""
        words = [f"dl_src={self.eth_src}", f"dl_dst={self.eth_dst}", protocol_word(self.protocol)]
        words += [f"nw_src={self.source}", f"nw_dst={self.destination}", f"nw_ttl={self.ttl}"]
        if self.protocol is None:
            return [*words, f"icmp_type={self.source_port}", f"icmp_code={self.destination_port}"]
        name = protocol_word(self.protocol)
        words += [f"{name}_src={self.source_port}", f"{name}_dst={self.destination_port}"]
        return [*words, f"tcp_flags={self.flags}"] if self.flags else words

    def __str__(self) -> str:
        if self.protocol is None:
            return f"ICMP {self.source} > {self.destination}"
        there = f"{self.destination}:{self.destination_port}"
        return f"{self.protocol.name} {self.source}:{self.source_port} > {there}"


def protocol_word(protocol: Protocol | None) -> str:
    """As Open vSwitch writes it: `tcp`."""
    return "icmp" if protocol is None else protocol.name.lower()


@dataclass(frozen=True, slots=True)
class Tracked:
    """What connection tracking has said about the packet: state, zone, mark and label of its connection."""

    states: frozenset[str]
    zone: int
    mark: int = 0
    label: int = 0

    def fields(self) -> list[str]:
        """As Open vSwitch reads it."""
        known = [f"ct_state={'|'.join(sorted(self.states))}", f"ct_zone={self.zone}"]
        return [*known, *_numbers({"ct_mark": self.mark, "ct_label": self.label})]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Outer addresses: of the tunnel that the packet came from, or those that flows have set for the way out."""

    source: IPv4Address
    destination: IPv4Address


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet with a bridge's metadata: Open vSwitch's `struct flow`."""

    packet: Packet
    in_port: int
    registers: Mapping[int, int] = field(default_factory=dict)
    """Those that are not 0, by number."""
    tracked: Tracked | None = None
    tunnel: Tunnel | None = None
    hashed: int = 0
    """`dp_hash`, by which groups choose; 0: not known yet."""

    def read(self, bits: Bits) -> int:
        """The value of a slice of a register."""
        return self.registers.get(bits.field.number, 0) >> bits.first & (1 << bits.width) - 1

    def text(self) -> str:
        """As `ofproto/trace` reads it."""
        words = [f"in_port={_NAMES.get(self.in_port, self.in_port)}"]
        words += _numbers({f"reg{number}": value for number, value in sorted(self.registers.items())})
        if self.tunnel is not None:
            words += [f"tun_src={self.tunnel.source}", f"tun_dst={self.tunnel.destination}", "tun_id=0"]
        if self.tracked is not None:
            words += self.tracked.fields()
        words += _numbers({"dp_hash": self.hashed})
        return ",".join(words + self.packet.fields())

    def resumed(self, packet: Packet, tracked: Tracked) -> "Seen":
        """After connection tracking: with the connection's translation and marks."""
        return replace(self, packet=packet, tracked=tracked)


def parse(text: str) -> Seen:
    """What Open vSwitch wrote after `Flow:`; WalkError for anything but IPv4 with TCP, UDP, SCTP or ICMP."""
    words = text.strip().split(",")
    values = dict(word.partition("=")[::2] for word in words)
    protocol = next((word for word in words if word in _PROTOCOLS), None)
    if protocol is None or "nw_dst" not in values:
        raise WalkError(f"ofproto/trace: no IPv4 packet with TCP, UDP, SCTP or ICMP: {text.strip()!r}")
    ports = ("icmp_type", "icmp_code") if protocol == "icmp" else ("tp_src", "tp_dst")
    flags = values.get("tcp_flags", "")
    packet = Packet(
        eth_src=values["dl_src"],
        eth_dst=values["dl_dst"],
        source=IPv4Address(values["nw_src"]),
        destination=IPv4Address(values["nw_dst"]),
        protocol=_PROTOCOLS[protocol],
        source_port=int(values[ports[0]]),
        destination_port=int(values[ports[1]]),
        ttl=int(values["nw_ttl"]),
        flags=flags if flags != "0" else "",
    )
    registers = {int(key[3:]): int(value, 0) for key, value in values.items() if key.startswith("reg")}
    return Seen(
        packet=packet,
        in_port=port_number(values.get("in_port", "0")),  # a flow may have cleared it
        registers=registers,
        tracked=_tracked(values),
        tunnel=_tunnel(values),
        hashed=int(values.get("dp_hash", "0"), 0),
    )


def port_number(text: str) -> int:
    """An OpenFlow port as Open vSwitch writes it: a number or a reserved port's name."""
    return PORT_NUMBERS[text] if text in PORT_NUMBERS else int(text)


def _tracked(values: Mapping[str, str]) -> Tracked | None:
    if "ct_state" not in values:
        return None
    states = frozenset(values["ct_state"].split("|"))
    mark, label = (int(values.get(key, "0"), 0) for key in ("ct_mark", "ct_label"))
    return Tracked(states, int(values.get("ct_zone", "0")), mark, label)


def _tunnel(values: Mapping[str, str]) -> Tunnel | None:
    if "tun_dst" not in values:
        return None
    return Tunnel(IPv4Address(values["tun_src"]), IPv4Address(values["tun_dst"]))


def _numbers(values: Mapping[str, int]) -> list[str]:
    return [f"{name}={value:#x}" for name, value in values.items() if value]
