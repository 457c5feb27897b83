"""Records' data: dnspython's classes, which have no types of their own, behind functions that have."""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.HINFO
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.SRV
from dns.name import Name
from dns.rdata import Rdata
from dns.rdataclass import IN
from dns.rdatatype import CNAME, HINFO, NS, PTR, SOA, SRV, TXT, A, RdataType

_CLASSES: Final[dict[RdataType, Callable[..., Rdata]]] = {
    A: dns.rdtypes.IN.A.A,
    CNAME: dns.rdtypes.ANY.CNAME.CNAME,
    HINFO: dns.rdtypes.ANY.HINFO.HINFO,
    NS: dns.rdtypes.ANY.NS.NS,
    PTR: dns.rdtypes.ANY.PTR.PTR,
    SOA: dns.rdtypes.ANY.SOA.SOA,
    SRV: dns.rdtypes.IN.SRV.SRV,
    TXT: dns.rdtypes.ANY.TXT.TXT,
}


def _make(rdtype: RdataType, *fields: object) -> Rdata:
    return _CLASSES[rdtype](IN, rdtype, *fields)


def a(address: IPv4Address) -> Rdata:
    """An address."""
    return _make(A, str(address))


def cname(target: Name) -> Rdata:
    """Another name for the same."""
    return _make(CNAME, target)


def hinfo(cpu: str) -> Rdata:
    """The answer to ANY (RFC 8482, 4.2)."""
    return _make(HINFO, cpu.encode(), b"")


def ns(target: Name) -> Rdata:
    """A zone's server."""
    return _make(NS, target)


def ptr(target: Name) -> Rdata:
    """An address' name."""
    return _make(PTR, target)


def soa(server: Name, mailbox: Name, serial: int, refresh: int, retry: int, expire: int, minimum: int) -> Rdata:
    """A zone's head; `minimum`: seconds that a negative answer holds (RFC 2308)."""
    return _make(SOA, server, mailbox, serial & 0xFFFFFFFF, refresh, retry, expire, minimum)


def srv(priority: int, weight: int, port: int, target: Name) -> Rdata:
    """A service's place (RFC 2782)."""
    return _make(SRV, priority, weight, port, target)


def txt(text: str) -> Rdata:
    """A text."""
    return _make(TXT, [text.encode()])


def target(rdata: Rdata) -> Name:
    """The name that a CNAME, NS, PTR or SRV record points to."""
    found: Name = rdata.target  # type: ignore[attr-defined]
    return found
