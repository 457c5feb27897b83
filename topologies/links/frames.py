"""Test frames on one link: sent and received on its two interfaces by packet sockets, stamped by the kernel.

Packet sockets need no address and see frames before a bridge or Open vSwitch takes them, so a link can be measured
before and after the node's agent has moved the interface. Both ends share one clock: delays are one way.
"""

import ctypes
import errno
import heapq
import math
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kubinet.collector import paused
from kubinet.netns import namespace, of_process

_ETHER_TYPE = 0x88B5
"""IEEE 802 local experimental ethertype 1: nobody else answers it."""
_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_PACKET_TYPE = 0xFFFFF004
"""Where a filter reads a frame's packet type (linux/filter.h, SKF_AD_OFF + SKF_AD_PKTTYPE)."""
_RECEIVE_BUFFER = 8 << 20
_HEADER = 14
_STAMP = struct.Struct("=QQQI")
"""Token of the measurement, number, time of sending in ns, the frame's size."""
_ANSWER_SIZE = _HEADER + _STAMP.size
MINIMUM = 60
"""The shortest Ethernet frame without its checksum, bytes."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame that arrived."""

    number: int
    sent: int
    """Nanoseconds since the epoch."""
    received: int
    """Nanoseconds since the epoch, by the kernel at the receiving interface."""
    size: int
    """Bytes, Ethernet header included."""


@dataclass(frozen=True, slots=True)
class Place:
    """An interface in the network namespace of a process."""

    pid: int
    interface: str
    mac: str


@dataclass(frozen=True, slots=True)
class Ear:
    """Where frames are heard: at an interface that they reach, or (`leaving`) as they leave one."""

    pid: int
    interface: str
    leaving: bool = False


class Direction:
    """A sender on one interface and a receiver on the other."""

    def __init__(self, sender: socket.socket, receiver: socket.socket, header: bytes) -> None:
        self._sender = sender
        self._receiver = receiver
        self._header = header
        self._token = time.monotonic_ns()
        self._sent = 0

    @property
    def sent(self) -> int:
        """How many frames were handed to the sending interface."""
        return self._sent

    def send(self, size: int) -> bool:
        """Hand one frame to the sending interface; False when its queue is full."""
        try:
            self._send(size)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                return False
            raise
        return True

    def send_short(self) -> None:
        """Hand the shortest frame to the sending interface; on a link that is down it is lost."""
        self._send(MINIMUM)

    def arrived(self) -> list[Arrival]:
        """What arrived since the last look, without waiting."""
        found: list[Arrival] = []
        while more := list(self._drain()):
            found += more
        return found

    @property
    def receiver(self) -> socket.socket:
        """Where frames arrive."""
        return self._receiver

    @property
    def sender(self) -> socket.socket:
        """Where frames are sent."""
        return self._sender

    def fill(self, size: int, end: float) -> None:
        """Send until the send buffer is full; frames in the interface's queue still count against it."""
        for _ in range(64):
            if time.monotonic() >= end:
                return
            try:
                self._send(size)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOBUFS):  # the socket's or the interface's queue is full
                    return
                raise

    def _send(self, size: int) -> None:
        stamp = _STAMP.pack(self._token, self._sent, time.time_ns(), size)
        try:
            self._sender.send((self._header + stamp).ljust(size, b"\0"))
        except OSError as error:
            if error.errno != errno.ENETDOWN:  # on a link that is down, frames are lost
                raise
        self._sent += 1

    def _drain(self) -> Iterator[Arrival]:
        for _ in range(256):
            try:
                data, ancillary, _, _ = self._receiver.recvmsg(_ANSWER_SIZE, 64, socket.MSG_TRUNC)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENETDOWN):
                    return
                raise
            token, number, sent, size = _STAMP.unpack_from(data, _HEADER)
            if token != self._token:
                continue
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
            yield Arrival(number, sent, seconds * 1_000_000_000 + nanoseconds, size)


@paused()
def spaced(
    ways: Sequence[Direction], count: int, gaps: Sequence[float], patiences: Sequence[float]
) -> list[list[Arrival]]:
    """Send `count` short frames on each of the ways at the same time; what arrived, way by way.

    Way i gets a frame every `gaps[i]` seconds, and its last one is awaited `patiences[i]` seconds. The ways take turns.
    """
    found: list[list[Arrival]] = [[] for _ in ways]
    began = time.monotonic()
    due = [(began + gap * number / len(ways), number, count) for number, gap in enumerate(gaps)]
    heapq.heapify(due)
    ends = dict.fromkeys(range(len(ways)), math.inf)
    poll = select.poll()
    numbers = {way.receiver.fileno(): number for number, way in enumerate(ways)}
    for descriptor in numbers:
        poll.register(descriptor, select.POLLIN)
    while ends:
        while due and due[0][0] <= (now := time.monotonic()):
            _, number, left = heapq.heappop(due)
            ways[number].send_short()
            # From now, not from when it was due: a program that stood still must not send what it missed at once.
            if left > 1:
                heapq.heappush(due, (now + gaps[number], number, left - 1))
            else:
                ends[number] = now + gaps[number] + patiences[number]
        until = due[0][0] if due else min(ends.values())
        for descriptor, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000):
            number = numbers[descriptor]
            found[number] += ways[number].arrived()
            if len(found[number]) == count:
                ends.pop(number, None)
        now = time.monotonic()
        ends = {number: end for number, end in ends.items() if end > now}
    # What waits in a receiver when the time is over: a program that stood still must not call it lost.
    for number, way in enumerate(ways):
        found[number] += way.arrived()
    return found


@dataclass(frozen=True, slots=True)
class Load:
    """Frames of `size` bytes that keep a way busy for `seconds`; the last is awaited `patience` seconds."""

    way: Direction
    size: int
    seconds: float
    patience: float


@paused()
def streams(loads: Sequence[Load]) -> list[list[Arrival]]:
    """Keep these ways' sending interfaces busy at the same time; what arrived, way by way."""
    found: list[list[Arrival]] = [[] for _ in loads]
    before = [load.way.sent for load in loads]
    began = time.monotonic()
    poll = select.poll()
    receivers = {load.way.receiver.fileno(): number for number, load in enumerate(loads)}
    senders = {load.way.sender.fileno(): number for number, load in enumerate(loads)}
    for descriptor in receivers:
        poll.register(descriptor, select.POLLIN)
    for descriptor in senders:
        poll.register(descriptor, select.POLLOUT)
    waiting = set(range(len(loads)))
    while waiting:
        now = time.monotonic() - began
        for descriptor, number in list(senders.items()):
            if now >= loads[number].seconds:
                poll.unregister(descriptor)
                del senders[descriptor]
        sending = set(senders.values())
        for number in waiting - sending:
            load = loads[number]
            if len(found[number]) == load.way.sent - before[number] or now >= load.seconds + load.patience:
                waiting.discard(number)
        ends = [loads[one].seconds + (0.0 if one in sending else loads[one].patience) for one in waiting]
        for descriptor, _ in poll.poll(max(0.0, min(ends, default=now) - now) * 1000):
            if descriptor in receivers:
                found[receivers[descriptor]] += loads[receivers[descriptor]].way.arrived()
            elif descriptor in senders:
                load = loads[senders[descriptor]]
                load.way.fill(load.size, began + load.seconds)
    # What waits in a receiver when the time is over: a program that stood still must not call it lost.
    return [[*some, *load.way.arrived()] for some, load in zip(found, loads, strict=True)]


@contextmanager
def direction(source: Place, target: Place, queue: int, ear: Ear) -> Iterator[Direction]:
    """Sockets for one direction of a link whose sending interface queues `queue` bytes."""
    with namespace(of_process(ear.pid)):
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with namespace(of_process(source.pid)):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with receiver, sender:
        _only_our_frames(receiver, leaving=ear.leaving)
        receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        receiver.bind((ear.interface, _ETH_P_ALL))
        receiver.setblocking(False)
        # The kernel doubles the value and charges about 2,300 bytes for a full frame: two thirds of the queue are
        # used, which keeps the link busy and loses nothing there.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, queue // 2)
        sender.bind((source.interface, 0))
        sender.setblocking(False)
        header = _bytes(target.mac) + _bytes(source.mac) + struct.pack("!H", _ETHER_TYPE)
        yield Direction(sender, receiver, header)


def _only_our_frames(receiver: socket.socket, *, leaving: bool) -> None:
    """A classic BPF program: of our ethertype, and (not) sent by the interface itself (bpf(4), struct sock_fprog)."""
    # Jumps count from the next instruction: frames that are not of the wanted way go to the last one.
    wanted = (0, 3) if leaving else (3, 0)
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, _PACKET_TYPE),  # load how the frame came here
            (0x15, *wanted, socket.PACKET_OUTGOING),  # of the wanted way: next, else drop it
            (0x28, 0, 0, 12),  # load the half word at 12
            (0x15, 0, 1, _ETHER_TYPE),  # equal: next, else skip one
            (0x06, 0, 0, 0xFFFF),  # take it
            (0x06, 0, 0, 0),  # drop it
        )
    )
    buffer = ctypes.create_string_buffer(program)
    receiver.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(buffer))
    )


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
