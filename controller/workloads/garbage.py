"""Garbage collection by ownerReferences: background, foreground and orphan deletion."""

from typing import Final

from controller.api.objects import FOREGROUND, ORPHAN, DeleteOptions, Objects
from controller.api.registry import KINDS, Kind, by_api_version, by_key
from controller.api.status import Object
from controller.api.store import Change, Key, Stored
from controller.workloads.loop import Loop

_Id = tuple[str, Key]
"""Kind key, and namespace and name."""
_SERVED: Final = tuple(kind.key for kind in KINDS)


class Garbage:
    """Deletes objects whose owners are all gone. Lives on the API's event loop."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._uids: set[str] = set()
        self._dependents: dict[str, set[_Id]] = {}
        self._owners: dict[_Id, tuple[str, ...]] = {}
        self._suspects: set[_Id] = set()
        self._deleting: set[_Id] = set()
        store = objects.store
        for key in _SERVED:
            for stored in store.select(key):
                metadata = stored.object["metadata"]
                self._note((key, (metadata.get("namespace", ""), metadata["name"])), stored.object)
        # An owner may have gone while nobody listened.
        self._suspects |= set(self._owners)
        self._stops = [store.listen(key, self._changed) for key in _SERVED]
        self._loop = Loop(store, (), self.run, name="garbage collector")
        self._loop.wake()

    def _note(self, identity: _Id, obj: Object) -> None:
        metadata = obj["metadata"]
        self._uids.add(metadata["uid"])
        owners = tuple(owner["uid"] for owner in metadata.get("ownerReferences") or ())
        before = self._owners.get(identity, ())
        if owners != before:
            self._forget(identity)
            for uid in owners:
                self._dependents.setdefault(uid, set()).add(identity)
            if owners:
                self._owners[identity] = owners
                self._suspects.add(identity)
        finalizers = metadata.get("finalizers") or ()
        if metadata.get("deletionTimestamp") and (FOREGROUND in finalizers or ORPHAN in finalizers):
            self._deleting.add(identity)

    def _forget(self, identity: _Id) -> None:
        for uid in self._owners.pop(identity, ()):
            entries = self._dependents[uid]
            entries.discard(identity)
            if not entries:
                del self._dependents[uid]

    def _changed(self, change: Change) -> None:
        identity = (change.kind, change.key)
        if change.type == "DELETED":
            self._uids.discard(change.new.object["metadata"]["uid"])
            self._forget(identity)
            self._deleting.discard(identity)
            self._suspects |= self._dependents.get(change.new.object["metadata"]["uid"], set())
        else:
            self._note(identity, change.new.object)
        if self._suspects or self._deleting:
            self._loop.wake()

    def run(self) -> None:
        """Look at every object that may have lost its owners, and at owners that wait for their dependents."""
        for identity in sorted(self._deleting):
            self._finish_owner(identity)
        suspects, self._suspects = self._suspects, set()
        for identity in sorted(suspects):
            self._collect(identity)

    def _find(self, identity: _Id) -> tuple[Kind, Stored] | None:
        kind = by_key(identity[0])
        stored = self._objects.store.get(identity[0], *identity[1])
        return None if kind is None or stored is None else (kind, stored)

    def _exists(self, owner: Object) -> bool:
        # Owners of kinds that are not served here cannot be looked up: they count as present.
        return owner["uid"] in self._uids or by_api_version(owner["apiVersion"], owner["kind"]) is None

    def _collect(self, identity: _Id) -> None:
        found = self._find(identity)
        if found is None:
            return
        kind, stored = found
        metadata = stored.object["metadata"]
        owners = metadata.get("ownerReferences") or []
        present = [owner for owner in owners if self._exists(owner)]
        if not owners or len(present) == len(owners) or metadata.get("deletionTimestamp"):
            return
        if not present:
            self._objects.delete(kind, *identity[1], DeleteOptions(uid=metadata["uid"]))
            return
        new = stored.copy()
        new["metadata"]["ownerReferences"] = present
        self._objects.update(kind, stored, new)

    def _finish_owner(self, identity: _Id) -> None:
        found = self._find(identity)
        if found is None:
            self._deleting.discard(identity)
            return
        kind, owner = found
        metadata = owner.object["metadata"]
        orphan = ORPHAN in (metadata.get("finalizers") or ())
        blocking = False
        for other in sorted(self._dependents.get(metadata["uid"], ())):
            dependent = self._find(other)
            if dependent is None:
                continue
            if orphan:
                self._release(*dependent, metadata["uid"])
            else:
                blocking |= self._delete_dependent(*dependent, metadata["uid"])
        if blocking:
            return
        self._deleting.discard(identity)
        fresh = self._find(identity)
        if fresh is not None:
            new = fresh[1].copy()
            kept = [name for name in new["metadata"].get("finalizers") or () if name not in (FOREGROUND, ORPHAN)]
            new["metadata"]["finalizers"] = kept
            self._objects.update(kind, fresh[1], new)

    def _release(self, kind: Kind, stored: Stored, uid: str) -> None:
        new = stored.copy()
        owners = [owner for owner in new["metadata"]["ownerReferences"] if owner["uid"] != uid]
        new["metadata"]["ownerReferences"] = owners
        self._objects.update(kind, stored, new)

    def _delete_dependent(self, kind: Kind, stored: Stored, uid: str) -> bool:
        """Delete it; whether the owner must wait for it."""
        metadata = stored.object["metadata"]
        if not metadata.get("deletionTimestamp"):
            options = DeleteOptions(propagation="Foreground", uid=metadata["uid"])
            _, gone = self._objects.delete(kind, metadata.get("namespace", ""), metadata["name"], options)
            if gone:
                return False
        return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in metadata["ownerReferences"])

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._loop.close()
