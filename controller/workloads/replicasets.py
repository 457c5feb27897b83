"""The ReplicaSet controller: as many active pods as the set wants, and a status that counts them."""

import time
from typing import Final

from controller.api import times
from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import POD, REPLICA_SET
from controller.api.selectors import from_label_selector
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.workloads import ownership
from controller.workloads.keyed import KeyedLoop
from controller.workloads.ownerindex import PodIndex, controller_of
from controller.workloads.podstate import PodState
from controller.workloads.recorder import Recorder
from controller.workloads.replicas import Replicas, count, victims

_BATCH: Final = 50
"""Pods that one run creates or deletes per set: other requests get their turn in between."""


class ReplicaSets:
    """Lives on the API's event loop."""

    def __init__(self, objects: Objects, pods: PodIndex) -> None:
        self._objects = objects
        self._pods = pods
        self._events = Recorder(objects, "replicaset-controller")
        self._loop = KeyedLoop(self._sync, name="replicaset")
        self._siblings: dict[str, dict[str, None]] = {}
        """Uids of the sets by the uid of their own controller (a Deployment)."""
        store = objects.store
        for stored in store.select(REPLICA_SET.key):
            self._note(stored.object)
            self._loop.mark(_key(stored.object))
        self._stops = (store.listen(REPLICA_SET.key, self._set_changed), store.listen(POD.key, self._pod_changed))

    def _note(self, replica_set: Object) -> None:
        owner = controller_of(replica_set)
        if owner is not None:
            self._siblings.setdefault(owner["uid"], {})[replica_set["metadata"]["uid"]] = None

    def _set_changed(self, change: Change) -> None:
        old, new = change.old, change.new.object
        if old is not None and (owner := controller_of(old.object)) is not None:
            family = self._siblings.get(owner["uid"], {})
            family.pop(new["metadata"]["uid"], None)
            if not family:
                self._siblings.pop(owner["uid"], None)
        if change.type == "DELETED":
            self._loop.forget(change.key)
            return
        self._note(new)
        if old is None or _deciding(old.object) != _deciding(new):
            self._loop.mark(change.key)

    def _pod_changed(self, change: Change) -> None:
        for version in (change.new, change.old):
            owner = controller_of(version.object) if version is not None else None
            if owner is not None and owner["kind"] == REPLICA_SET.kind:
                self._loop.mark((change.key[0], owner["name"]))
        if change.type == "DELETED" or controller_of(change.new.object) is not None:
            return
        # A pod without controller: sets of its namespace may take it.
        labels = change.new.object["metadata"].get("labels")
        before = None if change.old is None or controller_of(change.old.object) else change.old.object
        if labels and (before is None or before["metadata"].get("labels") != labels):
            for stored in self._objects.store.select(REPLICA_SET.key, change.key[0]):
                if from_label_selector(stored.object["spec"]["selector"]).matches(labels):
                    self._loop.mark(_key(stored.object))

    def _sync(self, key: Key) -> float | None:
        stored = self._objects.store.get(REPLICA_SET.key, *key)
        if stored is None:
            return None
        replica_set = stored.object
        failure: Object | None = None
        missing = 0
        if not replica_set["metadata"].get("deletionTimestamp"):
            self._claim(replica_set)
            active = self._active(replica_set)
            missing = replica_set["spec"]["replicas"] - len(active)
            failure = self._create(replica_set, missing) if missing > 0 else self._delete(replica_set, active, -missing)
        counted = self._report(key, failure)
        if failure is not None:
            raise StatusError(500, "InternalError", failure["message"])
        if abs(missing) > _BATCH:
            return 0
        return None if counted.next_available is None else max(0.001, counted.next_available - time.time())

    def _active(self, replica_set: Object) -> dict[Key, PodState]:
        owned = self._pods.owned(replica_set["metadata"]["uid"])
        return {key: pod for key, pod in owned.items() if pod.active}

    def _claim(self, replica_set: Object) -> None:
        metadata = replica_set["metadata"]
        selector = from_label_selector(replica_set["spec"]["selector"])
        for key, pod in list(self._pods.owned(metadata["uid"]).items()):
            if pod.active and not selector.matches(pod.labels):
                ownership.release(self._objects, POD, key, metadata["uid"])
        for key, pod in self._pods.orphans(metadata["namespace"]):
            if pod.active and selector.matches(pod.labels):
                ownership.adopt(self._objects, POD, key, replica_set)

    def _create(self, replica_set: Object, missing: int) -> Object | None:
        for _ in range(min(missing, _BATCH)):
            try:
                pod = ownership.create_pod(self._objects, replica_set["spec"]["template"], replica_set)
            except StatusError as error:
                if any(cause.get("reason") == "NamespaceTerminating" for cause in error.details.get("causes", ())):
                    return None
                self._events.tell(replica_set, "FailedCreate", f"Error creating: {error.message}", "Warning")
                return _failure("FailedCreate", error.message)
            self._events.tell(replica_set, "SuccessfulCreate", f"Created pod: {pod.object['metadata']['name']}")
        return None

    def _delete(self, replica_set: Object, active: dict[Key, PodState], surplus: int) -> Object | None:
        if surplus <= 0:
            return None
        owner = controller_of(replica_set)
        family = self._siblings.get(owner["uid"], {}) if owner is not None else {replica_set["metadata"]["uid"]: None}
        related = [pod for uid in family for pod in self._pods.owned(uid).values()]
        namespace = replica_set["metadata"]["namespace"]
        for pod in victims(list(active.values()), surplus, related, time.time())[:_BATCH]:
            try:
                self._objects.delete(POD, namespace, pod.name, DeleteOptions(uid=pod.uid))
            except StatusError as error:
                self._events.tell(replica_set, "FailedDelete", f"Error deleting: {error.message}", "Warning")
                return _failure("FailedDelete", error.message)
            self._events.tell(replica_set, "SuccessfulDelete", f"Deleted pod: {pod.name}")
        return None

    def _report(self, key: Key, failure: Object | None) -> Replicas:
        stored = self._objects.get(REPLICA_SET, *key)
        replica_set = stored.object
        spec = replica_set["spec"]
        labels = spec["template"]["metadata"].get("labels") or {}
        pods = self._pods.owned(replica_set["metadata"]["uid"]).values()
        counted = count(pods, labels, spec.get("minReadySeconds") or 0, time.time())
        status = _status(counted, replica_set, failure)
        if status != replica_set.get("status"):
            new = stored.copy()
            new["status"] = status
            self._objects.update(REPLICA_SET, stored, new, subresource="status")
        return counted

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._loop.close()


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _deciding(replica_set: Object) -> tuple[object, ...]:
    metadata = replica_set["metadata"]
    return (metadata.get("generation"), metadata.get("deletionTimestamp"), metadata.get("ownerReferences"))


def _failure(reason: str, message: str) -> Object:
    return {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message}


def _status(counted: Replicas, replica_set: Object, failure: Object | None) -> Object:
    status: Object = {"replicas": counted.replicas}
    # Upstream's encoding leaves these out where they are zero.
    numbers = {
        "fullyLabeledReplicas": counted.fully_labeled,
        "readyReplicas": counted.ready,
        "availableReplicas": counted.available,
        "observedGeneration": replica_set["metadata"]["generation"],
    }
    status |= {name: number for name, number in numbers.items() if number}
    conditions = (replica_set.get("status") or {}).get("conditions") or []
    known = [entry for entry in conditions if entry["type"] == "ReplicaFailure"]
    kept = [entry for entry in conditions if entry["type"] != "ReplicaFailure"]
    if failure is not None:
        kept += known or [{**failure, "lastTransitionTime": times.now()}]
    return status | ({"conditions": kept} if kept else {})
