"""Workload `dns`: names looked up from a place, by its own resolver's rules or straight."""

from dataclasses import dataclass
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import AS_ANSWERED, OfferedLoad
from experiments.programs.running import program
from experiments.scene import Scene
from experiments.workloads.common import (
    FROM,
    Pair,
    Plugin,
    check_places,
    file_name,
    names,
    number,
    one_of,
    place,
    switch,
    text,
    whole,
)
from experiments.workloads.request_response import require_success, thinned
from kubinet.errors import InvalidInputError, KubinetError

RDTYPES: Final = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
"""IANA's numbers of resource record types."""
_MORE_SECONDS: Final = 30.0
_NO_END: Final = 1e9


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a resolv.conf says."""

    servers: tuple[str, ...]
    search: tuple[str, ...]
    ndots: int


def parse_resolver(words: str) -> Resolver:
    """Read a resolv.conf (resolv.conf(5)); the last `search` counts, ndots is 1 unless an option says otherwise."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in words.splitlines():
        keyword, *rest = line.split() or [""]
        if keyword == "nameserver" and rest:
            servers.append(rest[0])
        elif keyword == "search":
            search = tuple(rest)
        elif keyword == "options":
            found = [option.partition(":")[2] for option in rest if option.startswith("ndots:")]
            ndots = int(found[-1]) if found and found[-1].isdecimal() else ndots
    return Resolver(tuple(servers), search, ndots)


class Dns(Plugin):
    """The workload."""

    summary = "DNS lookups by a pod's search list and ndots, or straight: latency, queries, rates."
    parameters = (
        FROM,
        Parameter("names", "", "", "names that are looked up in turn, with commas between; a last dot means: as it is"),
        Parameter("rdtype", "A", "A", f"type of record: {', '.join(RDTYPES)}"),
        Parameter("count", 0, 0, "lookups; 0: as many as there is time for", 0, 1_000_000),
        Parameter("seconds", 3.0, 1.0, "how long lookups begin, seconds; with `count` at most so long", 0.05, 3600),
        Parameter("parallel", 1, 1, "lookups at a time", 1, 1000),
        Parameter("straight", False, False, "true: each name is asked as it is, without the search list"),
        Parameter("ndots", -1, -1, "dots from which a name is first tried as it is; -1: as the pod says", -1, 15),
        Parameter(
            "server", "", "", "address of the DNS server; empty: the first of the pod's resolv.conf", holds=Holds.PLACES
        ),
        Parameter("timeout_s", 2.0, 1.0, "seconds after which a query has failed", 0.01, 60),
        Parameter("keep", 10_000, 2_000, "at most so many latencies are kept, evenly chosen", 1, 1_000_000),
    )
    required = ("from", "names")
    metrics: Final = {
        "lookup": "ms",
        "queries per lookup": "queries",
        "lookups per second": "1/s",
        "queries per second": "1/s",
        "failed": "lookups",
    }

    def check(self, settings: Settings) -> None:
        """Places, record type, and a server where the place has no resolver of its own."""
        check_places(settings, "from")
        one_of(settings, "rdtype", RDTYPES)
        if not text(settings, "from").startswith("pod/") and not text(settings, "server"):
            raise InvalidInputError(
                f"parameter 'server': {text(settings, 'from')} is no pod, so name the DNS server's address"
            )

    def duration_s(self, settings: Settings) -> float:
        """At most the seconds that are set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """As many queries as are answered."""
        return AS_ANSWERED

    def run(self, scene: Scene, settings: Settings) -> None:
        """One client."""
        source = text(settings, "from")
        resolver = _resolver(scene, source)
        server = text(settings, "server") or next(iter(resolver.servers), "")
        if not server:
            raise KubinetError(f"{source}: its resolv.conf names no server; set parameter 'server'")
        address, port = scene.address(server)
        ndots = whole(settings, "ndots")
        given = {
            "server": str(address),
            "port": port or 53,
            "names": names(settings, "names"),
            "rdtype": RDTYPES[text(settings, "rdtype")],
            "count": whole(settings, "count") or _NO_END,
            "seconds": number(settings, "seconds"),
            "parallel": whole(settings, "parallel"),
            "straight": switch(settings, "straight"),
            "search": resolver.search,
            "ndots": ndots if ndots >= 0 else resolver.ndots,
            "timeout": number(settings, "timeout_s"),
        }
        with program(place(scene, source), source, "dns_client", given) as client:
            found = client.hear(number(settings, "seconds") + number(settings, "timeout_s") * 8 + _MORE_SECONDS)
        rows = found["lookups"]
        require_success(rows, f"{source}: no lookup at {server} ({address})", scene, file_name("dns", source))
        started, elapsed = float(found["started"]), float(found["seconds"])
        answered = [row for row in rows if not row[4]]
        readings = []
        for index, (name, at, took, queries, _) in thinned(list(enumerate(answered, 1)), whole(settings, "keep")):
            pair = Pair(source, name)
            readings.append(pair.reading("lookup", took, "ms", started + at, index))
            readings.append(pair.reading("queries per lookup", queries, "queries", started + at, index))
        whole_run = Pair(source, server)
        asked = sum(row[3] for row in rows)
        readings.append(whole_run.reading("lookups per second", len(answered) / elapsed, "1/s", started))
        readings.append(whole_run.reading("queries per second", asked / elapsed, "1/s", started))
        readings.append(whole_run.reading("failed", len(rows) - len(answered), "lookups", started))
        scene.record(readings)


def _resolver(scene: Scene, source: str) -> Resolver:
    """The pod's, as its container sees it; empty for other places."""
    if not source.startswith("pod/"):
        return Resolver((), (), 1)
    namespace, _, name = source.removeprefix("pod/").rpartition("/")
    shown = scene.cluster.pod(name, namespace or "default").exec(["cat", "/etc/resolv.conf"])
    return parse_resolver(shown.stdout.decode(errors="replace"))


DNS: Final = Dns()
