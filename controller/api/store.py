"""The objects in memory, one global resourceVersion, and the recent history that watches and paging need.

One thread (the event loop) reads and writes, so there are no locks and the order of changes is total. A stored object
is never changed in place: every version is a new dictionary, encoded once. The journal is written before the memory.
"""

import bisect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import orjson

from controller.api.journal import Journal, Row
from controller.api.status import Object, expired

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Key: TypeAlias = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""
Listener: TypeAlias = "Callable[[Change], None]"

HISTORY = 10_000
"""Changes kept for watches that resume and for list continuation."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object."""

    object: Object
    encoded: bytes
    version: int

    def copy(self) -> Object:
        """A copy that may be changed."""
        copied: Object = orjson.loads(self.encoded)
        return copied


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the history: what the object was and is."""

    version: int
    type: EventType
    kind: str
    key: Key
    new: Stored
    """For DELETED: the last state, with the resourceVersion of the deletion."""
    old: Stored | None


@dataclass(frozen=True, slots=True)
class _Past:
    """A `Change` in the history: bytes only, as parsed objects take five times the memory."""

    version: int
    type: EventType
    kind: str
    key: Key
    new: bytes
    old: bytes | None
    old_version: int

    def change(self) -> Change:
        old = None if self.old is None else Stored(orjson.loads(self.old), self.old, self.old_version)
        return Change(self.version, self.type, self.kind, self.key, _decode(self.new, self.version), old)


def _decode(body: bytes, version: int) -> Stored:
    return Stored(orjson.loads(body), body, version)


@dataclass(slots=True)
class _Collection:
    objects: dict[Key, Stored] = field(default_factory=dict)
    order: list[Key] | None = None
    listeners: list[Listener] = field(default_factory=list)
    changed: int = 0

    def ordered(self) -> list[Key]:
        if self.order is None:
            self.order = sorted(self.objects)
        return self.order


class Store:
    """All objects of all kinds; `kind` is `Kind.key` (`plural.group`) everywhere."""

    def __init__(self, journal: Journal | None = None, *, history: int = HISTORY) -> None:
        self._journal = journal
        self._collections: dict[str, _Collection] = {}
        self._past: deque[_Past] = deque(maxlen=history)
        self._endings: list[Callable[[], None]] = []
        self.version = 0
        if journal is not None:
            self.version, rows = journal.load()
            for row in rows:
                assert row.body is not None
                stored = _decode(row.body, 0)
                version = int(stored.object["metadata"]["resourceVersion"])
                collection = self._collection(row.kind)
                collection.objects[(row.namespace, row.name)] = Stored(stored.object, row.body, version)
        self._oldest = self.version
        """Watches may resume from this version on; changes before it are forgotten."""
        self._opened = self.version

    def _collection(self, kind: str) -> _Collection:
        collection = self._collections.get(kind)
        if collection is None:
            collection = self._collections[kind] = _Collection()
        return collection

    def get(self, kind: str, namespace: str, name: str) -> Stored | None:
        """The object, or None."""
        return self._collection(kind).objects.get((namespace, name))

    def select(self, kind: str, namespace: str = "") -> list[Stored]:
        """All objects of a kind, of one namespace when given, by namespace and name."""
        collection = self._collection(kind)
        objects = collection.objects
        if not namespace:
            return [objects[key] for key in collection.ordered()]
        return [objects[key] for key in collection.ordered() if key[0] == namespace]

    def changed(self, kind: str) -> int:
        """The version of a kind's last change; changes before the store was opened count as of its opening."""
        return max(self._collection(kind).changed, self._opened)

    def kinds(self) -> list[str]:
        """Every kind that has objects."""
        return [kind for kind, collection in self._collections.items() if collection.objects]

    def select_at(self, kind: str, namespace: str, version: int) -> list[tuple[Key, Stored]]:
        """The list as it was at `version`: the history since then is undone. Raises 410 when that is forgotten."""
        objects = dict(self._collection(kind).objects)
        for past in reversed(self._since(version)):
            if past.kind == kind:
                if past.old is None:
                    objects.pop(past.key, None)
                else:
                    objects[past.key] = _decode(past.old, past.old_version)
        return [(key, objects[key]) for key in sorted(objects) if not namespace or key[0] == namespace]

    def put(self, kind: str, obj: Object) -> Stored:
        """Store a new version; `obj` belongs to the store from here on. Its resourceVersion is set."""
        metadata = obj["metadata"]
        version = self.version + 1
        metadata["resourceVersion"] = str(version)
        key = (metadata.get("namespace", ""), metadata["name"])
        stored = Stored(obj, orjson.dumps(obj), version)
        if self._journal is not None:
            self._journal.write(version, (Row(kind, *key, stored.encoded),))
        collection = self._collection(kind)
        old = collection.objects.get(key)
        collection.objects[key] = stored
        if old is None and collection.order is not None:
            bisect.insort(collection.order, key)
        self._commit(Change(version, "ADDED" if old is None else "MODIFIED", kind, key, stored, old), collection)
        return stored

    def remove(self, kind: str, namespace: str, name: str) -> Stored:
        """Remove an object that exists; returns its last state with the deletion's resourceVersion."""
        collection = self._collection(kind)
        key = (namespace, name)
        old = collection.objects[key]
        version = self.version + 1
        last = old.copy()
        last["metadata"]["resourceVersion"] = str(version)
        if self._journal is not None:
            self._journal.write(version, (Row(kind, namespace, name, None),))
        del collection.objects[key]
        if collection.order is not None:
            del collection.order[bisect.bisect_left(collection.order, key)]
        stored = Stored(last, orjson.dumps(last), version)
        self._commit(Change(version, "DELETED", kind, key, stored, old), collection)
        return stored

    def _commit(self, change: Change, collection: _Collection) -> None:
        self.version = collection.changed = change.version
        if len(self._past) == self._past.maxlen and self._past:
            self._oldest = self._past[0].version
        old = change.old
        self._past.append(
            _Past(
                change.version,
                change.type,
                change.kind,
                change.key,
                change.new.encoded,
                None if old is None else old.encoded,
                0 if old is None else old.version,
            )
        )
        for listener in tuple(collection.listeners):
            listener(change)

    def listen(self, kind: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change of a kind, on this thread; returns how to stop it."""
        listeners = self._collection(kind).listeners
        listeners.append(listener)

        def stop() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return stop

    def at_end(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when no more changes will come (`end`); returns how to stop it."""
        self._endings.append(listener)
        return lambda: self._endings.remove(listener)

    def end(self) -> None:
        """Tell those who wait for changes that no more will come."""
        for listener in tuple(self._endings):
            listener()

    def _since(self, version: int) -> list[_Past]:
        if version < self._oldest or version > self.version:
            raise expired(f"too old resource version: {version} ({self._oldest})")
        found: list[_Past] = []
        for past in reversed(self._past):
            if past.version <= version:
                break
            found.append(past)
        found.reverse()
        return found

    def since(self, kind: str, version: int) -> list[Change]:
        """The changes of a kind after `version`, oldest first. Raises 410 when they are forgotten."""
        return [past.change() for past in self._since(version) if past.kind == kind]

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
