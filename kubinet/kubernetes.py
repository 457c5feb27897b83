"""The only module that turns wire objects (parsed Kubernetes JSON) into `kubinet.state` values."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeAlias

from kubinet.errors import InvalidInputError
from kubinet.state import ClusterState, Datapath, NetworkConfig, Node, Overlay, Pod

Object: TypeAlias = Mapping[str, Any]

INDEX = "kubinet.dev/index"
"""Annotation of a Node: its place in the topology, from 1 on."""
UNDERLAY_ADDRESS = "kubinet.dev/underlay-address"
"""Annotation of a Node: its underlay address with prefix length, `172.18.1.2/24`."""
UNDERLAY_MAC = "kubinet.dev/underlay-mac"
"""Annotation of a Node: the MAC address of its underlay interface."""
GATEWAY = "kubinet.dev/gateway"
"""Annotation of a Node: its router on the underlay; absent or empty without one."""
GATEWAY_MAC = "kubinet.dev/gateway-mac"
"""Annotation of a Node: that router's MAC address."""

_ENDED = frozenset({"Succeeded", "Failed"})


def node_from_object(obj: Object) -> Node | None:
    """The node; None while its agent has not registered it completely. InvalidInputError names a malformed field."""
    name = obj["metadata"]["name"]
    notes = obj["metadata"].get("annotations") or {}
    pod_cidr = (obj.get("spec") or {}).get("podCIDR")
    if not pod_cidr or not all(notes.get(key) for key in (INDEX, UNDERLAY_ADDRESS, UNDERLAY_MAC)):
        return None
    try:
        gateway = notes.get(GATEWAY)
        return Node(
            name=name,
            index=int(notes[INDEX]),
            underlay=IPv4Interface(notes[UNDERLAY_ADDRESS]),
            underlay_mac=_mac(notes[UNDERLAY_MAC]),
            pod_cidr=IPv4Network(pod_cidr),
            gateway=IPv4Address(gateway) if gateway else None,
            gateway_mac=_mac(notes[GATEWAY_MAC]) if notes.get(GATEWAY_MAC) else None,
        )
    except ValueError as error:
        raise InvalidInputError(
            f"node '{name}': {error}; restart its agent, which writes spec.podCIDR and the kubinet.dev annotations"
        ) from None


def pod_from_object(obj: Object) -> Pod | None:
    """The pod; None when it has no address of its own: unscheduled, on the host's network, ended.

    InvalidInputError names a malformed address.
    """
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    address, node = status.get("podIP"), spec.get("nodeName")
    if not address or not node or spec.get("hostNetwork") or status.get("phase") in _ENDED:
        return None
    namespace, name = metadata["namespace"], metadata["name"]
    try:
        return Pod(namespace, name, node, IPv4Address(address), dict(metadata.get("labels") or {}))
    except ValueError as error:
        raise InvalidInputError(
            f"pod '{namespace}/{name}': status.podIP: {error}; delete the pod so that its node gives it another address"
        ) from None


def network_from_topology(obj: Object) -> NetworkConfig:
    """The network section of a Topology object, with defaults filled in; InvalidInputError names a malformed field."""
    section = (obj.get("spec") or {}).get("network") or {}
    default = NetworkConfig()
    try:
        return NetworkConfig(
            overlay=Overlay(section.get("overlay", default.overlay)),
            datapath=Datapath(section.get("datapath", default.datapath)),
            pod_cidr=IPv4Network(section.get("podCIDR", default.pod_cidr)),
            node_prefix_length=int(section.get("nodeCIDRMaskSize", default.node_prefix_length)),
            service_cidr=IPv4Network(section.get("serviceCIDR", default.service_cidr)),
            underlay_cidr=IPv4Network(section.get("underlayCIDR", default.underlay_cidr)),
            management_cidr=IPv4Network(section.get("managementCIDR", default.management_cidr)),
            underlay_mtu=int(section.get("mtu", default.underlay_mtu)),
        )
    except ValueError as error:
        raise InvalidInputError(
            f"topology '{obj['metadata']['name']}': spec.network: {error}; "
            "`kubinet topology validate` checks a topology file"
        ) from None


def cluster_state(
    network: NetworkConfig, nodes: Iterable[Node], pods: Iterable[Pod], generation: int = 0
) -> ClusterState:
    """The SDN controller's input; a pod whose address is not in its node's pod CIDR is left out."""
    known = {node.name: node for node in nodes}
    placed = {
        pod.key: pod for pod in pods if (node := known.get(pod.node)) is not None and pod.address in node.pod_cidr
    }
    return ClusterState(network, known, placed, generation)


def _mac(text: str) -> str:
    parts = text.lower().split(":")
    if len(parts) != 6 or any(len(part) != 2 or int(part, 16) < 0 for part in parts):
        raise ValueError(f"'{text}' is no MAC address")
    return ":".join(parts)
