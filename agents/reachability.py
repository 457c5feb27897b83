"""Does every node reach every other over the overlay? ICMP echoes from gateway address to gateway address.

One process asks for all pairs: a raw ICMP socket is opened inside each node's network namespace and stays there.
The addresses are pods' addresses, so an answer proves flows, tunnel and underlay in both directions.
"""

import selectors
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from kubinet.addressing import gateway_address
from kubinet.netns import namespace, of_process
from kubinet.state import ClusterFacts

_ECHO_REQUEST: Final = 8
_ECHO_REPLY: Final = 0
_HEADER: Final = struct.Struct("!BBHHH")
_FIRST_RETRY_SECONDS: Final = 0.02
_LAST_RETRY_SECONDS: Final = 0.5

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reachability:
    """What the probes found: round-trip time in seconds of each ordered pair that answered, and who did not."""

    round_trips: Mapping[Pair, float]
    missing: tuple[Pair, ...]
    seconds: float
    """How long it took until the last pair answered, or the deadline."""


@dataclass(slots=True)
class _Prober:
    name: str
    socket: socket.socket
    identifier: int
    sent: dict[tuple[IPv4Address, int], float] = field(default_factory=dict)
    """When the echo with (target, sequence) left."""


def probe_all_pairs(facts: ClusterFacts, timeout: float) -> Reachability:
    """Ask until every node has answered every other, at most `timeout` seconds; unanswered pairs are `missing`."""
    started = time.monotonic()
    addresses = {node.name: gateway_address(node.pod_cidr) for node in facts.nodes}
    names = {address: name for name, address in addresses.items()}
    waiting = {(one, other) for one in addresses for other in addresses if one != other}
    found: dict[Pair, float] = {}
    probers: dict[str, _Prober] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for node in facts.nodes:
                with namespace(of_process(node.pid)):
                    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
                opened.setblocking(False)
                opened.bind((str(addresses[node.name]), 0))
                probers[node.name] = _Prober(node.name, opened, node.index & 0xFFFF)
                selector.register(opened, selectors.EVENT_READ, probers[node.name])
            pause, sequence, again = _FIRST_RETRY_SECONDS, 0, started
            while waiting and (now := time.monotonic()) < started + timeout:
                if now >= again:
                    sequence += 1
                    for one, other in sorted(waiting):
                        _send(probers[one], addresses[other], sequence)
                    again = time.monotonic() + pause
                    pause = min(_LAST_RETRY_SECONDS, pause * 2)
                until = min(again, started + timeout)
                for key, _ in selector.select(max(0.0, until - time.monotonic())):
                    for address, seconds in _receive(key.data):
                        pair = (key.data.name, names.get(address, ""))
                        if pair in waiting:
                            waiting.discard(pair)
                            found[pair] = seconds
        finally:
            for prober in probers.values():
                prober.socket.close()
    return Reachability(found, tuple(sorted(waiting)), time.monotonic() - started)


def echo_request(identifier: int, sequence: int, payload: bytes = b"kubinet!") -> bytes:
    """An ICMP echo request (RFC 792) with its checksum."""
    plain = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence & 0xFFFF) + payload
    return _HEADER.pack(_ECHO_REQUEST, 0, checksum(plain), identifier, sequence & 0xFFFF) + payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _send(prober: _Prober, target: IPv4Address, sequence: int) -> None:
    prober.sent[(target, sequence)] = time.monotonic()
    try:
        prober.socket.sendto(echo_request(prober.identifier, sequence), (str(target), 0))
    except OSError:
        return  # no route or a full queue: as good as a lost packet, it is sent again


def _receive(prober: _Prober) -> list[tuple[IPv4Address, float]]:
    """Who answered now, after how long."""
    answers: list[tuple[IPv4Address, float]] = []
    while True:
        try:
            packet, (source, _) = prober.socket.recvfrom(2048)
        except BlockingIOError:
            return answers
        now = time.monotonic()
        message = packet[(packet[0] & 0x0F) * 4 :]  # raw IPv4 sockets deliver the IP header too
        if len(message) < _HEADER.size:
            continue
        kind, _, _, identifier, sequence = _HEADER.unpack_from(message)
        left = prober.sent.get((IPv4Address(source), sequence))
        if kind == _ECHO_REPLY and identifier == prober.identifier and left is not None:
            answers.append((IPv4Address(source), now - left))
