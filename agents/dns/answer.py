"""What is said to a question about a name of our own zones. Pure: the zone is only read."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dns.name import Name
from dns.rcode import NOERROR, NXDOMAIN, SERVFAIL, Rcode
from dns.rdata import Rdata
from dns.rdatatype import ANY, CNAME, NS, SOA, SRV, A, RdataType
from dns.rrset import RRset, from_rdata_list

from agents.dns import rdata
from agents.dns.names import Key, key_of, name_of
from agents.dns.zone import TTL, Zone

_REFRESH, _RETRY, _EXPIRE = 7200, 1800, 86400
_LINKS_LIMIT: Final = 8
"""Most CNAMEs that one answer follows."""


@dataclass(frozen=True, slots=True)
class Content:
    """A response without its header."""

    rcode: Rcode
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    follow: Name | None = None
    """The answer ends in a CNAME to this name outside of our zones: another server has the rest."""


def answer(zone: Zone, name: Name, rdtype: RdataType) -> Content | None:
    """The answer of class IN; None when the name is in none of the zones.

    NXDOMAIN says that neither the name nor one below it exists (RFC 8020); a name without the asked type gives NOERROR
    without records (RFC 2308). Both carry the SOA record. ANY gets one HINFO record (RFC 8482).
    """
    links: list[RRset] = []
    seen: set[Key] = set()
    while True:
        key = key_of(name)
        apex = zone.authority.apex(key)
        if apex is None:
            return Content(NOERROR, tuple(links), follow=name) if links else None
        if key in seen or len(links) > _LINKS_LIMIT:
            return Content(SERVFAIL)
        seen.add(key)
        found = zone.find(key)
        if found is None:
            return Content(NXDOMAIN, tuple(links), (_soa(zone, apex),))
        alias = next((data for data in found if data.rdtype == CNAME), None)
        if alias is None or rdtype in (CNAME, ANY):
            return _positive(zone, name, rdtype, found, apex, links)
        links.append(_rrset(name, alias))
        name = rdata.target(alias)


def _positive(
    zone: Zone, name: Name, rdtype: RdataType, found: Iterable[Rdata], apex: Key, links: list[RRset]
) -> Content:
    if rdtype == ANY:
        return Content(NOERROR, (*links, _rrset(name, rdata.hinfo("RFC8482"))))
    matching = [data for data in found if data.rdtype == rdtype]
    if key_of(name) == apex:
        if rdtype == SOA:
            return Content(NOERROR, (*links, _soa(zone, apex, name)))
        if rdtype == NS:
            matching = [rdata.ns(zone.authority.nameserver)]
    if not matching:
        return Content(NOERROR, tuple(links), (_soa(zone, apex),))
    return Content(NOERROR, (*links, _rrset(name, *matching)), additional=tuple(_addresses(zone, matching)))


def _addresses(zone: Zone, matching: Iterable[Rdata]) -> Iterable[RRset]:
    """The A records of what SRV and NS records name: clients ask for them next."""
    targets = dict.fromkeys(rdata.target(data) for data in matching if data.rdtype in (SRV, NS))
    for target in targets:
        found = [data for data in zone.find(key_of(target)) or () if data.rdtype == A]
        if found:
            yield _rrset(target, *found)


def _soa(zone: Zone, apex: Key, owner: Name | None = None) -> RRset:
    """The zone's SOA record; its minimum is how long negative answers hold (RFC 2308)."""
    authority = zone.authority
    data = rdata.soa(authority.nameserver, authority.mailbox, zone.serial, _REFRESH, _RETRY, _EXPIRE, TTL)
    return _rrset(owner or name_of(apex), data)


def _rrset(name: Name, *rdatas: Rdata) -> RRset:
    return from_rdata_list(name, TTL, rdatas)
