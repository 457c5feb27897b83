"""Open Service connections by endpoint, from what a node's connection tracking prints. Pure.

A Service's connection has the bit SERVICE_MARK_BIT in its mark on the node where it entered the pod network, and not on
its endpoint's node: the sum over all nodes counts each once.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from ipaddress import IPv4Address
from typing import Final

from kubinet.addressing import MAIN_ZONE, SERVICE_MARK_BIT
from kubinet.connectioncounts import Counts
from kubinet.state import Algorithm, Service

Endpoint = tuple[IPv4Address, int]

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
