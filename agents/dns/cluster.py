"""The objects that the API has told of, and the zone that follows from them, kept up to date change by change."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from agents.dns.model import Object, Pod, Service, Slice, pod_from_object, service_from_object, slice_from_object
from agents.dns.records import ClusterNames, pod_records, service_records, version_records
from agents.dns.zone import Zone

Key = tuple[str, str]
"""Namespace and name."""
SERVICES: Final = "services"
SLICES: Final = "endpointslices"
PODS: Final = "pods"
KINDS: Final = (SERVICES, SLICES, PODS)
_LOG = logging.getLogger(__name__)


class Cluster:
    """A zone that is a function of the Services, EndpointSlices and Pods told so far."""

    def __init__(self, names: ClusterNames, serial: int = 1) -> None:
        self.zone = Zone(names.authority(), serial)
        self._names = names
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, Slice] = {}
        self._of_service: defaultdict[Key, set[Key]] = defaultdict(set)
        self._pods: dict[Key, Pod] = {}
        self._missing = set(KINDS)
        self._put: dict[str, Callable[[Object], None]] = {
            SERVICES: self._put_service,
            SLICES: self._put_slice,
            PODS: self._put_pod,
        }
        self._drop: dict[str, Callable[[Key], None]] = {
            SERVICES: self._drop_service,
            SLICES: self._drop_slice,
            PODS: self._drop_pod,
        }
        self.zone.put("version", version_records(names))

    @property
    def missing(self) -> frozenset[str]:
        """Kinds of which no list has come yet."""
        return frozenset(self._missing)

    def synced(self) -> bool:
        """Whether the zone holds the whole cluster."""
        return not self._missing

    def replace(self, kind: str, objects: Iterable[Object]) -> None:
        """A list of all objects of a kind: what it does not hold is gone."""
        present: dict[str, Any] = {SERVICES: self._services, SLICES: self._slices, PODS: self._pods}
        listed = list(objects)
        for key in set(present[kind]) - {_key(obj) for obj in listed}:
            self._drop[kind](key)
        for obj in listed:
            self.put(kind, obj)
        self._missing.discard(kind)

    def put(self, kind: str, obj: Object) -> None:
        """An object is new or changed. One that cannot be read has no names: the others' are not its business."""
        try:
            self._put[kind](obj)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _LOG.error("%s %s/%s cannot be read: %r", kind, *_key(obj), error)
            self._drop[kind](_key(obj))

    def drop(self, kind: str, obj: Object) -> None:
        """An object is gone."""
        self._drop[kind](_key(obj))

    def _put_service(self, obj: Object) -> None:
        service = service_from_object(obj)
        key = service.namespace, service.name
        if self._services.get(key) != service:
            self._services[key] = service
            self._renew(key)

    def _drop_service(self, key: Key) -> None:
        self._services.pop(key, None)
        self._renew(key)

    def _put_slice(self, obj: Object) -> None:
        one = slice_from_object(obj)
        key = one.namespace, one.name
        before = self._slices.get(key)
        if before == one:
            return
        self._slices[key] = one
        if before is not None and before.service != one.service:
            self._forget(key, before)
        owner = one.namespace, one.service
        self._of_service[owner].add(key)
        self._renew(owner)

    def _drop_slice(self, key: Key) -> None:
        before = self._slices.pop(key, None)
        if before is not None:
            self._forget(key, before)

    def _forget(self, key: Key, before: Slice) -> None:
        owner = before.namespace, before.service
        self._of_service[owner].discard(key)
        if not self._of_service[owner]:
            del self._of_service[owner]
        self._renew(owner)

    def _put_pod(self, obj: Object) -> None:
        key = _key(obj)
        pod = pod_from_object(obj)
        if pod is None:
            self._drop_pod(key)
        elif self._pods.get(key) != pod:
            self._pods[key] = pod
            self.zone.put(f"pod/{key[0]}/{key[1]}", pod_records(pod, self._names))

    def _drop_pod(self, key: Key) -> None:
        if self._pods.pop(key, None) is not None:
            self.zone.put(f"pod/{key[0]}/{key[1]}", {})

    def _renew(self, key: Key) -> None:
        """Work out a Service's records again."""
        service = self._services.get(key)
        # In the slices' order, so that the same objects give the same records whatever came first.
        slices = [self._slices[name] for name in sorted(self._of_service.get(key, ()))]
        records = service_records(service, slices, self._names) if service is not None else {}
        self.zone.put(f"service/{key[0]}/{key[1]}", records)


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
