"""The objects that benchmarks create."""

from collections.abc import Sequence
from typing import Any, Final

NAMESPACE: Final = "bench"
AGNHOST: Final = "registry.k8s.io/e2e-test-images/agnhost:2.43"


def namespace() -> dict[str, Any]:
    """The namespace of all that a benchmark makes."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def agnhost_pod(name: str, node: str, arguments: Sequence[str]) -> dict[str, Any]:
    """A pod on a node that runs agnhost with arguments."""
    container = {"name": "agnhost", "image": AGNHOST, "args": list(arguments)}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def service(name: str, protocol: str, target: int) -> dict[str, Any]:
    """A Service without selector: port 80 to a port of its endpoints."""
    port = {"name": "p", "port": 80, "protocol": protocol, "targetPort": target}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}}


def endpoint_slice(name: str, protocol: str, port: int, places: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The Service's EndpointSlice; `places`: (address, node) of each endpoint."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "p", "port": port, "protocol": protocol}],
        "endpoints": [
            {"addresses": [address], "nodeName": node, "conditions": {"ready": True}} for address, node in places
        ],
    }
