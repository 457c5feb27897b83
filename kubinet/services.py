"""What a Service means on a node: which endpoints serve which traffic. Pure; the rules are kube-proxy's.

Sources: Kubernetes' "Virtual IPs and Service Proxies", KEP-1669 (terminating endpoints), KEP-2086 (internal traffic
policy), KEP-2433 and KEP-4444 (topology), and the behaviour of kube-proxy 1.33.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from kubinet.state import Endpoint, NetworkConfig, Node, Service, ServicePort
from kubinet.transport import Protocol


class NoEndpoint(Enum):
    """What becomes of a connection that no endpoint may serve."""

    REJECT = "reject"
    """Refused at once: the Service has no endpoint anywhere."""
    DROP = "drop"
    """Silence: there are endpoints, but a traffic policy keeps this node from them (health checks tell others)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which endpoints a new connection may go to, and what happens without one."""

    endpoints: tuple[Endpoint, ...]
    otherwise: NoEndpoint = NoEndpoint.REJECT
    local: bool = False
    """Only the node's own endpoints were looked at."""


class FrontendKind(Enum):
    """Where clients connect to."""

    CLUSTER_IP = "cluster IP"
    LOAD_BALANCER = "load balancer"
    EXTERNAL_IP = "external IP"
    NODE_PORT = "node port"


@dataclass(frozen=True, slots=True)
class Frontend:
    """One address and port of a Service on one node, and who serves what comes there."""

    kind: FrontendKind
    address: IPv4Address
    port: int
    protocol: Protocol
    internal: Choice
    """For connections of pods and of the node itself."""
    external: Choice
    """For connections that come from the underlay."""
    masquerade: bool
    """External connections get the node's address, because their replies must come back through this node."""


def frontends(service: Service, port: ServicePort, node: Node) -> Iterator[Frontend]:
    """Every way into one port of a Service on a node; an address that it names twice counts once."""
    cluster, local = cluster_choice(port, node), local_choice(port, node)
    inside = local if service.internal_local else cluster
    yield Frontend(
        FrontendKind.CLUSTER_IP, service.cluster_ip, port.port, port.protocol, inside, inside, masquerade=False
    )
    outside = local if service.external_local else cluster
    masquerade = not service.external_local
    named = {(service.cluster_ip, port.port)}
    for kind, address, number in _outside(service, port, node):
        if (address, number) not in named:
            named.add((address, number))
            yield Frontend(kind, address, number, port.protocol, cluster, outside, masquerade)


def _outside(service: Service, port: ServicePort, node: Node) -> Iterator[tuple[FrontendKind, IPv4Address, int]]:
    # Where an external address is the node's own it is so on all nodes: the node port gives way to it.
    named = node.underlay.ip in service.external and any(
        (one.port, one.protocol) == (port.node_port, port.protocol) for one in service.ports
    )
    if port.node_port is not None and not named:
        yield FrontendKind.NODE_PORT, node.underlay.ip, port.node_port
    for address in service.load_balancer_ips:
        yield FrontendKind.LOAD_BALANCER, address, port.port
    for address in service.external_ips:
        yield FrontendKind.EXTERNAL_IP, address, port.port


def cluster_choice(port: ServicePort, node: Node) -> Choice:
    """Endpoints of the whole cluster: the ready ones that hints give to this node, else those that still serve."""
    ready = tuple(endpoint for endpoint in port.endpoints if endpoint.ready)
    if ready:
        return Choice(_hinted(ready, node))
    return Choice(_terminating(port.endpoints))


def local_choice(port: ServicePort, node: Node) -> Choice:
    """Endpoints of this node only."""
    here = [endpoint for endpoint in port.endpoints if endpoint.node == node.name]
    ready = tuple(endpoint for endpoint in here if endpoint.ready)
    otherwise = NoEndpoint.DROP if has_endpoints(port) else NoEndpoint.REJECT
    return Choice(ready or _terminating(here), otherwise, local=True)


def has_endpoints(port: ServicePort) -> bool:
    """Whether any endpoint, wherever it is, would serve a connection."""
    return any(endpoint.ready for endpoint in port.endpoints) or bool(_terminating(port.endpoints))


def same_everywhere(service: Service) -> bool:
    """Whether the cluster-wide choice of endpoints does not depend on the node."""
    return not service.internal_local and not any(
        endpoint.zones or endpoint.nodes for port in service.ports for endpoint in port.endpoints
    )


def healthy(service: Service, node: Node) -> int:
    """How many ready endpoints the node has itself: what its health check node port answers."""
    found = {
        endpoint.address
        for port in service.ports
        for endpoint in port.endpoints
        if endpoint.ready and endpoint.node == node.name
    }
    return len(found)


def _terminating(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in endpoints if endpoint.serving and endpoint.terminating)


def _hinted(ready: tuple[Endpoint, ...], node: Node) -> tuple[Endpoint, ...]:
    """Hints count only when every ready endpoint has one and one of them is for this node."""
    tests: tuple[tuple[Callable[[Endpoint], frozenset[str]], str], ...] = (
        (lambda endpoint: endpoint.nodes, node.name),
        (lambda endpoint: endpoint.zones, node.zone),
    )
    for hints, mine in tests:
        if mine and all(hints(endpoint) for endpoint in ready):
            chosen = tuple(endpoint for endpoint in ready if mine in hints(endpoint))
            if chosen:
                return chosen
    return ready


def external_addresses(services: Iterable[Service]) -> tuple[IPv4Address, ...]:
    """Every external address of any Service, once, in order."""
    return tuple(sorted({address for service in services for address in service.external}))


def refused_addresses(service: Service, network: NetworkConfig) -> tuple[IPv4Address, ...]:
    """External addresses that no Service gets: pods' addresses, and cluster addresses, which are given by allocation.

    A Service that took one would have what is sent to a pod, or to a Service that is still to come.
    """
    own = (network.pod_cidr, network.service_cidr)
    named = dict.fromkeys(service.external)
    return tuple(one for one in named if one != service.cluster_ip and any(one in cidr for cidr in own))


def floating_addresses(service: Service, network: NetworkConfig) -> tuple[IPv4Address, ...]:
    """External addresses that no host can have: what is sent to another port than the Service's is for nobody.

    The others stay their hosts': a node's address may be a Service's external one, and its other ports are the node's.
    """
    hosts = (network.underlay_cidr, network.pod_cidr, network.service_cidr, network.management_cidr)
    return tuple(one for one in dict.fromkeys(service.external) if not any(one in cidr for cidr in hosts))


@dataclass(frozen=True, slots=True)
class Clash:
    """Two Services want the same address and port: who was allocated it has it, else the first by name."""

    winner: str
    loser: str
    address: IPv4Address
    port: int
    protocol: Protocol

    def __str__(self) -> str:
        return (
            f"{self.address}:{self.port}/{self.protocol.name} belongs to Service {self.winner} already; "
            "it does not serve this Service"
        )


Front = tuple[IPv4Address, int, Protocol]
"""An external address and a port."""


def lost_fronts(found: Iterable[Clash]) -> Mapping[str, frozenset[Front]]:
    """By Service: what other Services have of what it claims."""
    lost: dict[str, set[Front]] = {}
    for clash in found:
        lost.setdefault(clash.loser, set()).add((clash.address, clash.port, clash.protocol))
    return {key: frozenset(fronts) for key, fronts in lost.items()}


def clashes(services: Mapping[str, Service], nodes: Iterable[Node] = ()) -> tuple[Clash, ...]:
    """External addresses whose port belongs to another Service: that claims it too, or has it as its cluster IP, or as
    a node port where the address is a node's."""
    claims = sorted(key for key, service in services.items() if service.external)
    if not claims:
        return ()
    claimed = {address for key in claims for address in services[key].external}
    owners: dict[tuple[IPv4Address, int, Protocol], str] = {}
    own = [node.underlay.ip for node in nodes if node.underlay.ip in claimed]
    for key in claims:
        # The pool gave these to this Service; whoever names them in externalIPs comes after.
        for address in services[key].load_balancer_ips:
            for port in services[key].ports:
                owners.setdefault((address, port.port, port.protocol), key)
    for key, service in services.items():
        for port in service.ports:
            if service.cluster_ip in claimed:
                owners[service.cluster_ip, port.port, port.protocol] = key
            if port.node_port is not None:
                owners.update(((address, port.node_port, port.protocol), key) for address in own)
    found = []
    for key in claims:
        service = services[key]
        for port in service.ports:
            for address in dict.fromkeys(service.external):
                owner = owners.setdefault((address, port.port, port.protocol), key)
                if owner != key:
                    found.append(Clash(owner, key, address, port.port, port.protocol))
    return tuple(found)
