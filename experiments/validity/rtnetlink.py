"""Reading an interface's counters and its root queueing discipline from the kernel, in two small questions.

Structures: linux/rtnetlink.h, linux/if_link.h (rtnl_link_stats64), linux/pkt_sched.h (tc_tbf_qopt), linux/gen_stats.h.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kubinet.errors import KubinetError
from kubinet.netns import namespace

_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWQDISC, _RTM_GETQDISC = 16, 18, 36, 38
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_ECHO = 1, 4, 8
"""Only with ECHO does the kernel answer a question about one queueing discipline."""
_NLMSG_ERROR: Final = 2
_NO_QUEUE: Final = "noqueue"
"""The kernel tells nothing of the discipline that interfaces have from birth."""
_TC_H_ROOT: Final = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_TCMSG = struct.Struct("=BxxxiIII")
_IFLA_STATS64: Final = 23
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_TCA_STATS_BASIC, _TCA_STATS_QUEUE = 1, 3
_TCA_TBF_PARMS, _TCA_TBF_RATE64 = 1, 4
_TICK_NS: Final = 64
"""The packet scheduler's tick (PSCHED_SHIFT 6)."""
_ATTRIBUTE_TYPE: Final = 0x3FFF


@dataclass(frozen=True, slots=True)
class PortCounters:
    """An interface's packets since it was made."""

    rx_packets: int
    tx_packets: int
    tx_dropped: int
    """Frames that left the queue and were dropped by the device: a full ring, a peer that is down."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """An interface's root queueing discipline; a token bucket's settings are None for any other."""

    kind: str
    sent_bytes: int
    drops: int
    backlog: int
    """Bytes that wait."""
    rate: int | None = None
    """Bits per second."""
    burst: int | None = None
    """Bytes."""
    limit: int | None = None
    """Bytes that may wait."""


class CounterReader:
    """A socket in one network namespace that answers for one interface after the other; a context manager."""

    def __init__(self, path: str | Path) -> None:
        """`path`: the namespace, such as `/proc/PID/ns/net`."""
        with namespace(path):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            self._indexes = {name: index for index, name in socket.if_nameindex()}
        self._socket.settimeout(10.0)
        self._sequence = 0

    def port(self, interface: str) -> PortCounters:
        """The interface's counters; KubinetError when it is gone."""
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, self._index(interface), 0, 0)
        answer = self._ask(_RTM_GETLINK, body, _RTM_NEWLINK, interface)
        if answer is None:
            raise KubinetError(f"interface {interface}: the kernel does not tell its counters")
        return parse_port(answer)

    def queue(self, interface: str) -> QueueState:
        """The state of the interface's queue; KubinetError when it is gone."""
        body = _TCMSG.pack(socket.AF_UNSPEC, self._index(interface), 0, _TC_H_ROOT, 0)
        answer = self._ask(_RTM_GETQDISC, body, _RTM_NEWQDISC, interface)
        return QueueState(_NO_QUEUE, 0, 0, 0) if answer is None else parse_queue(answer)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _index(self, interface: str) -> int:
        if interface not in self._indexes:
            raise KubinetError(f"interface {interface} is not there: its counters cannot be read")
        return self._indexes[interface]

    def _ask(self, kind: int, body: bytes, wanted: int, interface: str) -> bytes | None:
        """The answer without its header; None when the kernel has nothing to tell."""
        self._sequence += 1
        flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_ECHO
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        answer = None
        while True:
            data = self._socket.recv(65536)
            length, found, _, sequence, _ = _HEADER.unpack_from(data)
            if sequence != self._sequence:
                continue
            if found == wanted:
                answer = data[_HEADER.size : length]
            elif found == _NLMSG_ERROR:
                if code := struct.unpack_from("=i", data, _HEADER.size)[0]:
                    raise KubinetError(f"interface {interface}: its counters cannot be read: {os.strerror(-code)}")
                return answer


def parse_port(body: bytes) -> PortCounters:
    """Read an RTM_NEWLINK message without its header."""
    stats = _attributes(body[_IFINFO.size :])[_IFLA_STATS64]
    rx_packets, tx_packets, _, _, _, _, _, tx_dropped = struct.unpack_from("=8Q", stats)
    return PortCounters(rx_packets, tx_packets, tx_dropped)


def parse_queue(body: bytes) -> QueueState:
    """Read an RTM_NEWQDISC message without its header."""
    attributes = _attributes(body[_TCMSG.size :])
    kind = attributes[_TCA_KIND].rstrip(b"\0").decode()
    stats = _attributes(attributes.get(_TCA_STATS2, b""))
    sent = struct.unpack_from("=Q", stats[_TCA_STATS_BASIC])[0] if _TCA_STATS_BASIC in stats else 0
    _, backlog, drops = struct.unpack_from("=3I", stats.get(_TCA_STATS_QUEUE, bytes(12)))
    if kind != "tbf":
        return QueueState(kind, sent, drops, backlog)
    options = _attributes(attributes[_TCA_OPTIONS])
    rate, limit, ticks = struct.unpack_from("=8xI12xII", options[_TCA_TBF_PARMS])
    if _TCA_TBF_RATE64 in options:
        rate = struct.unpack("=Q", options[_TCA_TBF_RATE64])[0]
    burst = round(rate * ticks * _TICK_NS / 1e9)
    return QueueState(kind, sent, drops, backlog, rate=rate * 8, burst=burst, limit=limit)


def _attributes(data: bytes) -> dict[int, bytes]:
    return dict(_walk(data))


def _walk(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & _ATTRIBUTE_TYPE, data[at + 4 : at + length]
        at += (length + 3) & ~3
