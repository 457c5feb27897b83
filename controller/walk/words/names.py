"""Who has an address, what a port is: pods, nodes, Services, outside hosts. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from controller.compile import owners
from controller.walk.packet import Packet
from kubinet.services import Frontend, frontends
from kubinet.state import ClusterState, Node, Pod, Service, ServicePort
from kubinet.transport import Protocol


@dataclass(frozen=True, slots=True)
class Served:
    """A way into a Service that an address and a port of a node are."""

    service: Service
    port: ServicePort
    frontend: Frontend


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a state's addresses; `outside`: of hosts that the state does not know."""

    state: ClusterState
    outside: Mapping[IPv4Address, str] = field(default_factory=dict)
    owners: Mapping[int, str] = field(default_factory=dict)
    """The objects that flows exist for, by the lower 32 bits of their cookies."""

    @classmethod
    def of(cls, state: ClusterState, outside: Mapping[IPv4Address, str]) -> "Names":
        """With the owners of all flows of the state."""
        return cls(state, outside, owners(state))

    def pod(self, address: IPv4Address) -> Pod | None:
        """The pod that has the address."""
        return next((pod for pod in self.state.pods.values() if pod.address == address), None)

    def node(self, address: IPv4Address) -> Node | None:
        """The node whose own stack has the address."""
        own = (node for node in self.state.nodes.values() if address in (node.underlay.ip, node.pod_gateway))
        return next(own, None)

    def who(self, address: IPv4Address) -> str:
        """`pod shop/web`, `node n1`, `outside host h1`; empty where nobody is known."""
        if (pod := self.pod(address)) is not None:
            return f"pod {pod.key}"
        if (node := self.node(address)) is not None:
            return f"node {node.name}"
        if address in self.outside:
            return f"outside host {self.outside[address]}"
        served = [service.key for service in self.state.services.values() if address in self._addresses(service)]
        return f"Service {', '.join(served)}" if served else ""

    def address(self, address: IPv4Address) -> str:
        """`pod shop/web (10.244.1.2)`, or the address alone."""
        who = self.who(address)
        return f"{who} ({address})" if who else str(address)

    def endpoint(self, address: IPv4Address, port: int) -> str:
        """`10.244.1.2:8080 (shop/web)`."""
        return self._named(address, f"{address}:{port}")

    def receiver(self, packet: Packet) -> str:
        """The packet's destination like `endpoint`; of ICMP without port."""
        return self._named(packet.destination, socket(packet))

    def _named(self, address: IPv4Address, text: str) -> str:
        pod = self.pod(address)
        who = pod.key if pod is not None else self.who(address)
        return f"{text} ({who})" if who else text

    def pod_at(self, node: Node, port: int) -> Pod | None:
        """The pod behind a port of the node's br-int."""
        own = (pod for pod in self.state.pods.values() if pod.node == node.name)
        return next((pod for pod in own if pod.port(node) == port), None)

    def served(self, node: Node, address: IPv4Address, port: int, protocol: Protocol | None) -> Served | None:
        """The Service that the node serves at an address and a port."""
        wanted = (address, port, protocol)
        for service, service_port in self._ports():
            for frontend in frontends(service, service_port, node):
                if (frontend.address, frontend.port, frontend.protocol) == wanted:
                    return Served(service, service_port, frontend)
        return None

    def services_at(self, address: IPv4Address) -> list[Service]:
        """The Services that have the address, whatever the port."""
        return [service for service in self.state.services.values() if address in self._addresses(service)]

    def _ports(self) -> Iterator[tuple[Service, ServicePort]]:
        for service in self.state.services.values():
            for port in service.ports:
                yield service, port

    def _addresses(self, service: Service) -> tuple[IPv4Address, ...]:
        return (service.cluster_ip, *service.external)


def socket(packet: Packet, *, source: bool = False) -> str:
    """`10.244.1.2:8080` of the packet's destination or source; of ICMP the address alone."""
    address, port = (packet.source, packet.source_port) if source else (packet.destination, packet.destination_port)
    return f"{address}:{port}" if packet.protocol is not None else str(address)
