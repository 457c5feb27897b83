"""Namespaces: the default ones exist; a deleted one is Terminating until its contents are gone."""

from typing import Final

from controller.api import times
from controller.api.objects import PROTECTED_NAMESPACES, DeleteOptions, Objects
from controller.api.registry import KINDS, NAMESPACE, Kind
from controller.api.status import Object
from controller.api.store import Change, Stored
from controller.workloads.loop import Loop

_CONTENTS: Final = tuple(kind for kind in KINDS if kind.namespaced)


def ensure_defaults(objects: Objects) -> None:
    """Create `default`, `kube-system` and `kube-public` where they are missing."""
    for name in PROTECTED_NAMESPACES:
        if objects.store.get(NAMESPACE.key, "", name) is None:
            objects.create(NAMESPACE, "", {"metadata": {"name": name}})


class Namespaces:
    """Empties namespaces that are being deleted, asynchronously: clients see Terminating first."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._terminating: set[str] = set()
        store = objects.store
        for stored in store.select(NAMESPACE.key):
            self._note(stored.object)
        self._stops = [store.listen(NAMESPACE.key, self._namespace_changed)]
        self._stops += [store.listen(kind.key, self._content_changed) for kind in _CONTENTS]
        self._loop = Loop(store, (), self.run, name="namespaces")
        self._loop.wake()

    def _note(self, namespace: Object) -> None:
        if namespace["metadata"].get("deletionTimestamp"):
            self._terminating.add(namespace["metadata"]["name"])

    def _namespace_changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._terminating.discard(change.key[1])
            return
        self._note(change.new.object)
        if change.key[1] in self._terminating:
            self._loop.wake()

    def _content_changed(self, change: Change) -> None:
        if change.type == "DELETED" and change.key[0] in self._terminating:
            self._loop.wake()

    def run(self) -> None:
        """Delete what is left in each; finish those that are empty."""
        for name in sorted(self._terminating):
            left = [(kind, stored) for kind in _CONTENTS for stored in self._objects.store.select(kind.key, name)]
            for kind, stored in left:
                if not stored.object["metadata"].get("deletionTimestamp"):
                    self._objects.delete(kind, name, stored.object["metadata"]["name"], DeleteOptions())
            remaining = [kind for kind in _CONTENTS if self._objects.store.select(kind.key, name)]
            self._finish(name, remaining)

    def _finish(self, name: str, remaining: list[Kind]) -> None:
        stored = self._objects.store.get(NAMESPACE.key, "", name)
        if stored is None:
            self._terminating.discard(name)
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
