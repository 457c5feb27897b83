"""The EndpointSlice controller: slices of every Service that selects pods. Lives on the API's event loop."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from controller.api.objects import Objects
from controller.api.registry import NODE, POD, SERVICE
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.workloads.endpoints import ServiceFacts, place, pod_facts, service_facts
from controller.workloads.loop import Loop, hopeless
from controller.workloads.selecting import Selection
from controller.workloads.selectionnews import SelectionNews
from controller.workloads.slicestore import SliceStore
from controller.workloads.slicewire import Header, pod_name, slice_labels
from controller.workloads.slicing import SliceSet

MANAGER: Final = "endpointslice-controller.k8s.io"
ZONE: Final = "topology.kubernetes.io/zone"
_TURN_SECONDS: Final = 0.02
"""How long one turn may keep requests waiting."""


class EndpointSlices:
    """Keeps slices as pods, Services and nodes are. Per change: only the Services that select the pod, only it."""

    def __init__(self, objects: Objects, selection: Selection, changed: Callable[[Key], None]) -> None:
        """`changed` is called with every Service whose endpoints may be others now."""
        self._objects = objects
        self._tell = changed
        self.selection = selection
        self.zones: dict[str, str] = {}
        self._sets: dict[Key, SliceSet[str]] = {}
        self._dirty: dict[Key, set[str] | None] = {}
        """Names of pods to look at; None: everything."""
        self._news = SelectionNews(objects, selection, MANAGER)
        self._slices = SliceStore(objects, MANAGER, self._mark_all)
        store = objects.store
        self._loop = Loop(store, (), self.run, name="endpoint slices")
        for stored in store.select(NODE.key):
            self.zones[stored.object["metadata"]["name"]] = _zone(stored.object)
        for stored in store.select(POD.key):
            facts = pod_facts(stored.object)
            self.selection.put_pod((facts.namespace, facts.name), facts)
        for key in self._slices.services():
            self._mark_all(key)
        for stored in store.select(SERVICE.key):
            self._service_is(stored.object)
        self._stops = (
            store.listen(POD.key, self._pod_changed),
            store.listen(SERVICE.key, self._service_changed),
            store.listen(NODE.key, self._node_changed),
            self._slices.close,
            self._news.close,
        )

    # What changed

    def _mark_all(self, key: Key) -> None:
        self._dirty[key] = None
        self._loop.wake()

    def _mark(self, key: Key, pod: str) -> None:
        names = self._dirty.setdefault(key, set())
        if names is not None:
            names.add(pod)
        self._loop.wake()

    def _service_is(self, service: Object) -> None:
        metadata = service["metadata"]
        key = (metadata["namespace"], metadata["name"])
        self._news.service(service)
        facts = service_facts(service)
        if facts != self.selection.services.get(key):
            self.selection.put_service(key, facts)
            self._mark_all(key)

    def _service_changed(self, change: Change) -> None:
        if change.type != "DELETED":
            self._service_is(change.new.object)
        elif change.key in self.selection.services:
            self.selection.put_service(change.key, None)
            self._mark_all(change.key)

    def _pod_changed(self, change: Change) -> None:
        old = self.selection.pods.get(change.key)
        new = None if change.type == "DELETED" else pod_facts(change.new.object)
        if old == new:
            return
        self.selection.put_pod(change.key, new)
        for key in {*self.selection.selecting(old), *self.selection.selecting(new)}:
            self._mark(key, change.key[1])

    def _node_changed(self, change: Change) -> None:
        name = change.key[1]
        zone = "" if change.type == "DELETED" else _zone(change.new.object)
        if zone == self.zones.get(name, ""):
            return
        self.zones[name] = zone
        for pod in self.selection.on_node(name):
            for key in self.selection.selecting(pod):
                self._mark(key, pod.name)

    # What follows

    def run(self) -> None:
        """Reconcile Services for one turn; ask for another when some are left."""
        end = time.monotonic() + _TURN_SECONDS
        while self._dirty:
            key = next(iter(self._dirty))
            pods = self._dirty.pop(key)
            try:
                self._reconcile(key, pods)
            except StatusError as error:
                self._sets.pop(key, None)
                if hopeless(error):
                    continue
                self._dirty[key] = None
                raise
            self._tell(key)
            if self._dirty and time.monotonic() > end:
                self._loop.wake()
                return

    def _reconcile(self, key: Key, pods: set[str] | None) -> None:
        service = self.selection.services.get(key)
        if service is None:
            self._news.forget(key)
            self._sets.pop(key, None)
            self._slices.delete_all(key)
            return
        slices = self._sets.get(key)
        if slices is None or pods is None:
            slices = self._replace(key, service)
        else:
            for name in sorted(pods):
                pod = self.selection.pods.get((service.namespace, name))
                selected = pod is not None and service.selects(pod)
                slices.set(name, place(service, pod, self.zones) if pod is not None and selected else None)
                if pod is not None and selected:
                    self._news.pod(key, service, pod)
        self._news.selected(key, nobody=not self.selection.selects_any(service))
        slices.tidy()
        labels = slice_labels(service.labels, service.name, MANAGER, headless=service.headless)
        self._slices.write(key, Header(labels, "Service", service.name, service.uid), slices)

    def _replace(self, key: Key, service: ServiceFacts) -> SliceSet[str]:
        """Everything anew, from what is stored."""
        stored = self._slices.load(key, service.uid, pod_name)
        slices = self._sets[key] = SliceSet(partial(self._slices.new_name, key), stored)
        wanted = {}
        self._news.forget(key)
        for pod in self.selection.selected(service):
            placed = place(service, pod, self.zones)
            if placed is not None:
                wanted[pod.name] = placed
                self._news.pod(key, service, pod)
        slices.replace(wanted)
        slices.dirty |= dict.fromkeys(slices.slices)  # their labels may be others; what is equal is not written
        return slices

    def close(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
        self._loop.close()


def _zone(node: Object) -> str:
    return (node["metadata"].get("labels") or {}).get(ZONE) or ""
