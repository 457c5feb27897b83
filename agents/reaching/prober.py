"""Sends probes from many places at once and says what became of each.

TCP: a connection that is made or refused has passed, as a refusal is the receiver's own answer; only silence has not.
UDP and SCTP: also what is seen to arrive has passed, because receivers may be silent, and kernels limit how often they
answer with ICMP. ICMP: an echo reply has passed.
"""

import ctypes
import errno
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from agents.reachability import checksum, echo_request
from agents.reaching.packets import arrived, sctp_init, transport_filter, udp_payload
from agents.reaching.places import Spot, spot
from kubinet.netns import namespace
from kubinet.transport import Protocol

BATCH: Final = 200
"""Probes under way at once: each has a descriptor."""
_ETH_P_IP: Final = 0x0800
_PACKET_HOST: Final = 0
_SO_ATTACH_FILTER: Final = 26
_ECHO_REPLY: Final = 0
_SCTP_PORT: Final = 40000
_REFUSALS: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Outcome(StrEnum):
    """What became of a probe."""

    ANSWERED = "answered"
    REFUSED = "refused"
    ARRIVED = "arrived"
    SILENT = "silent"
    FAILED = "failed"
    """It could not be sent, or somebody on the way said that it cannot go on."""


@dataclass(frozen=True, slots=True)
class Task:
    """One probe."""

    source: str
    """A place's name."""
    destination: str
    """A place's name; empty: nobody whose arrivals can be seen."""
    address: IPv4Address
    protocol: Protocol | None
    """None: ICMP echo."""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """Of one probe."""

    outcome: Outcome
    words: str = ""


def probe(tasks: Sequence[Task], known: Mapping[str, Spot], timeout: float) -> list[Result]:
    """Send all, some at a time; each has `timeout` seconds. KubinetError for a place that is not there."""
    found: list[Result] = []
    for start in range(0, len(tasks), BATCH):
        with ExitStack() as opened:
            found += _Batch(tasks[start : start + BATCH], known, opened).run(timeout)
    return found


_Handler: TypeAlias = Callable[[], None]


@dataclass(slots=True)
class _Batch:
    tasks: Sequence[Task]
    known: Mapping[str, Spot]
    opened: ExitStack
    results: dict[int, Result] = field(default_factory=dict)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    again: list[_Handler] = field(default_factory=list)
    """Sends what the kernel does not send again by itself."""

    def run(self, timeout: float) -> list[Result]:
        """All results, in order."""
        self.opened.callback(self.selector.close)
        self._listen()
        self._start()
        begin = time.monotonic()
        waits = [begin + timeout / 2, begin + timeout]
        while len(self.results) < len(self.tasks) and waits:
            for key, _ in self.selector.select(max(0.0, waits[0] - time.monotonic())):
                key.data()
            if time.monotonic() >= waits[0]:
                del waits[0]
                for send in self.again if waits else ():
                    send()
        silent = Result(Outcome.SILENT, f"no answer in {timeout:g} s")
        return [self.results.get(number, silent) for number in range(len(self.tasks))]

    def _finish(self, number: int, outcome: Outcome, words: str = "") -> None:
        self.results.setdefault(number, Result(outcome, words))

    def _watch(self, opened: socket.socket, events: int, handler: _Handler) -> socket.socket:
        opened.setblocking(False)
        self.opened.callback(opened.close)
        self.selector.register(opened, events, handler)
        return opened

    # What arrives.

    def _listen(self) -> None:
        for name in {task.destination for task in self.tasks if task.protocol in (Protocol.UDP, Protocol.SCTP)}:
            if name:
                where = spot(self.known, name)
                with namespace(where.namespace):
                    ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
                _attach_filter(ear)
                self._watch(ear, selectors.EVENT_READ, self._hears(ear, name, where.interfaces))

    def _hears(self, ear: socket.socket, name: str, interfaces: frozenset[str] | None) -> _Handler:
        def read() -> None:
            while True:
                try:
                    packet, (interface, _, kind, *_rest) = ear.recvfrom(256)
                except BlockingIOError:
                    return
                number = arrived(packet) if kind == _PACKET_HOST else None
                if number is None or number >= len(self.tasks) or self.tasks[number].destination != name:
                    continue
                if interfaces is None or interface in interfaces:
                    self._finish(number, Outcome.ARRIVED)

        return read

    # What is sent.

    def _start(self) -> None:
        by_source: dict[str, list[int]] = {}
        for number, task in enumerate(self.tasks):
            by_source.setdefault(task.source, []).append(number)
        for source, numbers in by_source.items():
            with namespace(spot(self.known, source).namespace):
                self._send_all(numbers)

    def _send_all(self, numbers: Iterable[int]) -> None:
        echoes = [number for number in numbers if self.tasks[number].protocol is None]
        if echoes:
            self._echo(echoes)
        for number in numbers:
            protocol = self.tasks[number].protocol
            try:
                if protocol is Protocol.TCP:
                    self._connect(number)
                elif protocol is Protocol.UDP:
                    self._datagram(number)
                elif protocol is Protocol.SCTP:
                    self._init(number)
            except OSError as error:
                self._refused(number, error)

    def _refused(self, number: int, error: OSError) -> None:
        if error.errno in _REFUSALS:
            self._finish(number, Outcome.REFUSED)
        else:
            self._finish(number, Outcome.FAILED, error.strerror or str(error))

    def _connect(self, number: int) -> None:
        task = self.tasks[number]
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)

        def decided() -> None:
            self.selector.unregister(client)
            code = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._refused(number, OSError(code, os.strerror(code)))
            else:
                self._finish(number, Outcome.ANSWERED)

        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        client.setblocking(False)
        code = client.connect_ex((str(task.address), task.port))
        self._watch(client, selectors.EVENT_WRITE, decided)
        if code not in (0, errno.EINPROGRESS):
            self._refused(number, OSError(code, os.strerror(code)))

    def _datagram(self, number: int) -> None:
        task = self.tasks[number]
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect((str(task.address), task.port))

        def read() -> None:
            try:
                client.recv(256)
            except BlockingIOError:
                return
            except OSError as error:
                self._refused(number, error)
            else:
                self._finish(number, Outcome.ANSWERED)

        self._watch(client, selectors.EVENT_READ, read)
        self._repeat(number, lambda: client.send(udp_payload(number)))

    def _init(self, number: int) -> None:
        task = self.tasks[number]
        client = socket.socket(socket.AF_INET, socket.SOCK_RAW, int(Protocol.SCTP))
        self.opened.callback(client.close)
        packet = sctp_init(_SCTP_PORT + number % 20000, task.port, number)
        self._repeat(number, lambda: client.sendto(packet, (str(task.address), 0)))

    def _echo(self, numbers: Sequence[int]) -> None:
        client = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        identifier = os.getpid() & 0xFFFF

        def read() -> None:
            while True:
                try:
                    packet, (address, _) = client.recvfrom(256)
                except BlockingIOError:
                    return
                message = packet[(packet[0] & 0x0F) * 4 :]
                if len(message) < 8 or checksum(message) or message[0] != _ECHO_REPLY:
                    continue
                mine, number = struct.unpack_from("!HH", message, 4)
                if mine == identifier and number in numbers and str(self.tasks[number].address) == address:
                    self._finish(number, Outcome.ANSWERED)

        self._watch(client, selectors.EVENT_READ, read)
        for number in numbers:
            self._repeat(number, self._echoes(client, identifier, number))

    def _echoes(self, client: socket.socket, identifier: int, number: int) -> Callable[[], object]:
        request, address = echo_request(identifier, number), str(self.tasks[number].address)
        return lambda: client.sendto(request, (address, 0))

    def _repeat(self, number: int, send: Callable[[], object]) -> None:
        """Send now, and once more later if nothing has come of it."""

        def once_more() -> None:
            if number not in self.results:
                try:
                    send()
                except OSError as error:
                    self._refused(number, error)

        once_more()
        self.again.append(once_more)


def _attach_filter(ear: socket.socket) -> None:
    program = transport_filter()
    code = ctypes.create_string_buffer(program)
    ear.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(code)))
