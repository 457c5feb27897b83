"""Service `default/kubernetes`: how pods find the API, as upstream's API server publishes itself."""

from collections.abc import Callable
from typing import Any, Final

from controller.api.objects import Objects
from controller.api.registry import ENDPOINT_SLICE, ENDPOINTS, NAMESPACE, SERVICE, Kind
from controller.api.status import Object
from controller.api.store import Change
from controller.workloads.loop import Loop
from kubinet.state import NetworkConfig

API_PORT: Final = 6443
"""Where the API listens for pods, on the management address."""
_SERVICE_PORT: Final = 443
_NAMESPACE: Final = "default"
_NAME: Final = "kubernetes"
_LABELS: Final = {"component": "apiserver", "provider": "kubernetes"}


def service(network: NetworkConfig) -> Object:
    """The Service, with the first address of serviceCIDR."""
    port = {"name": "https", "protocol": "TCP", "port": _SERVICE_PORT, "targetPort": API_PORT}
    address = str(network.api_service_address)
    spec = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": [port]}
    return {"metadata": {"name": _NAME, "labels": dict(_LABELS)}, "spec": spec}


def endpoints(network: NetworkConfig) -> Object:
    """The Endpoints; its label tells mirroring controllers that the EndpointSlice is there already."""
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    port = {"name": "https", "port": API_PORT, "protocol": "TCP"}
    subset = {"addresses": [{"ip": str(network.management_address)}], "ports": [port]}
    return {"metadata": {"name": _NAME, "labels": labels}, "subsets": [subset]}


def endpoint_slice(network: NetworkConfig) -> Object:
    """The EndpointSlice: the management address, always ready."""
    endpoint = {"addresses": [str(network.management_address)], "conditions": {"ready": True}}
    return {
        "metadata": {"name": _NAME, "labels": {"kubernetes.io/service-name": _NAME}},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
    }


_WANTED: Final[tuple[tuple[Kind, Callable[[NetworkConfig], Object], tuple[str, ...]], ...]] = (
    (SERVICE, service, ("spec",)),
    (ENDPOINTS, endpoints, ("subsets",)),
    (ENDPOINT_SLICE, endpoint_slice, ("addressType", "endpoints", "ports")),
)


class ApiService:
    """Makes the three objects, and makes them again when someone deletes or changes them."""

    def __init__(self, objects: Objects, network: NetworkConfig) -> None:
        self._objects = objects
        self._network = network
        kinds = (NAMESPACE.key, *(kind.key for kind, _, _ in _WANTED))
        self._loop = Loop(objects.store, kinds, self.run, of=_ours, name="service default/kubernetes")
        self.run()

    def run(self) -> None:
        """Compare and mend."""
        if self._objects.store.get(NAMESPACE.key, "", _NAMESPACE) is None:
            return
        for kind, make, parts in _WANTED:
            wanted = make(self._network)
            stored = self._objects.store.get(kind.key, _NAMESPACE, _NAME)
            if stored is None:
                self._objects.create(kind, _NAMESPACE, wanted)
            elif not stored.object["metadata"].get("deletionTimestamp"):
                new = stored.copy()
                for part in parts:
                    new[part] = _over(new.get(part), wanted[part])
                self._objects.update(kind, stored, new)

    def close(self) -> None:
        """Stop."""
        self._loop.close()


def _ours(change: Change) -> bool:
    """Whether a change concerns one of the three, or the namespace that they are in."""
    metadata = change.new.object["metadata"]
    return (metadata.get("namespace") or "", metadata["name"]) in ((_NAMESPACE, _NAME), ("", _NAMESPACE))


def _over(present: Any, wanted: Any) -> Any:
    """What is wanted, over a map's fields that defaulting and allocation added."""
    if isinstance(present, dict) and isinstance(wanted, dict):
        return present | {key: _over(present.get(key), value) for key, value in wanted.items()}
    if isinstance(present, list) and isinstance(wanted, list) and len(present) == len(wanted):
        return [_over(one, other) for one, other in zip(present, wanted, strict=True)]
    return wanted
