"""Services' parts of the programs, with a memory: one changed Service or endpoint costs its own flows, once for all
nodes where they are the same."""

import logging
from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from controller.endpoint_parts import EndpointName, EndpointParts
from controller.features import endpoints, kernel_services, services
from controller.features.balancing import Backends, EndpointKey, slot_table
from controller.features.common import service_owner
from controller.features.services import Around, Made
from controller.program import EMPTY, Layer, Part, PartKey, kept, part_of, parts_by_bridge, same
from controller.set_numbers import SetNumbers
from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_BRIDGE
from kubinet.services import Clash, clashes, lost_fronts, refused_addresses
from kubinet.state import Algorithm, ClusterState, Node, Service, ServiceProxy
from kubinet.transport import Protocol

_Lost: TypeAlias = frozenset[tuple[IPv4Address, int, Protocol]]
_LOG = logging.getLogger(__name__)
_Orders: TypeAlias = dict[int, tuple[Hashable, ...]]
"""The order of endpoints in slot tables, by set."""
_NOTHING: Final[_Lost] = frozenset()


@dataclass(slots=True)
class _Compiled:
    """What was made of one Service, for all nodes or for one."""

    service: Service
    lost: _Lost
    connections: Mapping[EndpointKey, int] | None
    parts: Mapping[str, Part]
    backends: Mapping[int, Backends]
    varies: bool
    endpoints: tuple[EndpointName, ...]

    def still(self, service: Service, lost: _Lost, connections: Mapping[EndpointKey, int] | None) -> bool:
        """Whether the same would be made again."""
        return self.service is service and self.lost == lost and self.connections is connections


@dataclass(slots=True)
class _NodeServices:
    """One node's own parts."""

    compiled: dict[str, _Compiled] = field(default_factory=dict)
    layers: Mapping[str, Layer] = field(default_factory=dict)
    orders: _Orders = field(default_factory=dict)


@dataclass(slots=True)
class ServiceCompiler:
    """Layers of all nodes for a state. Its nodes and network never change: another one is made then."""

    clashes: tuple[Clash, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    """Services whose flows cannot be made, and why: the others are not to suffer from them."""
    _compiled: dict[str, _Compiled] = field(default_factory=dict)
    _endpoints: EndpointParts = field(default_factory=EndpointParts)
    _shared: Layer = EMPTY
    _nodes: dict[str, _NodeServices] = field(default_factory=dict)
    _orders: _Orders = field(default_factory=dict)
    _numbers: SetNumbers = field(default_factory=SetNumbers)

    def layers(self, node: Node, bridge: str) -> tuple[Layer, Layer]:
        """What all nodes share, and what is the node's own."""
        shared = self._shared if bridge == INTEGRATION_BRIDGE else EMPTY
        return shared, self._nodes[node.name].layers.get(bridge, EMPTY)

    def backends(self, node: str, number: int) -> Backends | None:
        """A set of endpoints by its id."""
        name = self._numbers.service(number)
        own = self._nodes.get(node, _NodeServices()).compiled.get(name)
        shared = self._compiled.get(name)
        for compiled in (own, shared):
            if compiled is not None and number in compiled.backends:
                return compiled.backends[number]
        return None

    @property
    def numbers(self) -> Container[int]:
        """The ids of all sets of endpoints that the present Services have, or had since they are there."""
        return self._numbers.taken

    def update(self, state: ClusterState) -> None:
        """Bring the layers to the state."""
        if not state.nodes:
            return
        self.clashes = clashes(state.services, state.nodes.values())
        if state.network.services is ServiceProxy.NFTABLES:
            self._leave_to_kernel(state)
            return
        self._endpoints.network = state.network
        lost = {key: set(fronts) for key, fronts in lost_fronts(self.clashes).items()}
        for key, service in state.services.items():
            for address in refused_addresses(service, state.network) if service.external else ():
                lost.setdefault(key, set()).update((address, port.port, port.protocol) for port in service.ports)
        losses = {key: frozenset(entries) for key, entries in lost.items()}
        self._update_shared(state, losses)
        local = self._endpoints.local(state)
        admissions = {address: key for key, address in _external(state)}
        varying = {key: known.service for key, known in self._compiled.items() if known.varies}
        for node in state.nodes.values():
            self._update_node(state, node, losses, varying, local.get(node.name, {}), admissions)

    def _leave_to_kernel(self, state: ClusterState) -> None:
        for node in state.nodes.values():
            known = self._nodes.setdefault(node.name, _NodeServices())
            parts: dict[str, dict[PartKey, Part]] = {}
            for bridge, part in parts_by_bridge(kernel_services.flows(state, node)).items():
                before = known.layers.get(bridge, EMPTY).parts.get("kernel")
                parts[bridge] = {"kernel": before if before is not None and before.flows == part.flows else part}
            known.layers = kept(known.layers, parts)

    # What is the same everywhere

    def _update_shared(self, state: ClusterState, losses: Mapping[str, _Lost]) -> None:
        sample = next(iter(state.nodes.values()))
        compiled: dict[str, _Compiled] = {}
        for key, service in state.services.items():
            lost, connections = losses.get(key, _NOTHING), _counted(state, service)
            known = self._compiled.get(key)
            if known is None or not known.still(service, lost, connections):
                self.failures.pop(key, None)  # another try, here and for the nodes' own parts
                around = self._around(lost, connections, self._orders)
                make = partial(services.shared_part, service, sample=sample, around=around)
                known = self._attempt(service, lost, connections, make, self._orders)
            compiled[key] = known
        before, self._compiled = self._compiled, compiled
        for gone in before.keys() - compiled.keys():
            self._forget(gone)
            self.failures.pop(gone, None)
        if self._shared is EMPTY or not same(before, compiled):
            self._share(state)

    def _share(self, state: ClusterState) -> None:
        """The layer anew: all Services' parts, and one of each endpoint, owned by the first Service that names it."""
        parts: dict[PartKey, Part] = {}
        named: dict[EndpointName, str] = {}
        for key, known in self._compiled.items():
            for part in known.parts.values():
                parts["service", key] = part
            for name in known.endpoints:
                owner = named.get(name)
                named[name] = key if owner is None or key < owner else owner
        shared = self._endpoints.share({name: state.services[owner] for name, owner in named.items()})
        parts.update((("endpoint", name), part) for name, part in shared.items())
        parts["refusal",] = self._shared.parts.get(("refusal",)) or part_of(endpoints.refusal_flows())
        if not same(self._shared.parts, parts):
            self._shared = Layer(parts)

    def _attempt(
        self,
        service: Service,
        lost: _Lost,
        connections: Mapping[EndpointKey, int] | None,
        make: Callable[[], Made],
        orders: _Orders,
        elsewhere: Container[int] = (),
    ) -> _Compiled:
        """What is made of a Service; nothing at all where that fails, whatever the reason."""
        try:
            return self._remembered(service, lost, connections, make(), orders, elsewhere)
        except Exception as error:
            self.failures[service.key] = str(error) or type(error).__name__
            _LOG.exception("Service %s: its flows cannot be made", service.key)
            return _Compiled(service, lost, connections, {}, {}, varies=False, endpoints=())

    def _around(self, lost: _Lost, connections: Mapping[EndpointKey, int] | None, orders: _Orders) -> Around:
        return Around(
            connections, lambda number: orders.get(number) or self._orders.get(number, ()), lost, self._numbers.number
        )

    def _remembered(
        self,
        service: Service,
        lost: _Lost,
        connections: Mapping[EndpointKey, int] | None,
        made: Made,
        orders: _Orders,
        elsewhere: Container[int],
    ) -> _Compiled:
        parts = parts_by_bridge(made.flows, made.groups)
        named = tuple((one.address, one.port, protocol) for one, protocol in services.endpoint_keys(service))
        compiled = _Compiled(service, lost, connections, parts, made.backends, services.varies(service), named)
        for number, backends in made.backends.items():
            table = None if number in elsewhere else slot_table(backends)
            if table is not None:
                orders[number] = tuple((endpoint.address, endpoint.port) for endpoint in table)
        for name in named:
            # Made here, where a failure is this Service's own; whoever owns them in the end.
            self._endpoints.make(name, service)
        return compiled

    def _forget(self, service: str) -> None:
        for number in self._numbers.forget(service):
            for orders in (self._orders, *(known.orders for known in self._nodes.values())):
                orders.pop(number, None)

    # What is a node's own

    def _update_node(
        self,
        state: ClusterState,
        node: Node,
        losses: Mapping[str, _Lost],
        varying: Mapping[str, Service],
        local: Mapping[EndpointName, str],
        admissions: Mapping[IPv4Address, str],
    ) -> None:
        known = self._nodes.setdefault(node.name, _NodeServices())
        parts: dict[str, dict[PartKey, Part]] = {INTEGRATION_BRIDGE: {}, UPLINK_BRIDGE: {}}
        compiled: dict[str, _Compiled] = {}
        for key, service in varying.items():
            lost, connections = losses.get(key, _NOTHING), _counted(state, service)
            one = known.compiled.get(key)
            if one is None or not one.still(service, lost, connections):
                around = self._around(lost, connections, known.orders)
                make = partial(services.node_part, service, node=node, around=around)
                one = self._attempt(service, lost, connections, make, known.orders, self._compiled[key].backends)
            compiled[key] = one
            for bridge, part in one.parts.items():
                parts[bridge]["service", key] = part
        known.compiled = compiled
        for name, owner in local.items():
            parts[INTEGRATION_BRIDGE]["hairpin", name] = self._endpoints.hairpin(name, state.services[owner])
        before = known.layers.get(UPLINK_BRIDGE, EMPTY).parts
        for address, key in admissions.items():
            if address == node.underlay.ip:
                continue  # its other ports are the node's own: services.node_part admits the Service's alone
            entry = ("address", address, key)
            owner_ = service_owner(state.services[key])
            parts[UPLINK_BRIDGE][entry] = before.get(entry) or part_of(services.admission(address, owner_))
        known.layers = kept(known.layers, parts)


def _counted(state: ClusterState, service: Service) -> Mapping[EndpointKey, int] | None:
    return state.connections if service.algorithm is Algorithm.LEAST_CONNECTIONS else None


def _external(state: ClusterState) -> list[tuple[str, IPv4Address]]:
    """(Service, external address); of several that name an address the first by name comes last and wins."""
    found = []
    for key in sorted(state.services, reverse=True):
        refused = refused_addresses(state.services[key], state.network)
        found += [(key, address) for address in state.services[key].external if address not in refused]
    return found
