"""Routes and routing rules as rtnetlink requests."""

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from kubinet.rtchannel import Request, encode

MAIN_TABLE: Final = 254
LOCAL_TABLE: Final = 255
_NLM_F_REPLACE: Final = 0x100
_NLM_F_EXCL: Final = 0x200
_NLM_F_CREATE: Final = 0x400
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_NEWRULE, _RTM_DELRULE = 24, 25, 32, 33
_FR_ACT_TO_TBL: Final = 1
_RTPROT_STATIC, _RTPROT_BGP = 4, 186
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 0, 253, 255
_RTN_UNICAST: Final = 1
_RTNH_F_ONLINK: Final = 4


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
    message = encode(rtmsg(), _RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
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
    return encode(rtmsg(), kind, flags, fields, [("RTA_DST", str(address)), *attributes])


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
    return encode(fibmsg(), kind, flags, fields, attributes)


def delete_route(destination: IPv4Network) -> Request:
    """Delete a route that `add_route` added to the main table; one that is gone is fine."""
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "dst_len": destination.prefixlen,
        "table": MAIN_TABLE,
        "proto": _RTPROT_STATIC,
        "scope": _RT_SCOPE_NOWHERE,
    }
    message = encode(rtmsg(), _RTM_DELROUTE, 0, fields, [("RTA_DST", str(destination.network_address))])
    return Request(f"delete route {destination}", message, (errno.ESRCH,))


def add_route_over(destination: IPv4Network, gateways: Mapping[IPv4Address, int]) -> Request:
    """A route of the main table over several gateways at equal cost; `gateways`: interface index by address."""
    hops = [
        {"oif": index, "hops": 0, "flags": 0, "attrs": [("RTA_GATEWAY", str(gateway))]}
        for gateway, index in gateways.items()
    ]
    fields: dict[str, object] = {
        "family": socket.AF_INET,
        "dst_len": destination.prefixlen,
        "table": MAIN_TABLE,
        "proto": _RTPROT_STATIC,
        "scope": _RT_SCOPE_UNIVERSE,
        "type": _RTN_UNICAST,
    }
    attributes: list[tuple[str, object]] = [("RTA_MULTIPATH", hops)]
    if destination.prefixlen:
        attributes.append(("RTA_DST", str(destination.network_address)))
    message = encode(rtmsg(), _RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_REPLACE, fields, attributes)
    return Request(f"route {destination} over {', '.join(map(str, gateways))}", message)
