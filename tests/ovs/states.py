"""A small cluster as the API shows it, and as the controller sees it."""

from typing import Any

from kubinet.kubernetes import cluster_state
from kubinet.state import ClusterState


def wire_state(overlay: str = "vxlan", *, generation: int = 7, pods: tuple[tuple[str, int, str], ...] = ()) -> Any:
    """Two nodes; pods a and b on n1, c on n2, and `pods` as (name, node's index, address)."""
    network = {
        "overlay": overlay,
        "datapath": "netdev",
        "podCIDR": "10.244.0.0/16",
        "nodeCIDRMaskSize": 24,
        "serviceCIDR": "10.96.0.0/16",
        "underlayCIDR": "172.18.0.0/16",
        "managementCIDR": "172.30.0.0/16",
        "mtu": 1500,
    }
    everyone = (("a", 1, "10.244.1.2"), ("b", 1, "10.244.1.3"), ("c", 2, "10.244.2.2"), *pods)
    return {
        "topology": {"metadata": {"name": "cluster"}, "spec": {"network": network}},
        "nodes": [_node(1), _node(2)],
        "pods": [_pod(name, index, address) for name, index, address in everyone],
        "generation": generation,
    }


def state(overlay: str = "vxlan", **options: Any) -> ClusterState:
    """`wire_state` as the controller's input."""
    wire = wire_state(overlay, **options)
    return cluster_state(wire["topology"], wire["nodes"], wire["pods"], wire["generation"])


def _node(index: int) -> dict[str, Any]:
    annotations = {
        "kubinet.dev/index": str(index),
        "kubinet.dev/underlay-address": f"172.18.{index}.2/24",
        "kubinet.dev/underlay-mac": f"02:00:00:00:00:{index:02x}",
        "kubinet.dev/gateway": f"172.18.{index}.1",
        "kubinet.dev/gateway-mac": f"02:ff:00:00:00:{index:02x}",
    }
    return {"metadata": {"name": f"n{index}", "annotations": annotations}, "spec": {"podCIDR": f"10.244.{index}.0/24"}}


def _pod(name: str, node: int, address: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": f"n{node}"},
        "status": {"podIP": address},
    }
