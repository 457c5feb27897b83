"""What of the cluster's objects is not in force as it stands, in words for their owners. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from controller.features.balancing import LARGEST_SET
from controller.registers import SNAT_PORTS
from kubinet.services import Clash, refused_addresses
from kubinet.state import Algorithm, ClusterState, Datapath, Service, ServiceProxy
from kubinet.transport import Protocol

_ON_A_NODE: Final = (
    f"on the node's own address, ports {SNAT_PORTS[0]} to {SNAT_PORTS[1]} are also given to what pods send to the "
    f"outside: such a connection that gets this port has no answers; use a port below {SNAT_PORTS[0]}"
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A warning about one object; told as an Event."""

    owner: str
    """The object: `Kind/namespace/name` or `Kind/name`."""
    reason: str
    message: str


def complaints(state: ClusterState, clashes: tuple[Clash, ...], failures: Mapping[str, str]) -> Iterator[Complaint]:
    """About Services and host ports, all that there is. `failures`: Services whose flows could not be made, and why."""
    yield from _about_host_ports(state)
    yield from _about_addresses(state, clashes)
    yield from _about_endpoints(state)
    for clash in clashes:
        yield Complaint(_service(clash.loser), "AddressInUse", str(clash))
    if state.network.services is ServiceProxy.NFTABLES:
        for key, service in state.services.items():
            if service.algorithm is not Algorithm.RANDOM:
                message = f"network.services is nftables, which chooses at random: {service.algorithm} needs sdn"
                yield Complaint(_service(key), "LoadBalancerIgnored", message)
        return
    for key, why in failures.items():
        yield Complaint(_service(key), "ServiceNotRealised", f"no flow serves it: {why}")
    for key, service in state.services.items():
        yield from _about(key, service, state.network.datapath)
        if any(node.underlay.ip in service.external for node in state.nodes.values()):
            for port in service.ports:
                if _translated(port.port, port.protocol):
                    yield Complaint(_service(key), "PortUsedForTranslation", f"port {port.port}: {_ON_A_NODE}")


def not_enforced(owner: str, problems: Iterable[str]) -> Iterator[Complaint]:
    """About a policy: what of it is accepted by the API, but not enforced as it is written."""
    for problem in problems:
        yield Complaint(owner, "PolicyNotEnforced", f"not enforced as written: {problem}")


def _service(key: str) -> str:
    return f"Service/{key}"


def _about_addresses(state: ClusterState, clashes: tuple[Clash, ...]) -> Iterator[Complaint]:
    for key, service in state.services.items():
        for address in refused_addresses(service, state.network):
            if not any((clash.loser, clash.address) == (key, address) for clash in clashes):
                message = (
                    f"{address} is an address of the cluster's own networks: it does not serve this Service; use an "
                    f"address outside of {state.network.pod_cidr} (pods) and {state.network.service_cidr} (Services)"
                )
                yield Complaint(_service(key), "AddressRefused", message)


def _about_endpoints(state: ClusterState) -> Iterator[Complaint]:
    """Endpoints made by hand (they name no node) with an address of the cluster that nobody has."""
    pods, services = state.network.pod_cidr, state.network.service_cidr
    doubtful = [
        (key, port.port, endpoint.address)
        for key, service in state.services.items()
        for port in service.ports
        for endpoint in port.endpoints
        if not endpoint.node and (endpoint.address in pods or endpoint.address in services)
    ]
    if not doubtful:
        return
    known = {pod.address for pod in state.pods.values()} | {node.pod_gateway for node in state.nodes.values()}
    for key, number, address in doubtful:
        if address in services:
            message = f"endpoint {address} is an address of Services ({services}), which are not translated twice"
        elif address not in known:
            message = f"endpoint {address} is an address for pods ({pods}) that no pod has"
        else:
            continue
        remedy = "connections that get it fail; name addresses of pods or hosts in the EndpointSlice"
        yield Complaint(_service(key), "EndpointUnreachable", f"port {number}: {message}: {remedy}")


def _about_host_ports(state: ClusterState) -> Iterator[Complaint]:
    for key, pod in state.pods.items():
        for port in pod.host_ports:
            if _translated(port.port, port.protocol):
                yield Complaint(f"Pod/{key}", "PortUsedForTranslation", f"host port {port.port}: {_ON_A_NODE}")


def _translated(port: int, protocol: Protocol) -> bool:
    """Whether sources that become a node's own address may get this port: answers to them would go astray."""
    first, last = SNAT_PORTS
    return protocol is not Protocol.SCTP and first <= port <= last


def _about(key: str, service: Service, datapath: Datapath) -> Iterator[Complaint]:
    for port in service.ports:
        if len(port.endpoints) > LARGEST_SET:
            message = f"port {port.port}: {len(port.endpoints)} endpoints; only the first {LARGEST_SET} get connections"
            yield Complaint(_service(key), "TooManyEndpoints", message)
        if port.protocol is Protocol.SCTP and datapath is not Datapath.SYSTEM:
            others = sorted({endpoint.port for endpoint in port.endpoints} - {port.port})
            if others:
                message = (
                    f"port {port.port}/SCTP: the userspace datapath cannot translate SCTP ports, so endpoints on port "
                    f"{others[0]} get packets for {port.port}; use equal ports, or datapath system"
                )
                yield Complaint(_service(key), "SCTPPortNotTranslated", message)
            if port.node_port is not None:
                message = (
                    f"node port {port.node_port}/SCTP: the userspace datapath cannot translate SCTP ports, so what "
                    f"is sent to it arrives at endpoints' port {port.node_port}; use datapath system"
                )
                yield Complaint(_service(key), "SCTPPortNotTranslated", message)
