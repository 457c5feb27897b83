"""Namespaces: the default ones exist; a deleted one is Terminating until its contents are gone."""

import asyncio
from typing import Final

from controller.api import times
from controller.api.objects import PROTECTED_NAMESPACES, DeleteOptions, Objects
from controller.api.registry import KINDS, NAMESPACE, Kind
from controller.api.status import Object
from controller.api.store import Change, Stored
from controller.workloads.loop import Loop

CONTENT_GRACE: Final = 1.0
"""Seconds until a deleted namespace's contents are deleted too, as upstream's 5 s: `kubectl delete -f` of a file that
has the namespace and its contents deletes one after the other, and must find each."""

_CONTENTS: Final = tuple(kind for kind in KINDS if kind.namespaced)


def ensure_defaults(objects: Objects) -> None:
    """Create `default`, `kube-system` and `kube-public` where they are missing."""
    for name in PROTECTED_NAMESPACES:
        if objects.store.get(NAMESPACE.key, "", name) is None:
            objects.create(NAMESPACE, "", {"metadata": {"name": name}})


class Namespaces:
    """Empties namespaces that are being deleted, asynchronously: clients see Terminating first."""

    def __init__(self, objects: Objects, *, grace: float = CONTENT_GRACE) -> None:
        self._objects = objects
        self._grace = grace
        self._due: dict[str, float] = {}
        store = objects.store
        for stored in store.select(NAMESPACE.key):
            self._note(stored.object)
        self._stops = [store.listen(NAMESPACE.key, self._namespace_changed)]
        self._stops += [store.listen(kind.key, self._content_changed) for kind in _CONTENTS]
        self._loop = Loop(store, (), self.run, name="namespaces")
        self._loop.wake()

    def _note(self, namespace: Object) -> None:
        if namespace["metadata"].get("deletionTimestamp"):
            loop = asyncio.get_running_loop()
            if namespace["metadata"]["name"] not in self._due:
                self._due[namespace["metadata"]["name"]] = loop.time() + self._grace
                loop.call_later(self._grace, self._loop_wake)

    def _loop_wake(self) -> None:
        self._loop.wake()

    def _namespace_changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._due.pop(change.key[1], None)
            return
        self._note(change.new.object)
        if change.key[1] in self._due:
            self._loop.wake()

    def _content_changed(self, change: Change) -> None:
        if change.type == "DELETED" and change.key[0] in self._due:
            self._loop.wake()

    def run(self) -> None:
        """Delete what is left in each; finish those that are empty."""
        for name in sorted(self._due):
            left = [(kind, stored) for kind in _CONTENTS for stored in self._objects.store.select(kind.key, name)]
            if asyncio.get_running_loop().time() < self._due[name]:
                left = []
            for kind, stored in left:
                if not stored.object["metadata"].get("deletionTimestamp"):
                    self._objects.delete(kind, name, stored.object["metadata"]["name"], DeleteOptions())
            remaining = [kind for kind in _CONTENTS if self._objects.store.select(kind.key, name)]
            self._finish(name, remaining)

    def _finish(self, name: str, remaining: list[Kind]) -> None:
        stored = self._objects.store.get(NAMESPACE.key, "", name)
        if stored is None:
            self._due.pop(name, None)
            return
        if remaining:
            self._report(stored, remaining)
            return
        if "kubernetes" not in (stored.object["spec"].get("finalizers") or ()):
            return  # someone else's finalizer holds it
        new = stored.copy()
        new["spec"]["finalizers"] = [word for word in new["spec"]["finalizers"] if word != "kubernetes"]
        self._objects.update(NAMESPACE, stored, new, subresource="finalize")

    def _report(self, stored: Stored, remaining: list[Kind]) -> None:
        names = ", ".join(kind.plural for kind in remaining)
        message = f"Some content in the namespace remains: {names}"
        known = stored.object["status"].get("conditions") or [{}]
        if known[-1].get("message") == message:
            return
        new = stored.copy()
        condition = {"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain"}
        new["status"]["conditions"] = [{**condition, "message": message, "lastTransitionTime": times.now()}]
        self._objects.update(NAMESPACE, stored, new, subresource="status")

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._loop.close()
