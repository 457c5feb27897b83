"""Links as measured against what the topology declares.

Delay is measured link by link, with pings from one end to the other. A rate is not: loading every link would take
longer than most experiments; experiments compare what a whole path carries with its slowest declared link.
"""

import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from experiments.base import RunningCluster
from experiments.measure.ping import parse_ping, ping_command
from experiments.records import LinkCheck
from experiments.underlay_path import UnderlayLink

DELAY_TOLERANCE_MS: Final = 1.0
DELAY_TOLERANCE: Final = 0.05
"""A delay may be off by `DELAY_TOLERANCE_MS` and this share of the declared delay."""


PINGS: Final = 20


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """Where one end of a link is."""

    pid: int
    """A process in the network namespace of that end, in the sandbox's numbering."""
    address: IPv4Address | None
    """None for a switch, which has no address on its links."""


def link_ends(text: str, nodes: Mapping[str, IPv4Address]) -> dict[str, tuple[LinkEnd, LinkEnd]]:
    """Both ends of every link, from the underlay service's JSON; a node's address is on its uplink bridge: `nodes`."""
    return {
        str(link["name"]): (_end(link["ends"][0], nodes), _end(link["ends"][1], nodes)) for link in json.loads(text)
    }


def measure_links(
    cluster: RunningCluster, links: tuple[UnderlayLink, ...], nodes: Mapping[str, IPv4Address]
) -> tuple[LinkCheck, ...]:
    """The delay of every link that has an address on one of its ends, in the topology's order."""
    listing = cluster.run([sys.executable, "-m", "topologies.underlay_client", "links"])
    ends = link_ends(listing.stdout.decode(), nodes)
    checks = []
    for link in links:
        a, b = ends[link.name]
        source, address = (a, b.address) if b.address is not None else (b, a.address)
        if address is not None and source.address is not None:
            checks.append(_delay(cluster, link, source, address))
    return tuple(checks)


def _delay(cluster: RunningCluster, link: UnderlayLink, source: LinkEnd, address: IPv4Address) -> LinkCheck:
    argv = ping_command(address, count=PINGS, interval_s=0.01, payload_bytes=56, wait_s=2.0)
    inside = ["nsenter", f"--net=/proc/{source.pid}/ns/net", "--", *argv]
    run = parse_ping(cluster.run(inside, check=False).stdout.decode(errors="replace"), address)
    # The first reply waited for ARP.
    replies = run.after_warmup(1)
    measured = statistics.median(reply.rtt_ms for reply in replies) / 2 if replies else None
    close = measured is not None and delay_is_close(link.delay_ms, measured)
    return LinkCheck(link.name, "delay", link.delay_ms, measured, "ms", close)


def _end(end: Mapping[str, Any], nodes: Mapping[str, IPv4Address]) -> LinkEnd:
    address = nodes.get(end["vertex"])
    if address is None and end["address"]:
        address = IPv4Address(str(end["address"]).partition("/")[0])
    return LinkEnd(int(end["pid"]), address)


def delay_is_close(declared_ms: float, measured_ms: float) -> bool:
    """Whether a measured delay is what was declared, within 1 ms and 5 %."""
    return abs(measured_ms - declared_ms) <= DELAY_TOLERANCE_MS + DELAY_TOLERANCE * declared_ms
