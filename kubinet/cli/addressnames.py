"""Names of a cluster's addresses, as capture files carry them: in the order of DNS, the object's own name first."""

from collections.abc import Mapping
from ipaddress import IPv4Address

from kubinet.state import ClusterState


def address_names(state: ClusterState, outside: Mapping[str, IPv4Address]) -> Mapping[IPv4Address, str]:
    """`POD.NAMESPACE.pod`, `SERVICE.NAMESPACE.svc`, `NODE.node` and `NODE.gateway`, `HOST.outside`."""
    names = {address: f"{name}.outside" for name, address in outside.items()}
    for node in state.nodes.values():
        names |= {node.underlay.ip: f"{node.name}.node", node.pod_gateway: f"{node.name}.gateway"}
    for service in state.services.values():
        names |= dict.fromkeys((service.cluster_ip, *service.external), f"{service.name}.{service.namespace}.svc")
    return names | {pod.address: f"{pod.name}.{pod.namespace}.pod" for pod in state.pods.values()}
