"""What a server is the authority for: names with records, and the names above them, which exist without records."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dns.name import Name
from dns.rdata import Rdata

from agents.dns.names import Key, suffixes

Records = Mapping[Key, tuple[Rdata, ...]]
"""Name -> its records of all types."""

TTL = 5
"""Seconds; that of every record, and of negative answers: CoreDNS' default for its kubernetes plugin."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Which zones there are, and who is named in their SOA and NS records."""

    apexes: frozenset[Key]
    nameserver: Name
    mailbox: Name

    def apex(self, key: Key) -> Key | None:
        """The apex of the zone that holds a name; None when the name is in none of the zones."""
        return next((suffix for suffix in suffixes(key) if suffix in self.apexes), None)


class Zone:
    """The records of one server, each set put there by an owner (a Service, a Pod), who can change or remove it."""

    def __init__(self, authority: Authority, serial: int = 1) -> None:
        """`serial`: that of the SOA record; each change adds one."""
        self.authority = authority
        self.serial = serial
        self._owned: dict[str, Records] = {}
        self._names: dict[Key, dict[str, tuple[Rdata, ...]]] = {}
        # How many names with records there are at or below a name: at 0 it does not exist (RFC 8020).
        self._weights: Counter[Key] = Counter()

    def put(self, owner: str, records: Records) -> None:
        """Make these the owner's records, whatever it had before. Names outside of the zones are left out."""
        before = self._owned.get(owner, {})
        wanted = {key: rdatas for key, rdatas in records.items() if rdatas and self.authority.apex(key) is not None}
        if wanted == before:
            return
        for key in before.keys() - wanted.keys():
            self._drop(key, owner)
        for key, rdatas in wanted.items():
            self._names.setdefault(key, {})[owner] = rdatas
            if key not in before:
                self._weights.update(suffixes(key))
        if wanted:
            self._owned[owner] = wanted
        else:
            del self._owned[owner]
        self.serial += 1

    def owners(self) -> Iterable[str]:
        """Who has records."""
        return tuple(self._owned)

    def find(self, key: Key) -> tuple[Rdata, ...] | None:
        """The records of a name; empty for one that exists because of names below it; None when it does not exist."""
        owned = self._names.get(key)
        if owned is not None:
            # Two owners may say the same: an address that is an endpoint of two Services keeps both PTR records.
            return tuple(dict.fromkeys(rdata for rdatas in owned.values() for rdata in rdatas))
        return () if key in self._weights or key in self.authority.apexes else None

    def names(self) -> Iterable[Key]:
        """Every name that has records."""
        return tuple(self._names)

    def _drop(self, key: Key, owner: str) -> None:
        owned = self._names[key]
        del owned[owner]
        if not owned:
            del self._names[key]
        for suffix in suffixes(key):
            self._weights[suffix] -= 1
            if not self._weights[suffix]:
                del self._weights[suffix]
