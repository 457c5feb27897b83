"""What of the cluster's objects is not in force as it stands, in words for their owners. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.features.balancing import LARGEST_SET
from kubinet.services import Clash
from kubinet.state import Algorithm, ClusterState, Datapath, Service, ServiceProxy
from kubinet.transport import Protocol


@dataclass(frozen=True, slots=True)
class Complaint:
    """A warning about one object; told as an Event."""

    owner: str
    """The object: `Kind/namespace/name` or `Kind/name`."""
    reason: str
    message: str


def complaints(state: ClusterState, clashes: tuple[Clash, ...], failures: Mapping[str, str]) -> Iterator[Complaint]:
    """About Services, all that there is. `failures`: Services whose flows could not be made, and why."""
    if state.network.services is ServiceProxy.NFTABLES:
        for key, service in state.services.items():
            if service.algorithm is not Algorithm.RANDOM:
                message = f"network.services is nftables, which chooses at random: {service.algorithm} needs sdn"
                yield Complaint(_service(key), "LoadBalancerIgnored", message)
        return
    for clash in clashes:
        yield Complaint(_service(clash.loser), "AddressInUse", str(clash))
    for key, why in failures.items():
        yield Complaint(_service(key), "ServiceNotRealised", f"no flow serves it: {why}")
    for key, service in state.services.items():
        yield from _about(key, service, state.network.datapath)


def not_enforced(owner: str, problems: Iterable[str]) -> Iterator[Complaint]:
    """About a policy: what of it is accepted by the API, but not enforced as it is written."""
    for problem in problems:
        yield Complaint(owner, "PolicyNotEnforced", f"not enforced as written: {problem}")


def _service(key: str) -> str:
    return f"Service/{key}"


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
