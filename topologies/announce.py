"""Which addresses of Services the underlay learns, and over which next hops: pure.

What a real cluster does with BGP: each node that serves an address announces it, and every router takes the nearest
announcers, several as equal-cost next hops.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import MappingProxyType

from kubinet.services import floating_addresses, healthy
from kubinet.state import NetworkConfig, Node, Service
from topologies.plan import Ways

Hops = tuple[IPv4Address, ...]
Table = Mapping[IPv4Address, Hops]
"""A vertex's announced routes: next hops by address."""
Tables = Mapping[str, Table]
"""By vertex."""
NOTHING: Tables = MappingProxyType({})


def announcers(
    services: Iterable[Service], nodes: Iterable[Node], network: NetworkConfig
) -> Mapping[IPv4Address, frozenset[str]]:
    """The nodes that announce each external address; an address that no node serves is missing.

    `externalTrafficPolicy: Cluster`: all nodes. `Local`: those with a ready endpoint of their own. An address that
    several Services share is announced by the nodes of each. Addresses that the cluster has already (of nodes, pods,
    cluster IPs, the management network) are never announced: that would cut them off.
    """
    known = tuple(nodes)
    everywhere = frozenset(node.name for node in known)
    found: dict[IPv4Address, frozenset[str]] = {}
    for service in services:
        if not service.external:
            continue
        serving = everywhere
        if service.external_local:
            serving = frozenset(node.name for node in known if healthy(service, node))
        for address in floating_addresses(service, network):
            if serving:
                found[address] = found.get(address, frozenset()) | serving
    return found


def tables(announced: Mapping[IPv4Address, frozenset[str]], ways: Ways, vertices: Iterable[str]) -> Tables:
    """Every vertex's routes; `vertices` are routers and outside hosts."""
    addresses: dict[frozenset[str], list[IPv4Address]] = {}
    for address, nodes in announced.items():
        addresses.setdefault(nodes, []).append(address)
    made: dict[str, Table] = {}
    for vertex in vertices:
        table: dict[IPv4Address, Hops] = {}
        for nodes, own in addresses.items():
            hops = ways.nearest(vertex, nodes)
            if hops:
                table.update(dict.fromkeys(own, hops))
        made[vertex] = table
    return made


@dataclass(frozen=True, slots=True)
class Change:
    """One route of one vertex to set, or to withdraw when it has no next hops any more."""

    vertex: str
    address: IPv4Address
    hops: Hops


def changes(before: Tables, after: Tables) -> Iterator[Change]:
    """What leads from one set of tables to another."""
    for vertex in dict.fromkeys((*before, *after)):
        old, new = before.get(vertex, {}), after.get(vertex, {})
        for address in sorted({*old, *new}):
            hops = new.get(address, ())
            if hops != old.get(address, ()):
                yield Change(vertex, address, hops)


def repeats(target: Tables, vertices: Iterable[str]) -> Iterator[Change]:
    """All routes of these vertices once more: the kernel drops a route when its interface goes down."""
    for vertex in vertices:
        for address, hops in target.get(vertex, {}).items():
            yield Change(vertex, address, hops)
