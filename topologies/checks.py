"""What a topology must satisfy beyond its schema: refused here, before anything is created. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import networkx

from kubinet.addressing import INTERFACE_NAME_LIMIT
from kubinet.documents import Path
from kubinet.errors import InvalidInputError
from kubinet.state import NetworkConfig
from topologies.model import SECTIONS, Link, Role, Topology

Problem: TypeAlias = tuple[Path, str]
"""The path in the document, and what is wrong there."""

MAX_RATE = 10e9
"""Bits per second: htb's and tbf's own tables stay exact up to here; no userspace datapath comes near."""
POD_CIDR_PREFIXES = range(17, 29)
"""A pod's OpenFlow port is its place in the node's pod CIDR, and OpenFlow has 65,279 ports (OFPP_MAX)."""
_DNS_ROOM = 12
"""Addresses of a serviceCIDR whose tenth one can be used."""
_RESERVED = ("lo", "default", "all")
"""What the kernel calls interfaces, or all of them, in every namespace."""


def check(topology: Topology, at: Callable[[Path], str]) -> Topology:
    """Return the topology, or raise InvalidInputError with the first thing that cannot be honoured.

    `at` says where a field of the document stands, such as `net.yaml:12`.
    """
    for path, problem in _problems(topology):
        raise InvalidInputError(f"{at(path)}: {problem}")
    return topology


def link_path(topology: Topology, name: str) -> Path:
    """Where the document declares a link."""
    return ["spec", "links", [link.name for link in topology.links].index(name)]


def _problems(topology: Topology) -> Iterator[Problem]:
    yield from _name_problems(topology)
    yield from _link_problems(topology)
    yield from _network_problems(topology.network, len(topology.nodes))
    yield from _dns_problems(topology)
    yield from _pod_cidr_problems(topology)
    yield from _shape_problems(topology)


def _path(topology: Topology, name: str, occurrence: int = 0) -> Path:
    """Where the document declares a vertex; of several of one name the `occurrence`-th, -1 the last."""
    places = [
        ("spec", section, index, "name")
        for role, section in SECTIONS.items()
        for index, vertex in enumerate(topology.of(role))
        if vertex.name == name
    ]
    return places[occurrence]


def _name_problems(topology: Topology) -> Iterator[Problem]:
    counts = Counter(vertex.name for vertex in topology.vertices)
    ends = Counter(end for link in topology.links for end in (link.a, link.b))
    for name, count in counts.items():
        if count > 1:
            yield (
                _path(topology, name, -1),
                f"the name '{name}' is given to {count} nodes, switches, routers or outside hosts; names are unique",
            )
        if name in _RESERVED:
            yield _path(topology, name), f"'{name}' is a name that the kernel gives to interfaces; choose another"
        longest = f"{name}-eth{max(0, ends[name] - 1)}"
        if len(longest) > INTERFACE_NAME_LIMIT:
            yield (
                _path(topology, name),
                f"'{name}': interface name '{longest}' has {len(longest)} characters, Linux allows "
                f"{INTERFACE_NAME_LIMIT}; shorten the name",
            )
    links = Counter(link.name for link in topology.links)
    for name, count in links.items():
        if count > 1:
            yield (
                link_path(topology, name),
                f"{count} links are named '{name}'; give parallel links a name of their own",
            )


def _link_problems(topology: Topology) -> Iterator[Problem]:
    roles: Mapping[str, Role] = {vertex.name: vertex.role for vertex in topology.vertices}
    for index, link in enumerate(topology.links):
        path = ("spec", "links", index)
        for end in (link.a, link.b):
            if end not in roles:
                yield path, f"link '{link.name}': '{end}' is no node, switch, router or outside host of this topology"
        if link.a == link.b:
            yield path, f"link '{link.name}': both ends are '{link.a}'"
        for fields, problem in quantity_problems(link, topology.network.underlay_mtu):
            yield (path if link.own.intersection(fields) else ("spec", "defaults", "link", fields[0])), problem
    ends = Counter(end for link in topology.links for end in (link.a, link.b))
    for vertex in topology.vertices:
        count = ends[vertex.name]
        if vertex.role in (Role.NODE, Role.OUTSIDE) and count != 1:
            kind = "node" if vertex.role is Role.NODE else "outside host"
            yield (
                _path(topology, vertex.name),
                f"{kind} '{vertex.name}' has {count} links; it must have exactly one "
                "(a node with several uplinks is not supported: attach it to a switch or router that has them)",
            )


def quantity_problems(link: Link, mtu: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a link's quantities on a network of that MTU, bytes: the fields to blame, and words."""
    rate, jitter = ("rate",), ("jitter", "delay")
    if link.rate is not None and link.rate > MAX_RATE:
        yield (
            rate,
            f"link '{link.name}': a rate above 10gbit cannot be shaped exactly; leave it out for an unlimited link",
        )
    if link.rate is not None and link.rate < 64e3:
        yield rate, f"link '{link.name}': a rate below 64kbit cannot carry OVS's own frames in time; raise it"
    if link.jitter and not link.delay:
        yield jitter, f"link '{link.name}': jitter needs a delay to vary; add delay"
    if link.jitter > link.delay:
        yield jitter, f"link '{link.name}': jitter above delay would send packets back in time; lower it"
    if link.mtu is not None and link.mtu < mtu:
        yield (
            ("mtu",),
            f"link '{link.name}': mtu {link.mtu} is less than the network's {mtu}; nodes would send frames that it "
            f"cannot carry; lower network.mtu to {link.mtu} too",
        )


def _network(field: str) -> Path:
    return ("spec", "network", field)


def _network_problems(network: NetworkConfig, nodes: int) -> Iterator[Problem]:
    named = {
        "podCIDR": network.pod_cidr,
        "serviceCIDR": network.service_cidr,
        "underlayCIDR": network.underlay_cidr,
        "managementCIDR": network.management_cidr,
        "loadBalancerCIDR": network.load_balancer_cidr,
    }
    pairs = [(a, b) for a in named for b in named if a < b and named[a].overlaps(named[b])]
    for a, b in pairs:
        yield _network(a), f"network: {a} {named[a]} and {b} {named[b]} overlap; choose separate ones"
    size = network.node_prefix_length
    if size <= network.pod_cidr.prefixlen:
        yield (
            _network("nodeCIDRMaskSize"),
            f"network: nodeCIDRMaskSize {size} does not divide podCIDR {network.pod_cidr}; it must be larger",
        )
    elif nodes > 2 ** (size - network.pod_cidr.prefixlen):
        room = 2 ** (size - network.pod_cidr.prefixlen)
        yield (
            _network("podCIDR"),
            f"network: podCIDR {network.pod_cidr} holds {room} nodes of /{size}, the topology has {nodes}; widen it",
        )
    if nodes + 3 > network.management_cidr.num_addresses:
        yield (
            _network("managementCIDR"),
            f"network: managementCIDR {network.management_cidr} is too small for {nodes} nodes; widen it",
        )


def _dns_problems(topology: Topology) -> Iterator[Problem]:
    upstream = topology.network.dns_upstream
    if upstream is not None and upstream not in {vertex.name for vertex in topology.of(Role.OUTSIDE)}:
        yield (
            _network("dnsUpstream"),
            f"network: dnsUpstream '{upstream}' is no outside host of this topology; add it to `outside`",
        )
    service_cidr = topology.network.service_cidr
    if topology.network.dns_replicas and service_cidr.num_addresses < _DNS_ROOM:
        yield (
            _network("serviceCIDR"),
            f"network: serviceCIDR {service_cidr} is too small for the DNS Service's address, the tenth; widen it",
        )


def _pod_cidr_problems(topology: Topology) -> Iterator[Problem]:
    sizes = [(_network("nodeCIDRMaskSize"), "network", topology.network.node_prefix_length)]
    sizes += [
        (("spec", "nodes", index, "podCIDR"), f"node '{node.name}'", node.pod_cidr.prefixlen)
        for index, node in enumerate(topology.nodes)
        if node.pod_cidr is not None
    ]
    for path, where, size in sizes:
        if size not in POD_CIDR_PREFIXES:
            low, high = POD_CIDR_PREFIXES.start, POD_CIDR_PREFIXES.stop - 1
            yield path, f"{where}: a node's pod CIDR of /{size} is not supported; use /{low} to /{high}"


def _shape_problems(topology: Topology) -> Iterator[Problem]:
    graph = networkx.MultiGraph()
    graph.add_nodes_from(vertex.name for vertex in topology.vertices)
    graph.add_edges_from((link.a, link.b) for link in topology.links)
    parts = sorted((sorted(part) for part in networkx.connected_components(graph)), key=len)
    if len(parts) > 1:
        lost, main = parts[0][0], parts[-1][0]
        yield _path(topology, lost), f"the topology falls into {len(parts)} parts; '{lost}' is not linked to '{main}'"
    names = {vertex.name for vertex in topology.of(Role.SWITCH)}
    switches = networkx.MultiGraph((link.a, link.b) for link in topology.links if {link.a, link.b} <= names)
    try:
        loop = networkx.find_cycle(switches)
    except networkx.NetworkXNoCycle:
        return
    listing = ", ".join(f"'{edge[0]}'" for edge in loop)
    yield (
        _path(topology, loop[0][0]),
        f"the switches {listing} form a loop and there is no spanning tree here: make them routers (equal-cost paths)",
    )
