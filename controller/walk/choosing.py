"""The controller's part of a walk: the endpoint of a Service with the algorithm round-robin (`controller/turns.py`)."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.features.balancing import EndpointKey, backends_id, backends_name
from kubinet.services import cluster_choice, local_choice
from kubinet.state import ClusterState, Endpoint, Node


@dataclass(frozen=True, slots=True)
class Turn:
    """Any of the set's turns, as nobody can say whose it will be: the wanted endpoint's, else the first one's."""

    state: ClusterState
    wanted: EndpointKey | None = None

    def __call__(self, node: str, backends: int) -> Endpoint | None:
        """The choice for a packet on a node that asks about a set of endpoints; None where the set is gone."""
        found = list(self._endpoints(self.state.nodes[node], backends))
        wanted = [one for one in found if (one.address, one.port) == self.wanted]
        return next(iter(wanted or found), None)

    def _endpoints(self, node: Node, backends: int) -> Iterator[Endpoint]:
        for service in self.state.services.values():
            for port in service.ports:
                for local in (False, True):
                    if backends_id(backends_name(service.key, port.name, port.protocol, local=local)) == backends:
                        yield from (local_choice if local else cluster_choice)(port, node).endpoints
