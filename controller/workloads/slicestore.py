"""The EndpointSlices that one controller manages, by Service: read, written, deleted; changes by others are told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import ENDPOINT_SLICE
from controller.api.status import Object
from controller.api.store import Change, Key
from controller.workloads.endpoints import Endpoint, PortSet
from controller.workloads.slicewire import MANAGED_BY, SERVICE_NAME, Header, read_slice, slice_object
from controller.workloads.slicing import Id, Slice, SliceSet


class SliceStore:
    """Slices with one value of the label managed-by."""

    def __init__(self, objects: Objects, managed_by: str, disturbed: Callable[[Key], None]) -> None:
        self._objects = objects
        self._managed_by = managed_by
        self._disturbed = disturbed
        self._names: dict[Key, set[str]] = {}
        self._writing = False
        for stored in objects.store.select(ENDPOINT_SLICE.key):
            if (service := self._service(stored.object)) is not None:
                self._names.setdefault(service, set()).add(stored.object["metadata"]["name"])
        self.close = objects.store.listen(ENDPOINT_SLICE.key, self._changed)

    def services(self) -> list[Key]:
        """Services that have such slices."""
        return list(self._names)

    def _service(self, obj: Object) -> Key | None:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(MANAGED_BY) != self._managed_by or SERVICE_NAME not in labels:
            return None
        return (metadata["namespace"], labels[SERVICE_NAME])

    def _changed(self, change: Change) -> None:
        old = None if change.old is None else self._service(change.old.object)
        new = None if change.type == "DELETED" else self._service(change.new.object)
        name = change.key[1]
        if old is not None and old != new:
            self._names[old].discard(name)
            if not self._names[old]:
                del self._names[old]
        if new is not None:
            self._names.setdefault(new, set()).add(name)
        if not self._writing:
            for service in {old, new} - {None}:
                assert service is not None
                self._disturbed(service)

    @contextmanager
    def _own_writes(self) -> Iterator[None]:
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def load(self, service: Key, owner_uid: str, identify: Callable[[PortSet, Endpoint], Id]) -> dict[str, Slice[Id]]:
        """The slices of an owner; those of an earlier owner of the same name are for the garbage collector."""
        found = {}
        for name in sorted(self._names.get(service, ())):
            stored = self._objects.store.get(ENDPOINT_SLICE.key, service[0], name)
            assert stored is not None
            metadata = stored.object["metadata"]
            owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
            usable = owners == {owner_uid} and stored.object.get("addressType") == "IPv4"
            if usable and not metadata.get("deletionTimestamp"):
                found[name] = read_slice(stored.object, identify)
        return found

    def write(self, service: Key, header: Header, slices: SliceSet[Any]) -> None:
        """Write what is dirty, delete what is removed."""
        with self._own_writes():
            for name in list(slices.dirty):
                self._write(service[0], name, header, slices.slices[name])
                del slices.dirty[name]
            for name in list(slices.removed):
                self._delete(service[0], name)
                del slices.removed[name]

    def _write(self, namespace: str, name: str, header: Header, entry: Slice[Any]) -> None:
        stored = self._objects.store.get(ENDPOINT_SLICE.key, namespace, name)
        if stored is None:
            self._objects.create(ENDPOINT_SLICE, namespace, slice_object(name, header, entry, None))
        else:
            self._objects.update(ENDPOINT_SLICE, stored, slice_object(name, header, entry, stored.object))

    def _delete(self, namespace: str, name: str) -> None:
        if self._objects.store.get(ENDPOINT_SLICE.key, namespace, name) is not None:
            self._objects.delete(ENDPOINT_SLICE, namespace, name, DeleteOptions())

    def delete_all(self, service: Key) -> None:
        """Delete a Service's slices."""
        with self._own_writes():
            for name in sorted(self._names.get(service, ())):
                self._delete(service[0], name)

    def new_name(self, service: Key) -> str:
        """A name for another slice."""
        return self._objects.free_name(ENDPOINT_SLICE, service[0], f"{service[1]}-")
