"""From a place to another, or to a Service: all the connections that may come of it, and what policies say of each.

A Service is judged by the endpoints behind it. A client outside enters by a node; when the connection goes on to an
endpoint of another node, its source is the entry node's pod gateway by then (`externalTrafficPolicy: Cluster`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kubinet.policy import Judgement, Oracle, Party
from kubinet.reach.choices import Behind, service_of
from kubinet.reach.probes import Probe
from kubinet.reach.world import Place, World
from kubinet.services import cluster_choice, local_choice
from kubinet.state import Endpoint, Node, Service, ServicePort

_NO_POD: Final = "policies are for pods"
"""How the oracle's reason about an end begins that is no pod."""


class Verdict(StrEnum):
    """What becomes of connections."""

    ALLOWED = "allowed"
    DENIED = "denied"
    MIXED = "mixed"
    """Some endpoints of a Service answer and others do not."""
    NOTHING = "nothing there"
    """A Service without such a port, or without endpoints for this client."""


@dataclass(frozen=True, slots=True)
class Route:
    """One connection that may be made, judged."""

    destination: str
    """The place, or the endpoint's name and port."""
    judgement: Judgement
    way: str = ""
    """How it comes there, where there are several ways."""

    @property
    def reason(self) -> str:
        """Why, of the end that decided."""
        return decisive(self.judgement)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether somebody reaches something."""

    source: Place
    destination: str
    probe: Probe
    routes: tuple[Route, ...]
    trouble: str = ""
    """Why there is no route."""

    @property
    def verdict(self) -> Verdict:
        """Of all routes together."""
        found = {route.judgement.allowed for route in self.routes}
        if not found:
            return Verdict.NOTHING
        return Verdict.MIXED if len(found) > 1 else Verdict.ALLOWED if True in found else Verdict.DENIED

    @property
    def reason(self) -> str:
        """In words; of several routes, one that is denied where any is."""
        if not self.routes:
            return self.trouble
        told = next((route for route in self.routes if not route.judgement.allowed), self.routes[0])
        where = "" if told.destination == self.destination else f"{told.destination}{told.way}: "
        return where + told.reason


def decisive(judgement: Judgement) -> str:
    """The words of the end that denied, else of both ends where policies have to do with them."""
    for ruling in (judgement.egress, judgement.ingress):
        if not ruling.allowed:
            return f"{ruling.direction.lower()}: {ruling.reason}"
    both = (judgement.egress, judgement.ingress)
    decided = [ruling for ruling in both if ruling.tier is not None]
    if decided:
        return "; ".join(f"{ruling.direction.lower()}: {ruling.reason}" for ruling in decided)
    about_pods = [ruling.reason for ruling in both if not ruling.reason.startswith(_NO_POD)]
    return "; ".join(dict.fromkeys(about_pods or [judgement.ingress.reason]))


def ask(oracle: Oracle, source: Place, destination: Place, probe: Probe) -> Answer:
    """From place to place."""
    judgement = oracle.judge(source.source, destination.destination, probe.protocol, probe.port)
    return Answer(source, destination.name, probe, (Route(destination.name, judgement),))


def ask_service(world: World, oracle: Oracle, source: Place, choice: Behind, probe: Probe) -> Answer:
    """From a place to a Service."""
    name = f"service/{choice.namespace}/{choice.name}"
    service = service_of(choice, world)
    if service is None:
        return Answer(source, name, probe, (), f"there is no Service {choice.namespace}/{choice.name} with an address")
    port = next((one for one in service.ports if (one.port, one.protocol) == (probe.port, probe.protocol)), None)
    if port is None:
        ports = ", ".join(f"{one.port}/{one.protocol.name}" for one in service.ports)
        return Answer(source, name, probe, (), f"the Service has no port {probe}; it has {ports}")
    if not (source.pod or source.node or port.node_port or service.external):
        return Answer(source, name, probe, (), "the Service has no address outside of the cluster")
    routes = tuple(_routes(world, oracle, source, service, port))
    return Answer(source, name, probe, routes, "" if routes else "no endpoint serves this client")


def _routes(world: World, oracle: Oracle, source: Place, service: Service, port: ServicePort) -> Iterator[Route]:
    for party, node, endpoints, way in _clients(world, source, service, port):
        for endpoint in endpoints:
            to = oracle.party(endpoint.address)
            came = party
            if way and endpoint.node != node.name and not service.external_local:
                came = oracle.party(node.pod_gateway)
            judgement = oracle.judge(came, to, port.protocol, endpoint.port, through_service=True)
            yield Route(f"{_endpoint_name(to, endpoint)}:{endpoint.port}", judgement, way)


def _clients(
    world: World, source: Place, service: Service, port: ServicePort
) -> Iterator[tuple[Party, Node, Iterable[Endpoint], str]]:
    """As whom the source comes to endpoints: by its own node, or from outside by each node."""
    own = source.pod.node if source.pod is not None else source.node
    if own:
        node = world.state.nodes[own]
        choose = local_choice if service.internal_local else cluster_choice
        yield source.source, node, choose(port, node).endpoints, ""
        return
    choose = local_choice if service.external_local else cluster_choice
    for node in sorted(world.state.nodes.values(), key=lambda one: one.index):
        yield source.source, node, choose(port, node).endpoints, f" by {node.name}"


def _endpoint_name(party: Party, endpoint: Endpoint) -> str:
    return party.pod.key if party.pod is not None else str(endpoint.address)
