"""Wire objects (the API's JSON) to Kubinet's values: the only module that knows where Kubernetes keeps what.

Objects that are not complete yet (a pod without address, a node that has not registered) give None: look again later.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Final

from kubinet.facts import network_from_document
from kubinet.state import ClusterState, NetworkConfig, Node, Pod

Object = Mapping[str, Any]

INDEX: Final = "kubinet.dev/index"
UNDERLAY_ADDRESS: Final = "kubinet.dev/underlay-address"
UNDERLAY_MAC: Final = "kubinet.dev/underlay-mac"
GATEWAY: Final = "kubinet.dev/gateway"
GATEWAY_MAC: Final = "kubinet.dev/gateway-mac"
ZONE: Final = "topology.kubernetes.io/zone"


def node_from_object(obj: Object) -> Node | None:
    """A Node object as the SDN controller sees it; None before its agent has registered it."""
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    pod_cidr = (obj.get("spec") or {}).get("podCIDR")
    if not pod_cidr or any(name not in annotations for name in (INDEX, UNDERLAY_ADDRESS, UNDERLAY_MAC)):
        return None
    gateway = annotations.get(GATEWAY)
    return Node(
        name=metadata["name"],
        index=int(annotations[INDEX]),
        underlay=IPv4Interface(annotations[UNDERLAY_ADDRESS]),
        underlay_mac=annotations[UNDERLAY_MAC],
        pod_cidr=IPv4Network(pod_cidr),
        gateway=IPv4Address(gateway) if gateway else None,
        gateway_mac=annotations.get(GATEWAY_MAC) or None,
        zone=(metadata.get("labels") or {}).get(ZONE, ""),
    )


def pod_from_object(obj: Object) -> Pod | None:
    """A Pod object as the SDN controller sees it; None for host-network pods, and before it has node and address."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    if spec.get("hostNetwork") or not spec.get("nodeName") or not status.get("podIP"):
        return None
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        node=spec["nodeName"],
        address=IPv4Address(status["podIP"]),
        labels=metadata.get("labels") or {},
    )


def network_from_topology(obj: Object) -> NetworkConfig:
    """The network section of the object `Topology/cluster`; a datapath still `auto` there does not concern flows."""
    return network_from_document(obj["spec"]["network"])


def cluster_state(topology: Object, nodes: Iterable[Object], pods: Iterable[Object], generation: int) -> ClusterState:
    """The SDN controller's whole input; pods of unknown nodes wait."""
    known = {node.name: node for node in map(node_from_object, nodes) if node is not None}
    placed = (pod for pod in map(pod_from_object, pods) if pod is not None and pod.node in known)
    return ClusterState(
        network=network_from_topology(topology),
        nodes=known,
        pods={pod.key: pod for pod in placed},
        generation=generation,
    )
