"""Many rtnetlink requests in few system calls: pyroute2's messages, sent together, their answers matched by number.

pyroute2's own sockets carry an event loop each and send one request at a time; a cluster has a thousand namespaces
and needs a handful of requests in each, so this channel is a bare socket and pyroute2 is the encoder.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, Final, Self

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from kubinet.errors import KubinetError
from kubinet.netns import namespace

_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK: Final = 0x4
_NLM_F_REPLACE: Final = 0x100
_NLM_F_EXCL: Final = 0x200
_NLM_F_CREATE: Final = 0x400
_NLMSG_ERROR: Final = 2
_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE, _RTM_NEWNEIGH = 16, 17, 20, 24, 28
_IFF_UP: Final = 1
_RTM_DELROUTE, _RTM_NEWRULE, _RTM_DELRULE = 25, 32, 33
MAIN_TABLE: Final = 254
LOCAL_TABLE: Final = 255
_FR_ACT_TO_TBL: Final = 1
_RTPROT_STATIC, _RTPROT_BGP = 4, 186
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 0, 253, 255
_RTN_UNICAST: Final = 1
_RTNH_F_ONLINK: Final = 4
_NUD_STALE: Final = 4
_NUD_PERMANENT: Final = 0x80
_AT_ONCE: Final = 64
"""Requests per send: their answers must fit the socket's receive buffer."""
_HEADER: Final = struct.Struct("=IHHII")


class NetlinkError(KubinetError):
    """The kernel refused an rtnetlink request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One encoded request, and how to speak of it in an error."""

    about: str
    message: bytes
    accept: tuple[int, ...] = ()
    """errno values that mean: already as wanted."""


def _encode(
    message: Any, kind: int, flags: int, fields: dict[str, object], attributes: list[tuple[str, object]]
) -> bytes:
    for key, value in fields.items():
        message[key] = value
    message["attrs"] = attributes
    message["header"]["type"] = kind
    message["header"]["flags"] = _NLM_F_REQUEST | _NLM_F_ACK | flags
    message.encode()
    return bytes(message.data)


def add_veth(name: str, peer: str, peer_namespace: int, peer_mac: str, mtu: int) -> Request:
    """A veth pair: `name` here and up, `peer` in the namespace of the open descriptor `peer_namespace`, still down."""
    peer_attributes = [
        ("IFLA_IFNAME", peer),
        ("IFLA_ADDRESS", peer_mac),
        ("IFLA_MTU", mtu),
        ("IFLA_NET_NS_FD", peer_namespace),
    ]
    data = {"attrs": [("VETH_INFO_PEER", {"attrs": peer_attributes})]}
    attributes: list[tuple[str, object]] = [
        ("IFLA_IFNAME", name),
        ("IFLA_MTU", mtu),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}),
    ]
    message = _encode(
        ifinfmsg(), _RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, {"flags": _IFF_UP, "change": _IFF_UP}, attributes
    )
    return Request(f"veth {name}", message)


def delete_link(name: str) -> Request:
    """Delete an interface by name; one that does not exist is fine."""
    return Request(f"delete {name}", _encode(ifinfmsg(), _RTM_DELLINK, 0, {}, [("IFLA_IFNAME", name)]), (errno.ENODEV,))


def set_link_up(index: int, mtu: int | None = None) -> Request:
    """Bring an interface up, with this MTU where given."""
    attributes: list[tuple[str, object]] = [("IFLA_MTU", mtu)] if mtu is not None else []
    fields: dict[str, object] = {"index": index, "flags": _IFF_UP, "change": _IFF_UP}
    return Request(f"interface {index} up", _encode(ifinfmsg(), _RTM_NEWLINK, 0, fields, attributes))


def add_address(index: int, address: IPv4Interface) -> Request:
    """Give an interface an address; the kernel adds the route of its prefix."""
    fields: dict[str, object] = {"family": socket.AF_INET, "prefixlen": address.network.prefixlen, "index": index}
    text = str(address.ip)
    attributes: list[tuple[str, object]] = [("IFA_LOCAL", text), ("IFA_ADDRESS", text)]
    if address.network.prefixlen < 31:
        # A point-to-point link (RFC 3021) has no broadcast address: its last address is the router's.
        attributes.append(("IFA_BROADCAST", str(address.network.broadcast_address)))
    message = _encode(ifaddrmsg(), _RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"address {address} on interface {index}", message)


def add_route(
    destination: IPv4Network,
    index: int,
    *,
    gateway: IPv4Address | None = None,
    source: IPv4Address | None = None,
    table: int = MAIN_TABLE,
) -> Request:
    """A route over `gateway` or directly; replaces one of the same table with the same destination.

    The gateway need not be in a subnet of the interface (the route is `onlink`).
    """
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "dst_len": destination.prefixlen,
        "table": table,
        "proto": _RTPROT_STATIC,
        "scope": _RT_SCOPE_UNIVERSE if gateway else _RT_SCOPE_LINK,
        "type": _RTN_UNICAST,
        "flags": _RTNH_F_ONLINK if gateway else 0,
    }
    attributes: list[tuple[str, object]] = [("RTA_OIF", index)]
    if destination.prefixlen:
        attributes.append(("RTA_DST", str(destination.network_address)))
    if gateway:
        attributes.append(("RTA_GATEWAY", str(gateway)))
    if source:
        attributes.append(("RTA_PREFSRC", str(source)))
    message = _encode(rtmsg(), _RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"route {destination} on interface {index}", message)


def add_announced(address: IPv4Address, next_hops: Sequence[IPv4Address]) -> Request:
    """The route to one address over equal-cost next hops, as a routing daemon would add it; replaces an older one."""
    gateways: list[tuple[str, object]] = [("RTA_GATEWAY", str(hop)) for hop in next_hops]
    if len(gateways) > 1:
        gateways = [("RTA_MULTIPATH", [{"hops": 0, "attrs": [gateway]} for gateway in gateways])]
    message = _announced(address, _RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_REPLACE, gateways)
    return Request(f"route to {address} over {', '.join(map(str, next_hops))}", message)


def delete_announced(address: IPv4Address) -> Request:
    """Withdraw what `add_announced` added; one that is gone is fine."""
    return Request(f"withdraw {address}", _announced(address, _RTM_DELROUTE, 0, []), (errno.ESRCH,))


def _announced(address: IPv4Address, kind: int, flags: int, attributes: list[tuple[str, object]]) -> bytes:
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "dst_len": 32,
        "table": MAIN_TABLE,
        "proto": _RTPROT_BGP,
        "scope": _RT_SCOPE_UNIVERSE,
        "type": _RTN_UNICAST,
    }
    return _encode(rtmsg(), kind, flags, fields, [("RTA_DST", str(address)), *attributes])


@dataclass(frozen=True, slots=True)
class Rule:
    """Which routing table packets use that match all that is given (ip-rule(8)); the lowest priority is asked first."""

    priority: int
    table: int
    destination: IPv4Address | None = None
    protocol: int | None = None
    """IP protocol number."""
    ports: tuple[int, int] | None = None
    """First and last destination port."""
    local: bool = False
    """Only packets that the machine itself sends, not those that it forwards or receives."""

    def __str__(self) -> str:
        return f"rule {self.priority} to table {self.table}"


def add_rule(rule: Rule) -> Request:
    """A routing rule; one that exists is fine."""
    message = _rule(rule, _RTM_NEWRULE, _NLM_F_CREATE | _NLM_F_EXCL)
    return Request(str(rule), message, (errno.EEXIST,))


def delete_rule(rule: Rule, *, must_exist: bool = False) -> Request:
    """Delete the first routing rule that agrees with all that is given; none is fine, unless it must exist."""
    return Request(f"delete {rule}", _rule(rule, _RTM_DELRULE, 0), () if must_exist else (errno.ENOENT,))


def _rule(rule: Rule, kind: int, flags: int) -> bytes:
    fields: dict[str, object] = {"family": socket.AF_INET, "table": rule.table, "action": _FR_ACT_TO_TBL}
    attributes: list[tuple[str, object]] = [("FRA_PRIORITY", rule.priority), ("FRA_TABLE", rule.table)]
    if rule.destination is not None:
        fields["dst_len"] = 32
        attributes.append(("FRA_DST", str(rule.destination)))
    if rule.local:
        attributes.append(("FRA_IIFNAME", "lo"))
    if rule.protocol is not None:
        attributes.append(("FRA_IP_PROTO", rule.protocol))
    if rule.ports is not None:
        attributes.append(("FRA_DPORT_RANGE", f"{rule.ports[0]}:{rule.ports[1]}"))
    return _encode(fibmsg(), kind, flags, fields, attributes)


def delete_route(destination: IPv4Network) -> Request:
    """Delete a route that `add_route` added to the main table; one that is gone is fine."""
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "dst_len": destination.prefixlen,
        "table": MAIN_TABLE,
        "proto": _RTPROT_STATIC,
        "scope": _RT_SCOPE_NOWHERE,
    }
    message = _encode(rtmsg(), _RTM_DELROUTE, 0, fields, [("RTA_DST", str(destination.network_address))])
    return Request(f"delete route {destination}", message, (errno.ESRCH,))


def add_neighbour(index: int, address: IPv4Address, mac: str, *, permanent: bool = False) -> Request:
    """Tell the kernel a neighbour's MAC address; unless `permanent`, the kernel confirms it by itself (NUD_STALE)."""
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "ifindex": index,
        "state": _NUD_PERMANENT if permanent else _NUD_STALE,
    }
    attributes: list[tuple[str, object]] = [("NDA_DST", str(address)), ("NDA_LLADDR", mac)]
    message = _encode(ndmsg(), _RTM_NEWNEIGH, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"neighbour {address} on interface {index}", message)


class Netlink:
    """An rtnetlink socket of one network namespace; a context manager. Not for two threads at once."""

    def __init__(self, path: str | Path | None = None) -> None:
        """`path`: the namespace to work in; None is the one that the calling thread is in."""
        if path is None:
            self._socket = _open()
        else:
            with namespace(path):
                self._socket = _open()
        self._sequence = 0

    def run(self, requests: Iterable[Request]) -> None:
        """Carry out all requests, in order; NetlinkError names the first refused one, after all were tried."""
        refused = self.try_all(requests)
        if refused:
            request, number = refused[0]
            raise NetlinkError(f"{request.about}: {os.strerror(number)}")

    def try_all(self, requests: Iterable[Request]) -> list[tuple[Request, int]]:
        """Carry out all requests, in order; returns the refused ones with the kernel's errno."""
        everything = list(requests)
        refused: list[tuple[Request, int]] = []
        for start in range(0, len(everything), _AT_ONCE):
            refused += self._exchange(everything[start : start + _AT_ONCE])
        return refused

    def _exchange(self, requests: Sequence[Request]) -> list[tuple[Request, int]]:
        waiting: dict[int, Request] = {}
        parts = []
        for request in requests:
            self._sequence += 1
            waiting[self._sequence] = request
            length, kind, flags, _, _ = _HEADER.unpack_from(request.message)
            header = _HEADER.pack(length, kind, flags, self._sequence, 0)
            parts.append(header + request.message[_HEADER.size :] + bytes(-length % 4))
        self._socket.send(b"".join(parts))
        refused = []
        while waiting:
            for sequence, number in _answers(self._socket.recv(65536)):
                answered = waiting.pop(sequence, None)
                if answered is not None and number and number not in answered.accept:
                    refused.append((answered, number))
        return refused

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    opened.settimeout(10.0)  # the kernel answers inside send(2); only a bug can make this fire
    opened.bind((0, 0))
    return opened


def _answers(data: bytes) -> Iterable[tuple[int, int]]:
    """(sequence number, errno or 0) of each acknowledgement."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if kind == _NLMSG_ERROR:
            yield sequence, -struct.unpack_from("=i", data, offset + _HEADER.size)[0]
        offset += (length + 3) & ~3
