"""Every address, MAC, interface name and route of the underlay, as a pure function of the topology.

A **segment** is one layer-2 network: switches that are linked to each other with all that hangs on them, or one link
between two layer-3 devices (a /31, RFC 3021). Routers get equal-cost routes to every segment; nodes and outside hosts
have one default router. With direct routing, routers also know each node's pod CIDR.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from kubinet.state import Overlay
from topologies.model import Link, PlanError, Role, Topology
from topologies.podcidrs import choose_pod_cidrs


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link."""

    vertex: str
    name: str
    link: str
    mac: str
    address: IPv4Interface | None
    """None for switches' ports."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a router, node or outside host; several next hops are equal-cost."""

    destination: IPv4Network
    next_hops: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `topologies.build` realises."""

    interfaces: Mapping[str, tuple[Interface, ...]]
    """By vertex, in the order of its links."""
    routes: Mapping[str, tuple[Route, ...]]
    gateways: Mapping[str, IPv4Address]
    """The default router of each node and outside host whose segment has one."""
    pod_cidrs: Mapping[str, IPv4Network]
    management: Mapping[str, IPv4Interface]
    management_address: IPv4Interface

    def interface(self, vertex: str, link: str) -> Interface:
        """The end of `link` at `vertex`."""
        return next(one for one in self.interfaces[vertex] if one.link == link)

    def reachable(self, vertex: str, hops: Iterable[IPv4Address], up: Collection[str]) -> tuple[IPv4Address, ...]:
        """Those of the next hops that lie behind interfaces of the vertex which are up (by name)."""
        subnets = [one.address.network for one in self.interfaces[vertex] if one.address is not None and one.name in up]
        return tuple(hop for hop in hops if any(hop in subnet for subnet in subnets))

    def owner(self, address: IPv4Address) -> Interface:
        """The interface that has the address."""
        every = (one for ends in self.interfaces.values() for one in ends)
        return next(one for one in every if one.address is not None and one.address.ip == address)


@dataclass(frozen=True, slots=True)
class _Segment:
    subnet: IPv4Network
    ends: tuple[tuple[str, str], ...]
    """(vertex, link) of every layer-3 end."""


def make_plan(topology: Topology) -> Plan:
    """The plan; PlanError where a CIDR is too small, or nodes' pod CIDRs do not fit."""
    segments = _segments(topology)
    addresses = _addresses(segments)
    interfaces = _interfaces(topology, addresses)
    pod_cidrs = choose_pod_cidrs(topology)
    hops = Ways(topology, segments, addresses)
    gateways = {
        vertex.name: gateway
        for vertex in topology.vertices
        if vertex.role in (Role.NODE, Role.OUTSIDE) and (gateway := hops.gateway(vertex.name)) is not None
    }
    routes = {router.name: tuple(hops.routes(router.name, pod_cidrs)) for router in topology.of(Role.ROUTER)}
    management = topology.network.management_cidr
    return Plan(
        interfaces=interfaces,
        routes=routes,
        gateways=gateways,
        pod_cidrs=pod_cidrs,
        management={
            node.name: IPv4Interface((management[index], management.prefixlen))
            for index, node in enumerate(topology.nodes, start=2)
        },
        management_address=IPv4Interface((topology.network.management_address, management.prefixlen)),
    )


def make_ways(topology: Topology) -> "Ways":
    """The shortest ways through the topology that `make_plan` accepted."""
    segments = _segments(topology)
    return Ways(topology, segments, _addresses(segments))


def _addresses(segments: Sequence[_Segment]) -> dict[tuple[str, str], IPv4Interface]:
    return {
        end: IPv4Interface((address, segment.subnet.prefixlen))
        for segment in segments
        for end, address in zip(segment.ends, _hosts(segment.subnet), strict=False)
    }


def _segments(topology: Topology) -> list[_Segment]:
    """All segments with their subnets: the large ones first, so that every subnet is aligned without gaps."""
    members = list(_members(topology))
    pool = topology.network.underlay_cidr
    start = int(pool.network_address)
    found = []
    for ends in sorted(members, key=lambda ends: (-_size(ends), members.index(ends))):
        size = _size(ends)
        if start + size > int(pool.broadcast_address) + 1:
            raise PlanError(
                ("spec", "network", "underlayCIDR"),
                f"network: underlayCIDR {pool} is too small for this topology's links; widen it",
            )
        found.append(_Segment(IPv4Network((start, 33 - size.bit_length())), tuple(ends)))
        start += size
    return found


def _size(ends: Sequence[tuple[str, str]]) -> int:
    """Addresses of a segment's subnet: 2 for two ends, else a power of two with room for network and broadcast."""
    return 2 if len(ends) <= 2 else 1 << (len(ends) + 1).bit_length()


def _hosts(subnet: IPv4Network) -> Iterator[IPv4Address]:
    return iter(subnet) if subnet.prefixlen == 31 else subnet.hosts()


def _members(topology: Topology) -> Iterator[list[tuple[str, str]]]:
    """The layer-3 ends of each segment, in the topology's order."""
    switches = {vertex.name for vertex in topology.of(Role.SWITCH)}
    at: dict[str, list[Link]] = {vertex.name: [] for vertex in topology.vertices}
    for link in topology.links:
        at[link.a].append(link)
        at[link.b].append(link)
    seen: set[str] = set()
    for switch in (vertex.name for vertex in topology.of(Role.SWITCH)):
        if switch in seen:
            continue
        ends: list[tuple[str, str]] = []
        waiting = deque([switch])
        seen.add(switch)
        while waiting:
            here = waiting.popleft()
            for link in at[here]:
                other = link.other(here)
                if other not in switches:
                    ends.append((other, link.name))
                elif other not in seen:
                    seen.add(other)
                    waiting.append(other)
        yield ends
    for link in topology.links:
        if link.a not in switches and link.b not in switches:
            yield [(link.a, link.name), (link.b, link.name)]


def _interfaces(
    topology: Topology, addresses: Mapping[tuple[str, str], IPv4Interface]
) -> dict[str, tuple[Interface, ...]]:
    number = 0
    found: dict[str, list[Interface]] = {vertex.name: [] for vertex in topology.vertices}
    for link in topology.links:
        for end in (link.a, link.b):
            number += 1
            mac = "02:6b:6e:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(3, "big"))
            name = f"{end}-eth{len(found[end])}"
            found[end].append(Interface(end, name, link.name, mac, addresses.get((end, link.name))))
    return {vertex: tuple(ends) for vertex, ends in found.items()}


class Ways:
    """Shortest ways between segments over routers."""

    def __init__(
        self, topology: Topology, segments: Sequence[_Segment], addresses: Mapping[tuple[str, str], IPv4Interface]
    ) -> None:
        self._topology = topology
        self._segments = segments
        self._addresses = addresses
        self._routers = {vertex.name for vertex in topology.of(Role.ROUTER)}
        self._of: dict[str, list[int]] = {vertex.name: [] for vertex in topology.vertices}
        self._distances_to: dict[int, Mapping[int, int]] = {}
        for index, segment in enumerate(segments):
            for vertex, _ in segment.ends:
                self._of[vertex].append(index)

    def gateway(self, vertex: str) -> IPv4Address | None:
        """The first router on the vertex's segment."""
        for segment in (self._segments[index] for index in self._of[vertex]):
            for end in segment.ends:
                if end[0] in self._routers:
                    return self._addresses[end].ip
        return None

    def routes(self, router: str, pod_cidrs: Mapping[str, IPv4Network]) -> Iterator[Route]:
        """Routes to all segments that the router is not on, and with direct routing to all pod CIDRs."""
        direct = self._topology.network.overlay is Overlay.DIRECT
        for index, segment in enumerate(self._segments):
            on_link = index in self._of[router]
            hops = () if on_link else self._next_hops(router, index)
            if not on_link:
                yield Route(segment.subnet, hops)
            if direct:
                for end in segment.ends:
                    if end[0] in pod_cidrs:
                        yield Route(pod_cidrs[end[0]], hops or (self._addresses[end].ip,))

    def nearest(self, vertex: str, nodes: frozenset[str]) -> tuple[IPv4Address, ...]:
        """Equal-cost next hops from a router or outside host to those of the nodes that are fewest routers away.

        Nodes on a segment of its own are next hops themselves. Empty where the default route serves (an outside host
        without such nodes beside it), and where there is no way or no node.
        """
        here = frozenset(self._of[vertex])
        beside = {self._addresses[end].ip for index in here for end in self._segments[index].ends if end[0] in nodes}
        if beside or vertex not in self._routers:
            return tuple(sorted(beside))
        targets = {index for node in nodes for index in self._of.get(node, ())}
        away = {target: self._away(here, target) for target in targets}
        fewest = min((one for one in away.values() if one is not None), default=None)
        if fewest is None:
            return ()
        found = {hop for target, one in away.items() if one == fewest for hop in self._next_hops(vertex, target)}
        return tuple(sorted(found))

    def _away(self, here: frozenset[int], target: int) -> int | None:
        distance = self._distances(target)
        return min((distance[index] for index in here if index in distance), default=None)

    def _next_hops(self, router: str, target: int) -> tuple[IPv4Address, ...]:
        distance = self._distances(target)
        best = min(distance[index] for index in self._of[router] if index in distance)
        found = {
            self._addresses[end].ip
            for index in self._of[router]
            if distance.get(index) == best
            for end in self._segments[index].ends
            if end[0] in self._routers and end[0] != router and self._reaches(end[0], best - 1, distance)
        }
        return tuple(sorted(found))

    def _reaches(self, router: str, wanted: int, distance: Mapping[int, int]) -> bool:
        return any(distance.get(index) == wanted for index in self._of[router])

    def _distances(self, target: int) -> Mapping[int, int]:
        """Routers to cross from each segment to the target segment."""
        if target not in self._distances_to:
            self._distances_to[target] = self._count_routers(target)
        return self._distances_to[target]

    def _count_routers(self, target: int) -> dict[int, int]:
        distance = {target: 0}
        waiting = deque([target])
        while waiting:
            here = waiting.popleft()
            for vertex, _ in self._segments[here].ends:
                if vertex not in self._routers:
                    continue
                for index in self._of[vertex]:
                    if index not in distance:
                        distance[index] = distance[here] + 1
                        waiting.append(index)
        return distance
