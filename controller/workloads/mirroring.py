"""EndpointSlices of hand-made Endpoints (v1): mirrors for Services without selector. Lives on the API's event loop."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from controller.api.objects import Objects
from controller.api.registry import ENDPOINTS, SERVICE
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.api.validation.addresses import parsed
from controller.workloads.endpoints import Endpoint, Placed, Port, PortSet
from controller.workloads.loop import Loop, hopeless
from controller.workloads.slicestore import SliceStore
from controller.workloads.slicewire import Header, address_and_ports, slice_labels
from controller.workloads.slicing import SliceSet

MANAGER: Final = "endpointslicemirroring-controller.k8s.io"
SKIP: Final = "endpointslice.kubernetes.io/skip-mirror"
LEADER: Final = "control-plane.alpha.kubernetes.io/leader"
MAX_MIRRORED: Final = 1000
"""Per subset."""


def mirrored(endpoints: Object | None, service: Object | None) -> bool:
    """Whether to mirror Endpoints: their Service exists and selects nothing; they are no lock, and not skipped."""
    if endpoints is None or service is None or service["spec"].get("selector"):
        return False
    metadata = endpoints["metadata"]
    skipped = (metadata.get("labels") or {}).get(SKIP) == "true"
    return not skipped and LEADER not in (metadata.get("annotations") or {})


def placements(endpoints: Object) -> dict[tuple[PortSet, str], Placed]:
    """The endpoints of all subsets. One that is ready in one subset and not in another of equal ports is ready."""
    found: dict[tuple[PortSet, str], Placed] = {}
    for subset in endpoints.get("subsets") or ():
        ports = tuple(
            Port(port.get("name") or "", port.get("protocol") or "TCP", port["port"], port.get("appProtocol") or "")
            for port in subset.get("ports") or ()
        )
        count = 0
        for address, ready in _addresses(subset):
            value = parsed(address.get("ip"))
            if value is not None and value.version == 4 and count < MAX_MIRRORED:
                found.setdefault((ports, address["ip"]), Placed(ports, _endpoint(address, ready=ready)))
                count += 1
    return found


def _addresses(subset: Object) -> Iterator[tuple[Object, bool]]:
    for address in subset.get("addresses") or ():
        yield address, True
    for address in subset.get("notReadyAddresses") or ():
        yield address, False


def _endpoint(address: Object, *, ready: bool) -> Endpoint:
    return Endpoint(
        address=address["ip"],
        ready=ready,
        node=address.get("nodeName") or "",
        hostname=address.get("hostname") or "",
        target=tuple(sorted((address.get("targetRef") or {}).items())),
    )


class Mirroring:
    """Keeps mirrors as Endpoints and Services are."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._dirty: dict[Key, None] = {}
        store = objects.store
        self._slices = SliceStore(objects, MANAGER, self._mark)
        self._loop = Loop(store, (), self.run, name="endpoint slice mirroring")
        for key in self._slices.services():
            self._mark(key)
        for stored in store.select(ENDPOINTS.key):
            self._mark((stored.object["metadata"]["namespace"], stored.object["metadata"]["name"]))
        self._stops = (
            store.listen(ENDPOINTS.key, self._endpoints_changed),
            store.listen(SERVICE.key, self._service_changed),
            self._slices.close,
        )

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self._loop.wake()

    def _endpoints_changed(self, change: Change) -> None:
        service = self._objects.store.get(SERVICE.key, *change.key)
        if service is None or not service.object["spec"].get("selector"):
            self._mark(change.key)

    def _service_changed(self, change: Change) -> None:
        if (
            change.old is None
            or change.type == "DELETED"
            or _selector(change.old.object) != _selector(change.new.object)
        ):
            self._mark(change.key)

    def run(self) -> None:
        """Reconcile what is marked."""
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            try:
                self._reconcile(key)
            except StatusError as error:
                if not hopeless(error):
                    self._dirty[key] = None
                    raise

    def _reconcile(self, key: Key) -> None:
        endpoints = self._objects.store.get(ENDPOINTS.key, *key)
        service = self._objects.store.get(SERVICE.key, *key)
        if endpoints is None or not mirrored(endpoints.object, None if service is None else service.object):
            self._slices.delete_all(key)
            return
        metadata = endpoints.object["metadata"]
        stored = self._slices.load(key, metadata["uid"], address_and_ports)
        slices = SliceSet(partial(self._slices.new_name, key), stored)
        slices.replace(placements(endpoints.object))
        slices.tidy()
        slices.dirty |= dict.fromkeys(slices.slices)
        labels = slice_labels(tuple((metadata.get("labels") or {}).items()), key[1], MANAGER)
        self._slices.write(key, Header(labels, "Endpoints", key[1], metadata["uid"]), slices)

    def close(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
        self._loop.close()


def _selector(service: Object) -> object:
    return service["spec"].get("selector") or None
