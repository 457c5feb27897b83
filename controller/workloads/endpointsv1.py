"""Endpoints (v1) of Services that select pods, for clients that do not read EndpointSlices."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from socket import AF_INET, inet_pton
from typing import Final

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import ENDPOINTS, SERVICE
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.workloads.endpoints import Placed, PodFacts, PortSet, ServiceFacts, place
from controller.workloads.loop import Loop, hopeless
from controller.workloads.selecting import Selection
from controller.workloads.slicewire import HEADLESS

MAX_ADDRESSES: Final = 1000
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"
DELAY: Final = 0.1
"""Seconds for which changes are gathered: an Endpoints object is rewritten whole, and nothing of ours waits for it."""
_SHARE: Final = 10
"""Of the time, at most one part in so many goes into Endpoints while changes keep coming."""


def subsets(service: ServiceFacts, pods: Iterable[PodFacts]) -> tuple[list[Object], bool]:
    """The subsets, and whether addresses beyond `MAX_ADDRESSES` are left out: unready ones first."""
    ready: dict[PortSet, list[Placed]] = {}
    unready: dict[PortSet, list[Placed]] = {}
    for pod in pods:
        if pod.terminating and not service.publish_unready:
            continue
        placed = place(service, pod, {})
        if placed is not None and (placed.ports or not service.ports):
            (ready if placed.endpoint.ready else unready).setdefault(placed.ports, []).append(placed)
    left = MAX_ADDRESSES
    made: dict[PortSet, Object] = {}
    for key, groups in (("addresses", ready), ("notReadyAddresses", unready)):
        for ports in sorted(groups, key=repr):
            kept = sorted(groups[ports], key=lambda placed: inet_pton(AF_INET, placed.endpoint.address))[:left]
            left -= len(kept)
            if kept:
                made.setdefault(ports, {})[key] = [_address(placed) for placed in kept]
    total = sum(len(group) for groups in (ready, unready) for group in groups.values())
    for ports, subset in made.items():
        if ports:
            subset["ports"] = [_port_object(ports, index) for index in range(len(ports))]
    return [made[ports] for ports in sorted(made, key=repr)], total > MAX_ADDRESSES


def _address(placed: Placed) -> Object:
    point = placed.endpoint
    made: Object = {"ip": point.address, "targetRef": dict(point.target)}
    if point.node:
        made["nodeName"] = point.node
    if point.hostname:
        made["hostname"] = point.hostname
    return made


def _port_object(ports: PortSet, index: int) -> Object:
    port = ports[index]
    made: Object = {"port": port.number, "protocol": port.protocol}
    if port.name:
        made["name"] = port.name
    if port.app_protocol:
        made["appProtocol"] = port.app_protocol
    return made


def endpoints_object(service: ServiceFacts, pods: Iterable[PodFacts], old: Mapping[str, Object] | None) -> Object:
    """The Endpoints of a Service; identity and foreign annotations of `old` are kept."""
    metadata: Object = dict(old["metadata"]) if old is not None else {"name": service.name}
    labels = {key: value for key, value in service.labels if key != HEADLESS}
    metadata["labels"] = labels | ({HEADLESS: ""} if service.headless else {})
    found, truncated = subsets(service, pods)
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != OVER_CAPACITY}
    if truncated:
        annotations[OVER_CAPACITY] = "truncated"
    for key, values in (("annotations", annotations), ("labels", metadata["labels"])):
        metadata.pop(key, None)
        if values:
            metadata[key] = values
    made: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    return made | ({"subsets": found} if found else {})


class Endpoints:
    """Writes them a moment after the slices. Lives on the API's event loop."""

    def __init__(self, objects: Objects, selection: Selection, *, delay: float = DELAY) -> None:
        self._objects = objects
        self._selection = selection
        self._delay = delay
        self._cost = 0.0
        self._dirty: dict[Key, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._loop = Loop(objects.store, (), self.run, name="endpoints")
        self._stops = (
            objects.store.listen(SERVICE.key, self._service_changed),
            objects.store.listen(ENDPOINTS.key, self._endpoints_changed),
        )

    def mark(self, key: Key) -> None:
        """A Service's endpoints may be others now."""
        self._dirty[key] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(max(self._delay, _SHARE * self._cost), self._due)

    def _due(self) -> None:
        self._timer = None
        self._loop.wake()

    def _service_changed(self, change: Change) -> None:
        gone = change.type == "DELETED" or change.new.object["spec"].get("type") == "ExternalName"
        if gone:
            self._dirty[change.key] = None
            self._loop.wake()

    def _endpoints_changed(self, change: Change) -> None:
        if not self._writing and change.key in self._selection.services:
            self.mark(change.key)

    def run(self) -> None:
        """Write what is due."""
        began = time.monotonic()
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            self._writing = True
            try:
                self._reconcile(key)
            except StatusError as error:
                if not hopeless(error):
                    self._dirty[key] = None
                    raise
            finally:
                self._writing = False
        self._cost = time.monotonic() - began

    def _reconcile(self, key: Key) -> None:
        service = self._selection.services.get(key)
        stored = self._objects.store.get(ENDPOINTS.key, *key)
        if service is None:
            self._delete_useless(key)
            return
        old = None if stored is None else stored.object
        new = endpoints_object(service, self._selection.selected(service), old)
        if stored is None:
            self._objects.create(ENDPOINTS, key[0], new)
        else:
            self._objects.update(ENDPOINTS, stored, new)

    def _delete_useless(self, key: Key) -> None:
        """Endpoints go with their Service; those of one that lost its selector stay (as upstream), kept by hand."""
        service = self._objects.store.get(SERVICE.key, *key)
        useless = service is None or (
            service.object["spec"].get("type") == "ExternalName" and bool(service.object["spec"].get("selector"))
        )
        if useless and self._objects.store.get(ENDPOINTS.key, *key) is not None:
            self._objects.delete(ENDPOINTS, *key, DeleteOptions())

    def close(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.close()
