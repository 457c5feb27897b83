"""Counters of interfaces and their queueing disciplines by rtnetlink: one socket per network namespace, kept open.

The same numbers as `ip -s link` and `tc -s qdisc` show, for a hundredth of what starting those programs costs.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from kubinet.errors import KubinetError
from kubinet.syscalls import CLONE_NEWNET, setns

_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_QDISC: Final = struct.Struct("=BxxxiIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_STATS64: Final = struct.Struct("=8Q")
"""linux/if_link.h: rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped."""
_TC_STATS: Final = struct.Struct("=QIIIIIII")
"""linux/pkt_sched.h: bytes, packets, drops, overlimits, bps, pps, qlen, backlog."""
_RTM_GETLINK, _RTM_NEWLINK, _RTM_GETQDISC, _RTM_NEWQDISC = 18, 16, 38, 36
_NLMSG_DONE, _NLMSG_ERROR = 3, 2
_DUMP: Final = 0x1 | 0x300
_IFLA_IFNAME, _IFLA_STATS64, _TCA_KIND, _TCA_STATS = 3, 23, 1, 3
_TC_H_ROOT: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """One interface since it was made."""

    index: int
    received_packets: int
    sent_packets: int
    received_bytes: int
    sent_bytes: int
    received_dropped: int
    sent_dropped: int


@dataclass(frozen=True, slots=True)
class QueueCounters:
    """An interface's root queueing discipline."""

    kind: str
    drops: int
    queued_packets: int
    queued_bytes: int


def parse_links(data: bytes) -> dict[str, LinkCounters]:
    """Read RTM_NEWLINK messages: interface name to counters."""
    found = {}
    for body in _messages(data, _RTM_NEWLINK):
        attributes = dict(_attributes(body[_LINK.size :]))
        if _IFLA_STATS64 not in attributes:
            continue
        name = attributes[_IFLA_IFNAME].rstrip(b"\0").decode()
        rx, tx, rx_bytes, tx_bytes, _, _, rx_dropped, tx_dropped = _STATS64.unpack_from(attributes[_IFLA_STATS64])
        found[name] = LinkCounters(_LINK.unpack_from(body)[2], rx, tx, rx_bytes, tx_bytes, rx_dropped, tx_dropped)
    return found


def parse_queues(data: bytes) -> dict[int, QueueCounters]:
    """Read RTM_NEWQDISC messages: interface index to its root discipline."""
    found = {}
    for body in _messages(data, _RTM_NEWQDISC):
        _, index, _, parent, _ = _QDISC.unpack_from(body)
        attributes = dict(_attributes(body[_QDISC.size :]))
        if parent == _TC_H_ROOT and _TCA_STATS in attributes:
            _, _, drops, _, _, _, packets, backlog = _TC_STATS.unpack_from(attributes[_TCA_STATS])
            kind = attributes[_TCA_KIND].rstrip(b"\0").decode()
            found[index] = QueueCounters(kind, drops, packets, backlog)
    return found


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if kind == wanted:
            yield data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


class Counters:
    """The counters of one network namespace."""

    def __init__(self, path: str) -> None:
        self._socket = _socket_in(path)
        self._socket.settimeout(5.0)
        self._socket.bind((0, 0))

    def links(self) -> dict[str, LinkCounters]:
        """Every interface."""
        return parse_links(self.dump(_RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0)))

    def queues(self) -> dict[int, QueueCounters]:
        """Every interface's root queueing discipline."""
        return parse_queues(self.dump(_RTM_GETQDISC, _QDISC.pack(0, 0, 0, 0, 0)))

    def dump(self, kind: int, body: bytes) -> bytes:
        """The kernel's whole answer to a request for everything."""
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, _DUMP, 1, 0) + body)
        parts = []
        while True:
            data = self._socket.recv(1 << 18)
            parts.append(data)
            if _ends(data):
                return b"".join(parts)


def _socket_in(path: str) -> socket.socket:
    """A netlink socket of a network namespace. `kubinet.netns` does the same, but loads pyroute2, which looks cost."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(target, CLONE_NEWNET)
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    finally:
        setns(own, CLONE_NEWNET)
        os.close(target)
        os.close(own)


def _ends(data: bytes) -> bool:
    """Whether the last message of a datagram says that the dump is complete; its body may be empty."""
    offset = kind = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        offset += (length + 3) & ~3
    return kind in (_NLMSG_DONE, _NLMSG_ERROR)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link of the underlay."""

    link: str
    vertex: str
    interface: str
    pid: int


def link_ends(listing: Iterable[Mapping[str, Any]], wanted: tuple[str, ...] = ()) -> list[End]:
    """Both ends of every link, or of those wanted, from the underlay service's list; KubinetError for unknown ones."""
    links = {str(link["name"]): link["ends"] for link in listing}
    for name in wanted:
        if name not in links:
            raise KubinetError(f"there is no link '{name}'; there are {', '.join(links)}")
    return [
        End(name, str(end["vertex"]), str(end["interface"]), int(end["pid"]))
        for name, ends in links.items()
        if not wanted or name in wanted
        for end in ends
    ]


def looker(settings: Mapping[str, Any]) -> Callable[[], list[list[Any]]]:
    """Looks at the `ends` of links, as `asdict(End)`: link, vertex, its interface's counters, its queue's or None."""
    ends = [End(**end) for end in settings["ends"]]
    counters = {end.vertex: Counters(f"/proc/{end.pid}/ns/net") for end in ends}

    def look() -> list[list[Any]]:
        links = {vertex: one.links() for vertex, one in counters.items()}
        queues = {vertex: one.queues() for vertex, one in counters.items()}
        rows: list[list[Any]] = []
        for end in ends:
            found = links[end.vertex].get(end.interface)
            if found is not None:  # a link that was taken away has no interface
                queue = queues[end.vertex].get(found.index)
                rows.append([end.link, end.vertex, asdict(found), asdict(queue) if queue else None])
        return rows

    return look
