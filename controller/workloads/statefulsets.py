"""The StatefulSet controller: pods with names that stay, made and ended one after the other."""

import time
from typing import Final

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import CONTROLLER_REVISION, POD, STATEFUL_SET
from controller.api.selectors import from_label_selector
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.workloads import controllerrevisions, ordinals, ownership
from controller.workloads.controllerrevisions import RevisionIndex
from controller.workloads.daemons import HASH_LABEL
from controller.workloads.keyed import KeyedLoop
from controller.workloads.ordinals import Counts, Create, Plan
from controller.workloads.ownerindex import OwnerIndex, PodIndex, controller_of
from controller.workloads.recorder import Recorder

_NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"
_INDEX_LABEL: Final = "apps.kubernetes.io/pod-index"


class StatefulSets:
    """Lives on the API's event loop."""

    def __init__(self, objects: Objects, pods: PodIndex) -> None:
        self._objects = objects
        self._pods = pods
        self._revisions: RevisionIndex = OwnerIndex(objects.store, CONTROLLER_REVISION, lambda obj: obj)
        self._events = Recorder(objects, "statefulset-controller")
        self._loop = KeyedLoop(self._sync, name="statefulset")
        store = objects.store
        for stored in store.select(STATEFUL_SET.key):
            self._loop.mark((stored.object["metadata"]["namespace"], stored.object["metadata"]["name"]))
        self._stops = (store.listen(STATEFUL_SET.key, self._changed), store.listen(POD.key, self._pod_changed))

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._loop.forget(change.key)
        elif change.old is None or _deciding(change.old.object) != _deciding(change.new.object):
            self._loop.mark(change.key)

    def _pod_changed(self, change: Change) -> None:
        for version in (change.new, change.old):
            owner = controller_of(version.object) if version is not None else None
            if owner is not None and owner["kind"] == STATEFUL_SET.kind:
                self._loop.mark((change.key[0], owner["name"]))

    def _sync(self, key: Key) -> float | None:
        stored = self._objects.store.get(STATEFUL_SET.key, *key)
        if stored is None:
            return None
        stateful_set = stored.object
        uid = stateful_set["metadata"]["uid"]
        digest = controllerrevisions.ensure(self._objects, self._revisions, stateful_set)
        plan = _plan(stateful_set, digest)
        if not stateful_set["metadata"].get("deletionTimestamp"):
            self._claim(stateful_set)
            decision = ordinals.decide(plan, self._pods.owned(uid).values(), time.time())
            for pod in decision.delete:
                self._objects.delete(POD, key[0], pod.name, DeleteOptions(uid=pod.uid))
                self._tell(stateful_set, "delete", pod.name)
            for create in decision.create:
                self._create(stateful_set, create)
        counted = ordinals.count(plan, self._pods.owned(uid).values(), time.time())
        self._report(key, plan, counted)
        used = {pod.labels.get(HASH_LABEL, "") for pod in self._pods.owned(uid).values()} | {plan.current}
        limit = stateful_set["spec"]["revisionHistoryLimit"]
        controllerrevisions.clean(self._objects, self._revisions, stateful_set, used, limit)
        return None if counted.next_available is None else max(0.001, counted.next_available - time.time())

    def _claim(self, stateful_set: Object) -> None:
        metadata = stateful_set["metadata"]
        selector = from_label_selector(stateful_set["spec"]["selector"])
        for key, pod in list(self._pods.owned(metadata["uid"]).items()):
            if not selector.matches(pod.labels):
                ownership.release(self._objects, POD, key, metadata["uid"])
        for key, pod in self._pods.orphans(metadata["namespace"]):
            ours = ordinals.ordinal_of(metadata["name"], pod.name) is not None
            if ours and not pod.terminating and selector.matches(pod.labels):
                ownership.adopt(self._objects, POD, key, stateful_set)

    def _create(self, stateful_set: Object, create: Create) -> None:
        metadata, spec = stateful_set["metadata"], stateful_set["spec"]
        name = f"{metadata['name']}-{create.ordinal}"
        template = controllerrevisions.template_of(self._revisions, stateful_set, create.digest)
        labels = {_NAME_LABEL: name, _INDEX_LABEL: str(create.ordinal), HASH_LABEL: create.digest}
        pod = ownership.pod_from(template, stateful_set, **labels)
        del pod["metadata"]["generateName"]
        pod["metadata"]["name"] = name
        pod["spec"] |= {"hostname": name} | ({"subdomain": spec["serviceName"]} if spec.get("serviceName") else {})
        try:
            self._objects.create(POD, metadata["namespace"], pod)
        except StatusError as error:
            message = f"create Pod {name} in StatefulSet {metadata['name']} failed error: {error.message}"
            self._events.tell(stateful_set, "FailedCreate", message, "Warning")
            raise
        self._tell(stateful_set, "create", name)

    def _tell(self, stateful_set: Object, verb: str, pod: str) -> None:
        message = f"{verb} Pod {pod} in StatefulSet {stateful_set['metadata']['name']} successful"
        self._events.tell(stateful_set, f"Successful{verb.capitalize()}", message)

    def _report(self, key: Key, plan: Plan, counted: Counts) -> None:
        stored = self._objects.get(STATEFUL_SET, *key)
        prefix = stored.object["metadata"]["name"]
        new = stored.copy()
        current = plan.update if counted.complete else plan.current
        status: Object = {
            "observedGeneration": stored.object["metadata"]["generation"],
            "replicas": counted.replicas,
            "availableReplicas": counted.available,
            "currentRevision": f"{prefix}-{current}",
            "updateRevision": f"{prefix}-{plan.update}",
            "collisionCount": 0,
        }
        numbers = {
            "readyReplicas": counted.ready,
            "currentReplicas": counted.current,
            "updatedReplicas": counted.updated,
        }
        new["status"] = status | {name: number for name, number in numbers.items() if number}
        self._objects.update(STATEFUL_SET, stored, new, subresource="status")

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._revisions.close()
        self._loop.close()


def _deciding(stateful_set: Object) -> tuple[object, ...]:
    metadata = stateful_set["metadata"]
    # The current revision decides which template a pod below the partition gets.
    return (
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        stateful_set["status"].get("currentRevision"),
    )


def _plan(stateful_set: Object, digest: str) -> Plan:
    spec, name = stateful_set["spec"], stateful_set["metadata"]["name"]
    strategy = spec["updateStrategy"]
    known = (stateful_set.get("status") or {}).get("currentRevision") or ""
    return Plan(
        name=name,
        replicas=spec["replicas"],
        start=(spec.get("ordinals") or {}).get("start") or 0,
        ordered=spec["podManagementPolicy"] == "OrderedReady",
        rolling=strategy["type"] == "RollingUpdate",
        partition=(strategy.get("rollingUpdate") or {}).get("partition") or 0,
        min_ready_seconds=spec.get("minReadySeconds") or 0,
        current=known.removeprefix(f"{name}-") or digest,
        update=digest,
    )
