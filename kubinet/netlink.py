"""The rtnetlink requests that Kubinet makes: interfaces, addresses, neighbours, token buckets, and routes.

Each function encodes one request; `Netlink` carries out many of them at once in one network namespace.
"""

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.tcmsg import sched_tbf, tcmsg

from kubinet.netroutes import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Rule,
    add_announced,
    add_route,
    add_route_over,
    add_rule,
    delete_announced,
    delete_route,
    delete_rule,
)
from kubinet.rtchannel import Netlink, NetlinkError, Request, encode

__all__ = [
    "LOCAL_TABLE",
    "MAIN_TABLE",
    "Netlink",
    "NetlinkError",
    "Request",
    "Rule",
    "VethEnd",
    "add_address",
    "add_announced",
    "add_bridge",
    "add_neighbour",
    "add_route",
    "add_route_over",
    "add_rule",
    "add_veth",
    "change_link",
    "delete_announced",
    "delete_link",
    "delete_route",
    "delete_rule",
    "set_link",
    "set_link_up",
    "set_token_bucket",
]

_NLM_F_REPLACE: Final = 0x100
_NLM_F_EXCL: Final = 0x200
_NLM_F_CREATE: Final = 0x400
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE, _RTM_NEWNEIGH, _RTM_NEWQDISC = 16, 17, 20, 24, 28, 36
_IFF_UP: Final = 1
_IFF_PROMISC: Final = 0x100
_TC_H_ROOT: Final = 0xFFFFFFFF
_NEIGHBOURS_FULL: Final = (
    "this machine's neighbour table, which all clusters share, is full: "
    "end other clusters or raise the sysctl net.ipv4.neigh.default.gc_thresh3"
)
_ROOT_HANDLE: Final = 1 << 16
"""`1:` as tc(8) writes it."""
_NTF_EXT_LEARNED: Final = 0x10
_NUD_STALE: Final = 4
_NUD_PERMANENT: Final = 0x80


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a new veth pair, and where it is to live: in the requester's namespace unless told otherwise."""

    name: str
    mac: str | None = None
    namespace: int | None = None
    """An open descriptor of a network namespace."""
    pid: int | None = None
    """A process in the network namespace."""
    up: bool = False
    promiscuous: bool = False
    """Takes frames for any address, as a switch's port must; who sets it later has the kernel tell of a change."""
    bridge: int | None = None
    """The index of the bridge that it becomes a port of."""
    queue: int | None = None
    """Packets (`txqueuelen`)."""
    index: int = 0
    """The interface's number; 0: the next one that is free."""

    def attributes(self, mtu: int | None) -> list[tuple[str, object]]:
        """What ifinfmsg says of it."""
        known: list[tuple[str, object]] = [
            ("IFLA_IFNAME", self.name),
            ("IFLA_ADDRESS", self.mac),
            ("IFLA_MTU", mtu),
            ("IFLA_NET_NS_FD", self.namespace),
            ("IFLA_NET_NS_PID", self.pid),
            ("IFLA_MASTER", self.bridge),
            ("IFLA_TXQLEN", self.queue),
        ]
        return [(name, value) for name, value in known if value is not None]


def add_veth(end: VethEnd, peer: VethEnd, mtu: int | None = None) -> Request:
    """A veth pair; only `end` can be set up, made promiscuous and become a bridge's port in the same request."""
    other = {"index": peer.index, "attrs": peer.attributes(mtu)}
    data = {"attrs": [("VETH_INFO_PEER", other)]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    wanted = (_IFF_UP if end.up else 0) | (_IFF_PROMISC if end.promiscuous else 0)
    fields: dict[str, object] = {"index": end.index, "flags": wanted, "change": wanted}
    attributes = [*end.attributes(mtu), ("IFLA_LINKINFO", info)]
    message = encode(ifinfmsg(), _RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, fields, attributes)
    return Request(f"veth {end.name}", message)


def add_bridge(name: str, *, mtu: int | None = None, ageing_time: int | None = None) -> Request:
    """A Linux bridge, up; `ageing_time` in 1/100 s, 0 makes it a repeater."""
    data = [("IFLA_BR_AGEING_TIME", ageing_time)] if ageing_time is not None else []
    info = {"attrs": [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": data})]}
    attributes: list[tuple[str, object]] = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
    if mtu is not None:
        attributes.append(("IFLA_MTU", mtu))
    fields: dict[str, object] = {"flags": _IFF_UP, "change": _IFF_UP}
    return Request(f"bridge {name}", encode(ifinfmsg(), _RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, fields, attributes))


def delete_link(name: str) -> Request:
    """Delete an interface by name; one that does not exist is fine."""
    return Request(f"delete {name}", encode(ifinfmsg(), _RTM_DELLINK, 0, {}, [("IFLA_IFNAME", name)]), (errno.ENODEV,))


def set_link(link: int | str, *, up: bool, mtu: int | None = None, bridge: int | None = None) -> Request:
    """Set an interface, by index or name, up or down, with this MTU and as this bridge's port where given."""
    attributes: list[tuple[str, object]] = [("IFLA_IFNAME", link)] if isinstance(link, str) else []
    attributes += [("IFLA_MTU", mtu)] if mtu is not None else []
    attributes += [("IFLA_MASTER", bridge)] if bridge is not None else []
    fields: dict[str, object] = {
        "index": link if isinstance(link, int) else 0,
        "flags": _IFF_UP if up else 0,
        "change": _IFF_UP,
    }
    about = f"interface {link} {'up' if up else 'down'}"
    return Request(about, encode(ifinfmsg(), _RTM_NEWLINK, 0, fields, attributes))


def change_link(
    link: str,
    *,
    name: str | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    queue: int | None = None,
    pid: int | None = None,
) -> Request:
    """Rename an interface that is down, set its MAC address, MTU, queue, or move it to a process's namespace."""
    end = VethEnd(name or link, mac, pid=pid, queue=queue)
    fields: dict[str, object] = {"index": socket.if_nametoindex(link)} if name else {}
    return Request(f"interface {link}", encode(ifinfmsg(), _RTM_NEWLINK, 0, fields, end.attributes(mtu)))


def set_link_up(index: int, mtu: int | None = None) -> Request:
    """Bring an interface up, with this MTU where given."""
    return set_link(index, up=True, mtu=mtu)


def set_token_bucket(index: int, *, rate: int, burst: int, limit: int) -> Request:
    """A token bucket (tc-tbf(8)) as the interface's root queueing discipline, in place of another: bits/s and bytes."""
    options = sched_tbf.get_parameters({"rate": rate // 8, "burst": burst, "limit": limit})
    fields: dict[str, object] = {
        "family": socket.AF_UNSPEC,
        "index": index,
        "handle": _ROOT_HANDLE,
        "parent": _TC_H_ROOT,
    }
    attributes: list[tuple[str, object]] = [("TCA_KIND", "tbf"), ("TCA_OPTIONS", options)]
    message = encode(tcmsg(), _RTM_NEWQDISC, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"token bucket on interface {index}", message)


def add_address(index: int, address: IPv4Interface) -> Request:
    """Give an interface an address; the kernel adds the route of its prefix."""
    fields: dict[str, object] = {"family": socket.AF_INET, "prefixlen": address.network.prefixlen, "index": index}
    text = str(address.ip)
    attributes: list[tuple[str, object]] = [("IFA_LOCAL", text), ("IFA_ADDRESS", text)]
    if address.network.prefixlen < 31:
        # A point-to-point link (RFC 3021) has no broadcast address: its last address is the router's.
        attributes.append(("IFA_BROADCAST", str(address.network.broadcast_address)))
    message = encode(ifaddrmsg(), _RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"address {address} on interface {index}", message)


def add_neighbour(index: int, address: IPv4Address, mac: str, *, permanent: bool = False) -> Request:
    """Tell the kernel a neighbour's MAC address; unless `permanent`, the kernel confirms it by itself (NUD_STALE)."""
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "ifindex": index,
        "state": _NUD_PERMANENT if permanent else _NUD_STALE,
        # From a control plane: such entries do not count for, and are not collected by, the limit of the neighbour
        # table, which all namespaces of the machine share (net.ipv4.neigh.default.gc_thresh3, 1024 entries).
        "flags": _NTF_EXT_LEARNED,
    }
    attributes: list[tuple[str, object]] = [("NDA_DST", str(address)), ("NDA_LLADDR", mac)]
    message = encode(ndmsg(), _RTM_NEWNEIGH, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"neighbour {address} on interface {index}", message, remedies={errno.ENOBUFS: _NEIGHBOURS_FULL})
