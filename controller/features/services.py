"""Services: flows for every address and port that clients connect to. Pure; the rules are in `kubinet.services`.

Most of a Service is the same on all nodes and made once (`shared_part`); a node's own part has its node ports, traffic
policies and topology (`node_part`).
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import product
from typing import Final

from controller.features import balancing
from controller.features.balancing import Backends, EndpointKey, backends_id
from controller.features.common import TOPOLOGY, BridgeFlow, Maker, service_owner
from controller.features.uplink import to_services
from controller.openflow.actions import Action, load
from controller.openflow.fields import (
    FRAGMENT,
    IN_PORT,
    IP,
    IP_PROTO,
    IPV4_DST,
    IPV4_SRC,
    SCTP_DST,
    TCP_DST,
    UDP_DST,
    Term,
)
from controller.openflow.flow import Category, Group, Owner
from controller.pipeline import ENDPOINT_DNAT, SERVICE_LB, UPLINK, Priority, goto
from controller.registers import BACKENDS, ENDPOINT_ADDRESS, ENDPOINT_PORT, MASQUERADE, SOURCE, Place
from kubinet.addressing import REJECT_ADDRESS, REJECT_PORT, UNDERLAY_PORT
from kubinet.services import Choice, Frontend, FrontendKind, NoEndpoint, frontends, same_everywhere
from kubinet.state import ClusterState, Endpoint, Node, Service, ServicePort
from kubinet.transport import Protocol

DESTINATION_PORT: Final = {Protocol.TCP: TCP_DST, Protocol.UDP: UDP_DST, Protocol.SCTP: SCTP_DST}
"""The field that holds a protocol's destination port."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a Service's flows depend on beside the Service itself."""

    connections: Mapping[EndpointKey, int] | None = None
    """Open connections by endpoint, as the nodes last reported."""
    previous: Callable[[int], tuple[Hashable, ...]] = lambda _id: ()
    """The order of endpoints that a set's slot table had before."""
    lost: frozenset[tuple[IPv4Address, int, Protocol]] = frozenset()
    """Address, port and protocol of external addresses that belong to another Service."""
    number: Callable[[str, int], int] = lambda _name, wanted: wanted
    """The id of a set of endpoints, from its name and the hash of that."""


@dataclass(slots=True)
class Made:
    """A Service's flows and groups, and the sets of endpoints that they choose from."""

    flows: list[BridgeFlow] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    backends: dict[int, Backends] = field(default_factory=dict)
    node: str = ""
    """The node that has them; empty: all nodes."""
    shared: bool = False
    """The cluster-wide sets of endpoints are the same on all nodes, and so in the shared part."""


def shared_part(service: Service, sample: Node, around: Around) -> Made:
    """What is the same on all nodes; `sample`: any node, only to enumerate the Service's addresses."""
    made = Made()
    for port in service.ports:
        for frontend in frontends(service, port, sample):
            if _shared(service, frontend):
                _frontend(made, service, port, frontend, around)
    return made


def node_part(service: Service, node: Node, around: Around) -> Made:
    """What only this node has of the Service."""
    made = Made(node=node.name, shared=same_everywhere(service))
    for port in service.ports:
        for frontend in frontends(service, port, node):
            if not _shared(service, frontend):
                _frontend(made, service, port, frontend, around)
            _admission(made, service, frontend, node, around)
    return made


def varies(service: Service) -> bool:
    """Whether a node has a part of its own of the Service."""
    if service.external or service.external_local or not same_everywhere(service):
        return True
    return any(port.node_port for port in service.ports)


def refusals(state: ClusterState, _node: Node) -> Iterator[BridgeFlow]:
    """Cluster addresses that no Service has with that port are refused; other protocols there are dropped."""
    make = Maker(TOPOLOGY, Category.SERVICES)
    address = IPV4_DST(state.network.service_cidr)
    for protocol in Protocol:
        yield make(SERVICE_LB, Priority.FALLBACK, (IP, IP_PROTO(protocol), address), *_refuse())
    yield make(SERVICE_LB, Priority.GUARD, (IP, address))
    yield make(SERVICE_LB, Priority.GUARD, (IP, IPV4_DST(state.network.load_balancer_cidr)))


def _shared(service: Service, frontend: Frontend) -> bool:
    if frontend.kind is FrontendKind.NODE_PORT or not same_everywhere(service):
        return False
    return frontend.kind is FrontendKind.CLUSTER_IP or not service.external_local


def _refuse() -> tuple[Action, ...]:
    return (
        load(BACKENDS, 0),
        load(ENDPOINT_ADDRESS, int(REJECT_ADDRESS)),
        load(ENDPOINT_PORT, REJECT_PORT),
        goto(ENDPOINT_DNAT),
    )


def _frontend(made: Made, service: Service, port: ServicePort, frontend: Frontend, around: Around) -> None:
    if (frontend.address, frontend.port, frontend.protocol) in around.lost:
        return
    make = Maker(service_owner(service), Category.SERVICES)
    match = (IP, IP_PROTO(frontend.protocol), IPV4_DST(frontend.address))
    sources: tuple[tuple[Term, ...], ...] = ((),)
    if frontend.kind is FrontendKind.LOAD_BALANCER and service.source_ranges:
        sources = tuple((IPV4_SRC(network),) for network in dict.fromkeys(service.source_ranges))
        made.flows += (make(SERVICE_LB, Priority.POD, (*match, *number)) for number in _ports(service, frontend))
    inside = _choose(made, service, port, frontend.internal, around)
    outside = _choose(made, service, port, frontend.external, around)
    if frontend.masquerade and outside:
        outside = (load(MASQUERADE, 1), *outside)
    for source, number in product(sources, _ports(service, frontend)):
        made.flows.append(make(SERVICE_LB, Priority.NORMAL, (*match, *number, *source), *inside))
        if outside != inside:
            from_outside = (*match, *number, *source, SOURCE(Place.OUTSIDE))
            made.flows.append(make(SERVICE_LB, Priority.SPECIAL, from_outside, *outside))


def _ports(service: Service, frontend: Frontend) -> Iterator[tuple[Term, ...]]:
    """What tells the frontend's port."""
    yield (DESTINATION_PORT[frontend.protocol](frontend.port),)
    protocols = [port.protocol for port in service.ports]
    if (
        frontend.kind is FrontendKind.CLUSTER_IP
        and frontend.protocol is Protocol.UDP
        and protocols.count(Protocol.UDP) == 1
    ):
        # The userspace datapath tracks whole datagrams, but looks up each fragment, and without its port; the one that
        # comes last takes the datagram along. With a single UDP port the Service's address tells enough.
        yield (FRAGMENT,)


def _choose(made: Made, service: Service, port: ServicePort, choice: Choice, around: Around) -> tuple[Action, ...]:
    """The actions that lead a new connection to one of the endpoints; none at all to drop it."""
    if not choice.endpoints:
        return _refuse() if choice.otherwise is NoEndpoint.REJECT else ()
    name = balancing.backends_name(service.key, port.name, port.protocol, local=choice.local)
    number = around.number(name, backends_id(name))
    if len(choice.endpoints) == 1 and service.affinity_seconds is None:  # who is remembered stays when others join
        return (load(BACKENDS, number), *balancing.to_endpoint(choice.endpoints[0]), goto(ENDPOINT_DNAT))
    known = made.backends.get(number)
    if known is None:
        mine = choice.local or not made.shared
        known = Backends(
            id=number,
            owner=service_owner(service),
            protocol=port.protocol,
            endpoints=choice.endpoints[: balancing.LARGEST_SET],
            algorithm=service.algorithm,
            affinity_seconds=service.affinity_seconds,
            connections=around.connections,
            previous=around.previous(number),
            node=made.node if mine else "",
        )
        made.backends[number] = known
        if mine:
            made.flows += balancing.flows(known)
            made.groups += balancing.groups(known)
    return balancing.entry(known)


def _admission(made: Made, service: Service, frontend: Frontend, node: Node, around: Around) -> None:
    """br-phy: what clients outside send to the Service at the node's own address goes to br-int."""
    if frontend.address != node.underlay.ip or (frontend.address, frontend.port, frontend.protocol) in around.lost:
        return
    make = Maker(service_owner(service), Category.SERVICES)
    port = DESTINATION_PORT[frontend.protocol](frontend.port)
    match = (IN_PORT(UNDERLAY_PORT), IP, IP_PROTO(frontend.protocol), IPV4_DST(frontend.address), port)
    made.flows.append(make(UPLINK, Priority.SPECIAL, match, to_services()))


def admission(address: IPv4Address, owner: Owner) -> Iterator[BridgeFlow]:
    """br-phy: everything that is sent to an external address of a Service, no node's own, goes to br-int."""
    make = Maker(owner, Category.SERVICES)
    yield make(UPLINK, Priority.NORMAL, (IN_PORT(UNDERLAY_PORT), IP, IPV4_DST(address)), to_services())


def endpoint_keys(service: Service) -> Iterator[tuple[Endpoint, Protocol]]:
    """Every endpoint that a connection may go to."""
    for port in service.ports:
        for endpoint in port.endpoints:
            if endpoint.ready or (endpoint.serving and endpoint.terminating):
                yield endpoint, port.protocol
