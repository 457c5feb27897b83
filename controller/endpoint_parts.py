"""Parts of the programs about the endpoints of Services: each is made once, however many Services name it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TypeAlias

from controller.features import endpoints
from controller.features.common import service_owner
from controller.program import Part, part_of
from kubinet.state import ClusterState, NetworkConfig, Service
from kubinet.transport import Protocol

EndpointName: TypeAlias = tuple[IPv4Address, int, Protocol]
_Owned: TypeAlias = tuple[str, Part]
"""The Service that owns the flows, and the flows."""


@dataclass(slots=True)
class EndpointParts:
    """What all nodes have of each endpoint, and what its own node has besides."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    _shared: dict[EndpointName, _Owned] = field(default_factory=dict)
    _hairpins: dict[EndpointName, _Owned] = field(default_factory=dict)
    _places: tuple[Mapping[EndpointName, _Owned], Mapping[IPv4Address, str]] | None = None
    _local: Mapping[str, Mapping[EndpointName, str]] = field(default_factory=dict)
    """By node: its own pods that are endpoints, with the Service that owns their flows; of `_places`."""

    def make(self, name: EndpointName, owner: Service) -> None:
        """Make an endpoint's part where there is none; whatever goes wrong is this Service's."""
        if name not in self._shared:
            self._shared[name] = self._made(name, owner)

    def share(self, owners: Mapping[EndpointName, Service]) -> Mapping[EndpointName, Part]:
        """The parts of these endpoints, owned by these Services, and of no others any more."""
        self._shared = {name: self._made(name, owner) for name, owner in owners.items()}
        return {name: part for name, (_, part) in self._shared.items()}

    def _made(self, name: EndpointName, owner: Service) -> _Owned:
        known = self._shared.get(name)
        if known is not None and known[0] == owner.key:
            return known
        address, port, protocol = name
        pod = address in self.network.pod_cidr
        return owner.key, part_of(endpoints.flows(address, port, protocol, service_owner(owner), pod=pod))

    def local(self, state: ClusterState) -> Mapping[str, Mapping[EndpointName, str]]:
        """By node: its own pods that are endpoints, with the Service that owns their flows."""
        pods = {pod.address: pod.node for pod in state.pods.values()}
        if self._places is not None and self._places[0] is self._shared and self._places[1] == pods:
            return self._local
        self._places = (self._shared, pods)
        self._hairpins = {name: known for name, known in self._hairpins.items() if name in self._shared}
        found: dict[str, dict[EndpointName, str]] = {}
        for name, (owner, _) in self._shared.items():
            node = pods.get(name[0])
            if node is not None:
                found.setdefault(node, {})[name] = owner
        self._local = found
        return found

    def hairpin(self, name: EndpointName, owner: Service) -> Part:
        """What its own node needs, so that an endpoint reaches itself through a Service."""
        known = self._hairpins.get(name)
        if known is None or known[0] != owner.key:
            address, port, protocol = name
            flows = endpoints.hairpin_flows(address, port, protocol, service_owner(owner))
            known = self._hairpins[name] = (owner.key, part_of(flows))
        return known[1]
