"""The Deployment controller: one ReplicaSet per revision of the template, scaled step by step; status, conditions."""

import time
from dataclasses import replace
from typing import Final

from controller.api import times
from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import DEPLOYMENT, POD, REPLICA_SET
from controller.api.selectors import from_label_selector
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key, Stored
from controller.workloads import conditions, ownership, revisions, rollout, rolloutstatus
from controller.workloads.deploymentsets import failure_of, new_set, plan_of, state_of
from controller.workloads.keyed import KeyedLoop
from controller.workloads.ownerindex import OwnerIndex, PodIndex, controller_of
from controller.workloads.podstate import ENDED
from controller.workloads.recorder import Recorder
from controller.workloads.rollout import Plan, Scale
from controller.workloads.rolloutstatus import Status

_CREATE_ERROR: Final = "ReplicaSetCreateError"


class Deployments:
    """Lives on the API's event loop."""

    def __init__(self, objects: Objects, pods: PodIndex) -> None:
        self._objects = objects
        self._pods = pods
        self._sets: OwnerIndex[Object] = OwnerIndex(objects.store, REPLICA_SET, lambda obj: obj)
        self._events = Recorder(objects, "deployment-controller")
        self._loop = KeyedLoop(self._sync, name="deployment")
        store = objects.store
        for stored in store.select(DEPLOYMENT.key):
            self._loop.mark(_key(stored.object))
        self._stops = (
            store.listen(DEPLOYMENT.key, self._changed),
            store.listen(REPLICA_SET.key, self._set_changed),
            store.listen(POD.key, self._pod_changed),
        )

    # What asks for a sync

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._loop.forget(change.key)
        elif change.old is None or _deciding(change.old.object) != _deciding(change.new.object):
            self._loop.mark(change.key)

    def _set_changed(self, change: Change) -> None:
        for version in (change.new, change.old):
            owner = controller_of(version.object) if version is not None else None
            if owner is not None and owner["kind"] == DEPLOYMENT.kind:
                self._loop.mark((change.key[0], owner["name"]))
        labels = change.new.object["metadata"].get("labels")
        if change.type != "DELETED" and labels and controller_of(change.new.object) is None:
            for stored in self._objects.store.select(DEPLOYMENT.key, change.key[0]):
                if from_label_selector(stored.object["spec"]["selector"]).matches(labels):
                    self._loop.mark(_key(stored.object))

    def _pod_changed(self, change: Change) -> None:
        # Recreate waits for the last old pod, which its set no longer counts while it ends.
        ended = change.new.object["status"].get("phase") in ENDED
        owner = controller_of(change.new.object)
        if (change.type != "DELETED" and not ended) or owner is None or owner["kind"] != REPLICA_SET.kind:
            return
        replica_set = self._objects.store.get(REPLICA_SET.key, change.key[0], owner["name"])
        above = controller_of(replica_set.object) if replica_set is not None else None
        if above is not None and above["kind"] == DEPLOYMENT.kind:
            stored = self._objects.store.get(DEPLOYMENT.key, change.key[0], above["name"])
            if stored is not None and stored.object["spec"]["strategy"]["type"] == "Recreate":
                self._loop.mark((change.key[0], above["name"]))

    # One Deployment

    def _sync(self, key: Key) -> float | None:
        stored = self._objects.store.get(DEPLOYMENT.key, *key)
        if stored is None:
            return None
        deployment = stored.object
        if deployment["metadata"].get("deletionTimestamp"):
            self._report(key, rolloutstatus.read(deployment.get("status")), progress=False)
            return None
        self._claim(deployment)
        spec = deployment["spec"]
        known = rolloutstatus.read(deployment.get("status"))
        found = rolloutstatus.paused(
            known.conditions, bool(spec.get("paused")), spec.get("progressDeadlineSeconds"), times.now()
        )
        known = replace(known, conditions=found)
        wanted = plan_of(deployment)
        new, old = self._split(deployment)
        if new is not None:
            known = self._refresh_new(deployment, new, old, known)
            new, old = self._split(deployment)
        states = [state_of(one) for one in old]
        newest = state_of(new) if new is not None else None
        scaled = spec.get("paused") or rollout.scaling_needed(wanted, [*states, *([newest] if newest else [])])
        scales = rollout.rescale(wanted, newest, states) if scaled else []
        if spec.get("paused") or scales:
            self._scale(deployment, wanted, scales)
            self._report(key, known, progress=False)
            return None
        known = self._roll(deployment, wanted, known)
        return self._report(key, known, progress=True)

    def _claim(self, deployment: Object) -> None:
        metadata = deployment["metadata"]
        selector = from_label_selector(deployment["spec"]["selector"])
        for key, replica_set in list(self._sets.owned(metadata["uid"]).items()):
            if not selector.matches(replica_set["metadata"].get("labels")):
                ownership.release(self._objects, REPLICA_SET, key, metadata["uid"])
        for key, replica_set in self._sets.orphans(metadata["namespace"]):
            theirs = replica_set["metadata"]
            if not theirs.get("deletionTimestamp") and selector.matches(theirs.get("labels")):
                ownership.adopt(self._objects, REPLICA_SET, key, deployment)

    def _split(self, deployment: Object) -> tuple[Object | None, list[Object]]:
        """The set of the present template, if there is one, and the others."""
        sets = list(self._sets.owned(deployment["metadata"]["uid"]).values())
        new = revisions.find_new(revisions.canonical(deployment["spec"]["template"]), sets)
        return new, [one for one in sets if one is not new]

    def _refresh_new(self, deployment: Object, new: Object, old: list[Object], known: Status) -> Status:
        """Bring the new set's annotations, the Deployment's revision and its first condition up to date."""
        spec = deployment["spec"]
        before = new["metadata"].get("annotations") or {}
        annotations = revisions.set_annotations(before, deployment, revisions.next_revision(old))
        seconds = spec.get("minReadySeconds") or 0
        if annotations != before or (new["spec"].get("minReadySeconds") or 0) != seconds:
            stored = self._objects.get(REPLICA_SET, *_key(new))
            changed = stored.copy()
            changed["metadata"]["annotations"] = annotations
            changed["spec"]["minReadySeconds"] = seconds
            self._objects.update(REPLICA_SET, stored, changed)
        self._number(_key(deployment), annotations[revisions.REVISION])
        if conditions.find(known.conditions, rolloutstatus.PROGRESSING) is not None or not _has_deadline(spec):
            return known
        message = f'Found new replica set "{new["metadata"]["name"]}"'
        return _progress(known, "True", "FoundNewReplicaSet", message)

    def _number(self, key: Key, revision: str) -> None:
        stored = self._objects.get(DEPLOYMENT, *key)
        annotations = stored.object["metadata"].get("annotations") or {}
        if annotations.get(revisions.REVISION) != revision:
            new = stored.copy()
            new["metadata"]["annotations"] = {**annotations, revisions.REVISION: revision}
            self._objects.update(DEPLOYMENT, stored, new)

    def _roll(self, deployment: Object, wanted: Plan, known: Status) -> Status:
        new, old = self._split(deployment)
        states = [state_of(one) for one in old]
        if not wanted.rolling:
            active = [Scale(one.name, 0) for one in states if one.replicas]
            if active or self._old_pods(old):
                self._scale(deployment, wanted, active)
                return known
        if new is None:
            return self._create(deployment, wanted, old, known)
        newest = state_of(new)
        scales = rollout.roll(wanted, newest, states) if wanted.rolling else [Scale(newest.name, wanted.replicas)]
        self._scale(deployment, wanted, scales)
        return known

    def _old_pods(self, old: list[Object]) -> bool:
        pods = [pod for one in old for pod in self._pods.owned(one["metadata"]["uid"]).values()]
        return any(pod.phase not in ENDED for pod in pods)

    def _create(self, deployment: Object, wanted: Plan, old: list[Object], known: Status) -> Status:
        template = revisions.canonical(deployment["spec"]["template"])
        digest = revisions.template_hash(template, known.collisions or 0)
        revision = revisions.next_revision(old)
        size = rollout.new_set_size(wanted, 0, rollout.total(state_of(one) for one in old))
        new = new_set(deployment, digest, revision, size, wanted.limit)
        key = (deployment["metadata"]["namespace"], new["metadata"]["name"])
        if self._objects.store.get(REPLICA_SET.key, *key) is not None:
            # Another set has this name already: the next run takes another hash.
            self._loop.mark(_key(deployment))
            return replace(known, collisions=(known.collisions or 0) + 1)
        name = key[1]
        try:
            self._objects.create(REPLICA_SET, key[0], new)
        except StatusError as error:
            message = f'Failed to create new replica set "{name}": {error.message}'
            self._events.tell(deployment, _CREATE_ERROR, message, "Warning")
            if _has_deadline(deployment["spec"]):
                self._write(_key(deployment), _progress(known, "False", _CREATE_ERROR, message))
            raise
        if size:
            self._events.tell(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}")
        self._number(_key(deployment), str(revision))
        if not _has_deadline(deployment["spec"]):
            return known
        return _progress(known, "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')

    def _scale(self, deployment: Object, wanted: Plan, scales: list[Scale]) -> None:
        namespace = deployment["metadata"]["namespace"]
        annotations = revisions.size_annotations(wanted.replicas, wanted.limit)
        for scale in scales:
            stored = self._objects.get(REPLICA_SET, namespace, scale.name)
            new = stored.copy()
            before = new["spec"]["replicas"]
            new["spec"]["replicas"] = scale.replicas
            new["metadata"]["annotations"] = {**(new["metadata"].get("annotations") or {}), **annotations}
            self._objects.update(REPLICA_SET, stored, new)
            if before != scale.replicas:
                word = "up" if before < scale.replicas else "down"
                message = f"Scaled {word} replica set {scale.name} from {before} to {scale.replicas}"
                self._events.tell(deployment, "ScalingReplicaSet", message)

    # Status

    def _report(self, key: Key, known: Status, *, progress: bool) -> float | None:
        deployment = self._objects.get(DEPLOYMENT, *key).object
        metadata, spec = deployment["metadata"], deployment["spec"]
        wanted = plan_of(deployment)
        new, old = self._split(deployment)
        now = times.now()
        newest = state_of(new) if new is not None else None
        states = [state_of(one) for one in old]
        status = rolloutstatus.counted(known, wanted, newest, states, metadata["generation"], now)
        again = None
        if progress:
            subject = f'ReplicaSet "{newest.name}"' if newest else f'Deployment "{metadata["name"]}"'
            deadline = spec.get("progressDeadlineSeconds")
            status, again = rolloutstatus.progressed(known, status, wanted, deadline, subject, now)
            failures = [failure for one in [*([new] if new else []), *old] if (failure := failure_of(one))]
            status = rolloutstatus.failed(status, failures[0] if failures else None, now)
        self._write(key, status)
        if spec.get("paused") or (progress and rolloutstatus.complete(status, wanted, metadata["generation"])):
            self._clean(metadata["namespace"], rollout.surplus_sets(states, spec.get("revisionHistoryLimit")))
        return None if again is None else max(0.001, again - time.time())

    def _write(self, key: Key, status: Status) -> Stored:
        stored = self._objects.get(DEPLOYMENT, *key)
        new = stored.copy()
        new["status"] = rolloutstatus.write(status)
        return self._objects.update(DEPLOYMENT, stored, new, subresource="status")

    def _clean(self, namespace: str, names: list[str]) -> None:
        for name in names:
            self._objects.delete(REPLICA_SET, namespace, name, DeleteOptions())

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._sets.close()
        self._loop.close()


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _deciding(deployment: Object) -> tuple[object, ...]:
    metadata = deployment["metadata"]
    return (metadata.get("generation"), metadata.get("deletionTimestamp"), metadata.get("annotations"))


def _has_deadline(spec: Object) -> bool:
    return spec.get("progressDeadlineSeconds") not in (None, rolloutstatus.NO_DEADLINE)


def _progress(known: Status, status: conditions.Truth, reason: str, message: str) -> Status:
    found = conditions.put(known.conditions, rolloutstatus.PROGRESSING, status, reason, message, times.now())
    return replace(known, conditions=found)
