"""Open Service connections by endpoint, from what a node's connection tracking prints. Pure.

A Service's connection has the bit SERVICE_MARK_BIT in its mark on the node where it entered the pod network, and not on
its endpoint's node: the sum over all nodes counts each once.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from kubinet.addressing import MAIN_ZONE, SERVICE_MARK_BIT
from kubinet.connectioncounts import Counts
from kubinet.state import Algorithm, Service

Endpoint: TypeAlias = tuple[IPv4Address, int]
Levels: TypeAlias = Mapping[Endpoint, float]
"""Endpoint -> open connections, smoothed."""
FALL: Final = 1 / 3
"""The part of the difference by which a level falls with each count."""

_OPEN: Final = re.compile(
    r"^(?:tcp|udp|sctp),orig=\([^)]*\),reply=\(src=([\d.]+),dst=[\d.]+,sport=(\d+),dport=\d+\),"
    rf"zone={MAIN_ZONE},mark=(\d+)(?:,labels=\w+)?(?:,protoinfo=\(state=ESTABLISHED\))?$",
    re.MULTILINE,
)
"""One line of `dpctl/dump-conntrack`. TCP and SCTP carry their state, and any but ESTABLISHED does not match."""


def counted_endpoints(services: Mapping[str, Service]) -> frozenset[Endpoint]:
    """The endpoints whose connections are asked for: those of Services with the algorithm `least-connections`."""
    return frozenset(
        (endpoint.address, endpoint.port)
        for service in services.values()
        if service.algorithm is Algorithm.LEAST_CONNECTIONS
        for port in service.ports
        for endpoint in port.endpoints
    )


def count_open(dump: str) -> Counter[tuple[str, str]]:
    """Open Service connections of one node by endpoint, as (address, port) of its text.

    TCP and SCTP connections count while they are established; UDP ones until they time out.
    """
    return Counter((address, port) for address, port, mark in _OPEN.findall(dump) if int(mark) >> SERVICE_MARK_BIT & 1)


def summed(nodes: Iterable[Counter[tuple[str, str]]], wanted: Set[Endpoint]) -> Counts:
    """The sum over nodes of the endpoints that are asked for; those without a connection are left out."""
    total: Counter[tuple[str, str]] = Counter()
    for counted in nodes:
        total.update(counted)
    found = {(IPv4Address(address), int(port)): number for (address, port), number in total.items()}
    return {endpoint: number for endpoint, number in found.items() if endpoint in wanted}


def smoothed(levels: Levels, counts: Counts) -> Levels:
    """The levels after another count: they rise at once and fall slowly.

    What choices are made by is a second old. Acting on it as if it were new sends all new connections to an endpoint
    that was idle, then none, and so on: with one slow endpoint of four the 99th percentile of request times was twice
    as long. The same remedy as in Finagle's "peak EWMA".
    """
    found: dict[Endpoint, float] = {}
    for endpoint in levels.keys() | counts.keys():
        before, now = levels.get(endpoint, 0.0), counts.get(endpoint, 0)
        level = max(float(now), before + FALL * (now - before))
        if level >= 0.5:
            found[endpoint] = level
    return found


def rounded(levels: Levels) -> Counts:
    """What is published: whole connections."""
    return {endpoint: int(level + 0.5) for endpoint, level in levels.items()}
