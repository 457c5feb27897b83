"""The scheduler's life: pods without a node are bound as they come, and told why not."""

from typing import Final

from controller.api import times
from controller.api.objects import Objects
from controller.api.registry import NODE, POD
from controller.api.rest import bind
from controller.api.status import Object
from controller.api.store import Change, Key, Store
from controller.workloads.events import record
from controller.workloads.loop import Loop
from controller.workloads.scheduler import Unschedulable, schedule

SCHEDULER_NAME: Final = "default-scheduler"
_ENDED: Final = ("Succeeded", "Failed")


class Scheduling:
    """Binds pending pods whenever pods or nodes change. Lives on the API's event loop."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._pending: dict[Key, None] = {}
        """Pods to decide about, in order of arrival."""
        self._parked: dict[Key, None] = {}
        """Pods that no node took: looked at again when nodes change or room is made."""
        store = objects.store
        for stored in store.select(POD.key):
            self._note(stored.object)
        self._stops = (store.listen(POD.key, self._changed), store.listen(NODE.key, self._node_changed))
        self._loop = Loop(store, (), self.run, name="scheduler")
        self._loop.wake()

    @property
    def _store(self) -> Store:
        return self._objects.store

    def _note(self, pod: Object) -> bool:
        metadata, spec = pod["metadata"], pod["spec"]
        key = (metadata["namespace"], metadata["name"])
        waits = not spec.get("nodeName") and not metadata.get("deletionTimestamp")
        if waits and spec.get("schedulerName", SCHEDULER_NAME) == SCHEDULER_NAME:
            self._pending[key] = None
            return True
        return False

    def _drop(self, key: Key) -> None:
        self._pending.pop(key, None)
        self._parked.pop(key, None)

    def _unpark(self) -> None:
        if self._parked:
            self._pending = {**self._parked, **self._pending}
            self._parked = {}
            self._loop.wake()

    def _node_changed(self, change: Change) -> None:
        # Agents report often: only what decides about pods is a reason to look again.
        if change.old is None or _deciding(change.old.object) != _deciding(change.new.object):
            self._unpark()

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._drop(change.key)
            if change.new.object["spec"].get("nodeName"):
                self._unpark()
            return
        old, new = change.old.object if change.old is not None else None, change.new.object
        if new["status"].get("phase") in _ENDED and old is not None and old["status"].get("phase") not in _ENDED:
            self._unpark()
        if old is not None and change.key in self._parked and _wishes(old) == _wishes(new):
            return  # only its status changed: mostly our own condition
        self._drop(change.key)
        if self._note(new):
            self._loop.wake()

    def run(self) -> None:
        """Decide about every pod that waits."""
        if not self._pending:
            return
        pods = [self._store.get(POD.key, *key) for key in self._pending]
        pending = [stored.object for stored in pods if stored is not None]
        pending.sort(key=lambda pod: -int(pod["spec"].get("priority", 0)))
        placed = [
            stored.object
            for stored in self._store.select(POD.key)
            if stored.object["spec"].get("nodeName") and stored.object["status"].get("phase") not in _ENDED
        ]
        nodes = [stored.object for stored in self._store.select(NODE.key)]
        decision = schedule(pending, placed, nodes)
        for binding in decision.bindings:
            bind(self._objects, binding.namespace, binding.name, binding.node)
        for failure in decision.failures:
            key = (failure.namespace, failure.name)
            self._pending.pop(key, None)
            self._parked[key] = None
            self._tell(failure)

    def _tell(self, failure: Unschedulable) -> None:
        stored = self._objects.get(POD, failure.namespace, failure.name)
        conditions = stored.object["status"].get("conditions") or []
        told = next((entry for entry in conditions if entry["type"] == "PodScheduled"), None)
        if told is not None and told.get("message") == failure.message:
            return
        new = stored.copy()
        entry = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": failure.message,
            "lastTransitionTime": times.now(),
        }
        rest = [entry for entry in conditions if entry["type"] != "PodScheduled"]
        new["status"]["conditions"] = [*rest, entry]
        self._objects.update(POD, stored, new, subresource="status")
        message = failure.message
        record(self._objects, new, "FailedScheduling", message, component=SCHEDULER_NAME, kind="Warning")

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._loop.close()


def _wishes(pod: Object) -> tuple[object, ...]:
    metadata = pod["metadata"]
    return (pod["spec"], metadata.get("labels"), metadata.get("deletionTimestamp"))


def _deciding(node: Object) -> tuple[object, ...]:
    status = node.get("status") or {}
    ready = [c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"]
    return (node.get("spec"), node["metadata"].get("labels"), ready, status.get("allocatable"))
