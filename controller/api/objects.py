"""What writing an object means: metadata, defaults, checks, optimistic concurrency, grace and finalizers.

`Objects` is the only writer of the store: the REST handlers, the scheduler and the other life cycles go through it.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson

from controller.api import times, validation
from controller.api.managed.managers import Manager, record
from controller.api.managed.typed import type_of
from controller.api.names import suffix
from controller.api.registry import NAMESPACE, Kind, StatusPart
from controller.api.status import (
    MODIFIED,
    Cause,
    Object,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from controller.api.store import Store, Stored

PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_SYSTEM_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_GENERATE_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete (the fields of `DeleteOptions` that have an effect here)."""

    grace_period: int | None = None
    propagation: str = ""
    """`Background`, `Foreground`, `Orphan`, or empty for the default (Background)."""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


@dataclass(slots=True)
class Objects:
    """Creates, changes and deletes objects of every kind."""

    store: Store
    prepare: list[Callable[[Kind, Object], None]] = field(default_factory=list)
    """Called with every new object before it is checked (what admission adds)."""
    allocate: list[Callable[[Kind, Object, Object | None], None]] = field(default_factory=list)
    """Called with every version that passed the checks, and the version before it or None: adds what the cluster
    gives out (addresses, ports), or refuses with a `StatusError`."""

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        """The object, or 404."""
        stored = self.store.get(kind.key, namespace, name)
        if stored is None:
            raise not_found(kind.group, kind.plural, name)
        return stored

    # Create

    def create(
        self, kind: Kind, namespace: str, obj: Object, *, dry_run: bool = False, manager: Manager | None = None
    ) -> Stored:
        """Store a new object; `obj` belongs to the store from here on. With a `manager`, managedFields are written."""
        metadata = self._identity(kind, namespace, obj)
        name = metadata.get("name") or ""
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if kind.namespaced:
            self._check_namespace(kind, namespace, name)
        if not name and metadata.get("generateName"):
            metadata["name"] = name = self.free_name(kind, namespace, metadata["generateName"])
        if name and self.store.get(kind.key, namespace, name) is not None:
            raise already_exists(kind.group, kind.plural, name)
        for key in _SYSTEM_METADATA:
            metadata.pop(key, None)
        metadata.pop("resourceVersion", None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = times.now()
        if kind.generation:
            metadata["generation"] = 1
        if kind.status is StatusPart.SEPARATE:
            obj.pop("status", None)
        self._complete(kind, obj, None)
        if manager is not None:
            record(None, obj, type_of(kind.schema), manager, has_status=kind.has_status)
        if dry_run:
            return _unstored(obj)
        return self.store.put(kind.key, obj)

    def _identity(self, kind: Kind, namespace: str, obj: Object) -> Object:
        if obj.setdefault("apiVersion", kind.group_version) != kind.group_version:
            message = f"the API version in the data ({obj['apiVersion']}) does not match the expected API version"
            raise bad_request(f"{message} ({kind.group_version})")
        if obj.setdefault("kind", kind.kind) != kind.kind:
            raise bad_request(f"the kind in the data ({obj['kind']}) does not match the expected kind ({kind.kind})")
        metadata: Object = obj.setdefault("metadata", {})
        given = metadata.get("namespace") or ""
        if kind.namespaced:
            if given and given != namespace:
                message = "the namespace of the provided object does not match the namespace sent on the request"
                raise bad_request(message)
            metadata["namespace"] = namespace
        elif given:
            del metadata["namespace"]
        return metadata

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        found = self.store.get(NAMESPACE.key, "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if found.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise forbidden(kind.group, kind.plural, name, why, [cause])

    def free_name(self, kind: Kind, namespace: str, prefix: str) -> str:
        """A name that begins with `prefix` and that no object has (metadata.generateName)."""
        for _ in range(_GENERATE_ATTEMPTS):
            name = prefix[:58] + suffix()
            if self.store.get(kind.key, namespace, name) is None:
                return name
        raise already_exists(kind.group, kind.plural, prefix)

    def _complete(self, kind: Kind, new: Object, old: Object | None) -> None:
        causes: Sequence[Cause] = validation.metadata(new, kind.name_rule)
        if not causes and kind.default is not None:
            kind.default(new)
        if not causes and old is not None and kind.adopt is not None:
            kind.adopt(new, old)
        if not causes and old is None:
            for prepare in self.prepare:
                prepare(kind, new)
        if not causes and kind.validate is not None:
            causes = kind.validate(new, old)
        if causes:
            raise invalid(kind.group, kind.kind, new["metadata"].get("name") or "", causes)
        for allocate in self.allocate:
            allocate(kind, new, old)

    # Update

    def update(
        self,
        kind: Kind,
        old: Stored,
        new: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        manager: Manager | None = None,
    ) -> Stored:
        """Replace an object by a new version; a version without a difference changes nothing and returns the old one.

        With a `manager`, managedFields are written; without one they are as `new` has them, by default unchanged.

        `new` must not share with `old`'s object what defaulting changes: it comes from `Stored.copy` or a request.
        """
        before = old.object
        name = before["metadata"]["name"]
        metadata = self._identity(kind, before["metadata"].get("namespace", ""), new)
        if metadata.setdefault("name", name) != name:
            why = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            raise bad_request(why)
        if metadata.get("uid") not in (None, "", before["metadata"]["uid"]):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}"
            raise conflict(kind.group, kind.plural, name, f"{why}, UID in object meta: {before['metadata']['uid']}")
        if metadata.get("resourceVersion") not in (None, "", "0", before["metadata"]["resourceVersion"]):
            raise conflict(kind.group, kind.plural, name, MODIFIED)
        for key in (*_SYSTEM_METADATA, "resourceVersion", "generateName"):
            metadata.pop(key, None)
            if key in before["metadata"]:
                metadata[key] = before["metadata"][key]
        new = self._parts(kind, before, new, subresource)
        self._check_finalizers(kind, before, new)
        if subresource != "status":
            self._complete(kind, new, before)
        elif kind.validate_status is not None and (causes := kind.validate_status(new)):
            raise invalid(kind.group, kind.kind, name, causes)
        if "managedFields" in before["metadata"]:
            new["metadata"].setdefault("managedFields", before["metadata"]["managedFields"])
        if new == before:
            return old
        if manager is not None:
            record(before, new, type_of(kind.schema), manager, has_status=kind.has_status)
        if kind.generation and _changed(before, new):
            new["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
        if dry_run:
            return _unstored(new)
        stored = self.store.put(kind.key, new)
        return self._finish_deletion(kind, stored) or stored

    @staticmethod
    def _parts(kind: Kind, before: Object, new: Object, subresource: str) -> Object:
        if subresource == "status":
            metadata = dict(before["metadata"])
            for key in ("labels", "annotations", "finalizers", "managedFields"):
                metadata.pop(key, None)
                if key in new["metadata"]:
                    metadata[key] = new["metadata"][key]
            result = {**before, "metadata": metadata}
            result.pop("status", None)
            return result | ({"status": new["status"]} if "status" in new else {})
        if kind.status in (StatusPart.SEPARATE, StatusPart.KEPT_ON_CREATE):
            new.pop("status", None)
            if "status" in before:
                # Defaulting may fill in the status: it must not reach into the stored version.
                new["status"] = dict(before["status"])
        if kind is NAMESPACE and subresource != "finalize":
            new["spec"] = before["spec"]
        return new

    @staticmethod
    def _check_finalizers(kind: Kind, before: Object, new: Object) -> None:
        if not before["metadata"].get("deletionTimestamp"):
            return
        added = set(new["metadata"].get("finalizers") or ()) - set(before["metadata"].get("finalizers") or ())
        if added:
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
            cause = Cause("FieldValueForbidden", f"Forbidden: {why}", "metadata.finalizers")
            raise invalid(kind.group, kind.kind, before["metadata"]["name"], [cause])

    def _finish_deletion(self, kind: Kind, stored: Stored) -> Stored | None:
        """Remove an object whose deletion waited for finalizers when the last one is gone."""
        metadata = stored.object["metadata"]
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return None
        if metadata.get("deletionGracePeriodSeconds"):
            return None
        if kind is NAMESPACE and stored.object["spec"].get("finalizers"):
            return None
        return self.store.remove(kind.key, metadata.get("namespace", ""), metadata["name"])

    # Delete

    def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> tuple[Stored, bool]:
        """Delete, or begin to; returns the object as it is now and whether it is gone."""
        stored = self.get(kind, namespace, name)
        metadata = stored.object["metadata"]
        if options.uid and options.uid != metadata["uid"]:
            why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {metadata['uid']}"
            raise conflict(kind.group, kind.plural, name, why)
        if options.resource_version and options.resource_version != metadata["resourceVersion"]:
            why = (
                f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
                f"ResourceVersion in object meta: {metadata['resourceVersion']}"
            )
            raise conflict(kind.group, kind.plural, name, why)
        if kind is NAMESPACE and name in PROTECTED_NAMESPACES:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")
        grace = _grace_period(kind, stored.object, options)
        finalizers = _finalizers(metadata.get("finalizers") or [], options)
        waits = kind is NAMESPACE and bool(stored.object["spec"].get("finalizers"))
        if grace == 0 and not finalizers and not waits:
            if options.dry_run:
                return stored, True
            return self.store.remove(kind.key, namespace, name), True
        new = _terminating(stored.copy(), grace, finalizers)
        if new == stored.object or options.dry_run:
            return (stored if new == stored.object else _unstored(new)), False
        return self.store.put(kind.key, new), False


def _unstored(obj: Object) -> Stored:
    return Stored(obj, orjson.dumps(obj), 0)


def _changed(before: Object, new: Object) -> bool:
    ignored = ("metadata", "status")
    return {k: v for k, v in before.items() if k not in ignored} != {k: v for k, v in new.items() if k not in ignored}


def _grace_period(kind: Kind, obj: Object, options: DeleteOptions) -> int:
    if not kind.graceful:
        return 0
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    wanted = options.grace_period
    if wanted is None:
        wanted = spec.get("terminationGracePeriodSeconds", 30)
    if wanted < 0:
        wanted = 1
    running = obj["metadata"].get("deletionGracePeriodSeconds")
    return int(wanted if running is None else min(wanted, running))


def _finalizers(present: list[str], options: DeleteOptions) -> list[str]:
    kept = [name for name in present if name not in (FOREGROUND, ORPHAN)] if options.propagation else list(present)
    if options.propagation == "Foreground":
        kept.append(FOREGROUND)
    elif options.propagation == "Orphan":
        kept.append(ORPHAN)
    return kept


def _terminating(obj: Object, grace: int, finalizers: list[str]) -> Object:
    metadata = obj["metadata"]
    shorter = metadata.get("deletionGracePeriodSeconds", grace + 1) > grace
    if "deletionTimestamp" not in metadata or shorter:
        metadata["deletionTimestamp"] = times.after(grace)
        metadata["deletionGracePeriodSeconds"] = grace
    if finalizers:
        metadata["finalizers"] = finalizers
    if obj["kind"] == NAMESPACE.kind:
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return obj
