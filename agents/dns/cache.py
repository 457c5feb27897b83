"""Answers of other servers, kept as long as their TTL allows but for at most 30 s, as in a cluster's usual CoreDNS."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from dns.rcode import NOERROR, NXDOMAIN
from dns.rdatatype import SOA, RdataType
from dns.rrset import RRset, from_rdata_list

from agents.dns.answer import Content
from agents.dns.names import Key

LIMIT_SECONDS: Final = 30
ENTRIES: Final = 10_000
Asked = tuple[Key, RdataType]


@dataclass(frozen=True, slots=True)
class _Entry:
    content: Content
    stored: float
    expires: float


class Cache:
    """Bounded: the entry that was longest unused makes room for a new one. Times are seconds of one clock."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._limit = entries
        self._entries: OrderedDict[Asked, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, asked: Asked, now: float) -> Content | None:
        """What was kept, its TTLs lowered by its age; None when there is nothing or it is too old."""
        entry = self._entries.get(asked)
        if entry is None:
            return None
        if now >= entry.expires:
            del self._entries[asked]
            return None
        self._entries.move_to_end(asked)
        return limited(entry.content, LIMIT_SECONDS, int(now - entry.stored))

    def put(self, asked: Asked, content: Content, now: float) -> None:
        """Keep an answer, if it may be kept."""
        seconds = lifetime(content)
        if seconds <= 0:
            return
        self._entries[asked] = _Entry(content, now, now + seconds)
        self._entries.move_to_end(asked)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)


def lifetime(content: Content) -> int:
    """Seconds that an answer may be kept: its lowest TTL; a negative one's is its SOA's (RFC 2308), else 0."""
    if content.rcode not in (NOERROR, NXDOMAIN):
        return 0
    ttls = [rrset.ttl for rrset in (*content.answer, *content.authority, *content.additional)]
    heads = [rrset for rrset in content.authority if rrset.rdtype == SOA]
    if heads:
        ttls += [data.minimum for rrset in heads for data in rrset]
    elif content.rcode == NXDOMAIN or not content.answer:
        return 0
    return min([LIMIT_SECONDS, *ttls])


def limited(content: Content, most: int, age: int = 0) -> Content:
    """The content with no TTL above `most`, and each lowered by `age`."""

    def change(rrsets: Iterable[RRset]) -> tuple[RRset, ...]:
        return tuple(from_rdata_list(r.name, max(0, min(r.ttl, most) - age), list(r)) for r in rrsets)

    return replace(
        content,
        answer=change(content.answer),
        authority=change(content.authority),
        additional=change(content.additional),
    )
