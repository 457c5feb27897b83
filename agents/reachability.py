"""Does every node reach every other one over the pod network? Observed, not believed: ICMP echo between the gateways.

One raw socket per node, opened in the node's network namespace; one thread waits for all of them.
"""

import os
import selectors
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from agents.netns import entered, of_process
from kubinet.addressing import gateway_address
from kubinet.errors import KubinetError
from kubinet.state import ClusterFacts, NodeFacts

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER: Final = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number (RFC 792)."""
_TIME: Final = struct.Struct("!Qq")
"""Which round of probing, and time.monotonic_ns() of sending."""
_RETRANSMIT_SECONDS: Final = 0.1
_RECEIVE_BUFFER: Final = 1 << 20

Pair = tuple[str, str]
"""Names of two nodes: who asks, who answers."""


@dataclass(slots=True)
class Reachability:
    """What was observed: round-trip times of the pairs that answered, seconds, and those that did not."""

    round_trips: dict[Pair, float] = field(default_factory=dict)
    missing: list[Pair] = field(default_factory=list)
    seconds: float = 0.0


def echo_request(identifier: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo request with its checksum."""
    header = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence)
    return _HEADER.pack(_ECHO_REQUEST, 0, checksum(header + payload), identifier, sequence) + payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def parse_echo_reply(packet: bytes) -> tuple[IPv4Address, bytes] | None:
    """Sender and payload of an echo reply as a raw socket delivers it, with its IP header; None for other packets."""
    if len(packet) < 20:
        return None
    offset = (packet[0] & 0x0F) * 4
    if len(packet) < offset + _HEADER.size or packet[offset] != _ECHO_REPLY:
        return None
    return IPv4Address(packet[12:16]), packet[offset + _HEADER.size :]


def probe_all_pairs(facts: ClusterFacts, timeout: float) -> Reachability:
    """Ask from every node's gateway to every other's until all answered or `timeout` seconds are over."""
    gateways = {node.name: gateway_address(node.pod_cidr) for node in facts.nodes}
    begin = time.monotonic()
    sockets: dict[str, socket.socket] = {}
    try:
        for node in facts.nodes:
            sockets[node.name] = _open(node, gateways[node.name])
        result = _Probe(sockets, gateways).run(begin + timeout)
    finally:
        for opened in sockets.values():
            opened.close()
    result.seconds = time.monotonic() - begin
    return result


def _open(node: NodeFacts, address: IPv4Address) -> socket.socket:
    try:
        with entered(of_process(node.pid)):
            opened = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
        opened.bind((str(address), 0))
    except OSError as error:
        raise KubinetError(f"node {node.name}: {address} cannot be used as source of a probe: {error}") from error
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return opened


class _Probe:
    """One round of probing; its number in the packets keeps late answers to earlier rounds out."""

    def __init__(self, sockets: Mapping[str, socket.socket], gateways: Mapping[str, IPv4Address]) -> None:
        self._sockets = sockets
        self._gateways = gateways
        self._names = {address: name for name, address in gateways.items()}
        self._round = int.from_bytes(os.urandom(8), "big")
        self._silent = {(one, other) for one in gateways for other in gateways if one != other}
        self._result = Reachability()
        self._sequence = 0

    def run(self, deadline: float) -> Reachability:
        with selectors.DefaultSelector() as selector:
            for name, opened in self._sockets.items():
                selector.register(opened, selectors.EVENT_READ, name)
            while self._silent and time.monotonic() < deadline:
                self._ask()
                self._listen(selector, min(deadline, time.monotonic() + _RETRANSMIT_SECONDS))
        self._result.missing = sorted(self._silent)
        return self._result

    def _ask(self) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        for asker, answerer in sorted(self._silent):
            payload = _TIME.pack(self._round, time.monotonic_ns())
            request = echo_request(self._round & 0xFFFF, self._sequence, payload)
            try:
                self._sockets[asker].sendto(request, (str(self._gateways[answerer]), 0))
            except OSError:
                continue  # no neighbour yet, or a full queue: the same as a lost packet, asked again

    def _listen(self, selector: selectors.BaseSelector, until: float) -> None:
        while self._silent and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                self._take(key.data)

    def _take(self, asker: str) -> None:
        while True:
            try:
                packet = self._sockets[asker].recv(2048)
            except OSError:  # nothing more, or an ICMP error about a packet that is asked again anyway
                return
            reply = parse_echo_reply(packet)
            if reply is None or len(reply[1]) != _TIME.size:
                continue
            number, sent = _TIME.unpack(reply[1])
            pair = (asker, self._names.get(reply[0], ""))
            if number == self._round and pair in self._silent:
                self._silent.remove(pair)
                self._result.round_trips[pair] = (time.monotonic_ns() - sent) / 1e9
