"""The DaemonSet controller: one pod on every node that takes it, replaced node by node when the template changes."""

import time
from typing import Any, Final

import orjson

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import CONTROLLER_REVISION, DAEMON_SET, NODE, POD
from controller.api.selectors import from_label_selector
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.workloads import controllerrevisions, daemons, ownership
from controller.workloads.controllerrevisions import RevisionIndex
from controller.workloads.daemons import Counts, Decision, Fit, Update
from controller.workloads.keyed import KeyedLoop
from controller.workloads.ownerindex import OwnerIndex, PodIndex, controller_of
from controller.workloads.recorder import Recorder
from controller.workloads.scheduler import daemon_fit

_TOLERATED: Final = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


class DaemonSets:
    """Lives on the API's event loop."""

    def __init__(self, objects: Objects, pods: PodIndex) -> None:
        self._objects = objects
        self._pods = pods
        self._revisions: RevisionIndex = OwnerIndex(objects.store, CONTROLLER_REVISION, lambda obj: obj)
        self._events = Recorder(objects, "daemonset-controller")
        self._loop = KeyedLoop(self._sync, name="daemonset")
        store = objects.store
        self._mark_all()
        self._stops = (
            store.listen(DAEMON_SET.key, self._changed),
            store.listen(POD.key, self._pod_changed),
            store.listen(NODE.key, self._node_changed),
        )

    def _mark_all(self) -> None:
        for stored in self._objects.store.select(DAEMON_SET.key):
            self._loop.mark((stored.object["metadata"]["namespace"], stored.object["metadata"]["name"]))

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._loop.forget(change.key)
        elif change.old is None or _deciding(change.old.object) != _deciding(change.new.object):
            self._loop.mark(change.key)

    def _pod_changed(self, change: Change) -> None:
        for version in (change.new, change.old):
            owner = controller_of(version.object) if version is not None else None
            if owner is not None and owner["kind"] == DAEMON_SET.kind:
                self._loop.mark((change.key[0], owner["name"]))

    def _node_changed(self, change: Change) -> None:
        # Agents report often: only what decides about daemons is a reason to look again.
        before = None if change.old is None or change.type == "DELETED" else _placing(change.old.object)
        if before != _placing(change.new.object):
            self._mark_all()

    def _sync(self, key: Key) -> float | None:
        stored = self._objects.store.get(DAEMON_SET.key, *key)
        if stored is None:
            return None
        daemon_set = stored.object
        spec = daemon_set["spec"]
        template = with_tolerations(spec["template"])
        nodes = [node.object for node in self._objects.store.select(NODE.key)]
        fits = {node["metadata"]["name"]: Fit(*daemon_fit(template["spec"], node)) for node in nodes}
        digest = controllerrevisions.ensure(self._objects, self._revisions, daemon_set)
        strategy = spec["updateStrategy"]
        rolling = strategy["type"] == "RollingUpdate"
        unavailable = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        update = Update(digest, rolling, unavailable, spec.get("minReadySeconds") or 0)
        uid = daemon_set["metadata"]["uid"]
        if not daemon_set["metadata"].get("deletionTimestamp"):
            self._claim(daemon_set)
            self._act(
                daemon_set, template, daemons.decide(fits, self._pods.owned(uid).values(), update, time.time()), digest
            )
        counted = daemons.count(fits, self._pods.owned(uid).values(), update, time.time())
        self._report(key, counted)
        used = {pod.labels.get(daemons.HASH_LABEL, "") for pod in self._pods.owned(uid).values()}
        controllerrevisions.clean(self._objects, self._revisions, daemon_set, used, spec["revisionHistoryLimit"])
        return None if counted.next_available is None else max(0.001, counted.next_available - time.time())

    def _claim(self, daemon_set: Object) -> None:
        metadata = daemon_set["metadata"]
        selector = from_label_selector(daemon_set["spec"]["selector"])
        for key, pod in list(self._pods.owned(metadata["uid"]).items()):
            if not selector.matches(pod.labels):
                ownership.release(self._objects, POD, key, metadata["uid"])
        for key, pod in self._pods.orphans(metadata["namespace"]):
            if not pod.terminating and selector.matches(pod.labels):
                ownership.adopt(self._objects, POD, key, daemon_set)

    def _act(self, daemon_set: Object, template: Object, decision: Decision, digest: str) -> None:
        namespace = daemon_set["metadata"]["namespace"]
        for pod in decision.ended:
            failed = pod.phase == "Failed"
            word, reason = ("failed", "FailedDaemonPod") if failed else ("succeeded", "SucceededDaemonPod")
            end = "will try to kill it" if failed else "will try to delete it"
            message = f"Found {word} daemon pod {namespace}/{pod.name} on node {pod.target}, {end}"
            self._events.tell(daemon_set, reason, message, "Warning" if failed else "Normal")
        for pod in decision.delete:
            self._objects.delete(POD, namespace, pod.name, DeleteOptions(uid=pod.uid))
            self._events.tell(daemon_set, "SuccessfulDelete", f"Deleted pod: {pod.name}")
        for node in decision.create:
            try:
                pinned = for_node(template, node)
                made = ownership.create_pod(self._objects, pinned, daemon_set, **{daemons.HASH_LABEL: digest})
            except StatusError as error:
                self._events.tell(daemon_set, "FailedCreate", f"Error creating: {error.message}", "Warning")
                raise
            name = made.object["metadata"]["name"]
            self._events.tell(daemon_set, "SuccessfulCreate", f"Created pod: {name}")

    def _report(self, key: Key, counted: Counts) -> None:
        stored = self._objects.get(DAEMON_SET, *key)
        new = stored.copy()
        new["status"] = _status(counted, stored.object)
        self._objects.update(DAEMON_SET, stored, new, subresource="status")

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._revisions.close()
        self._loop.close()


def with_tolerations(template: Object) -> Object:
    """The template with the tolerations that all daemons have."""
    spec = template["spec"]
    known = list(spec.get("tolerations") or ())
    for name, effect in (*_TOLERATED, *((("network-unavailable", "NoSchedule"),) if spec.get("hostNetwork") else ())):
        entry = {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
        if entry not in known:
            known.append(entry)
    return {**template, "spec": {**spec, "tolerations": known}}


def for_node(template: Object, node: str) -> Object:
    """The template with an affinity to one node, which replaces what was required of nodes before."""
    copied: Any = orjson.loads(orjson.dumps(template))
    affinity = copied["spec"].setdefault("affinity", {}).setdefault("nodeAffinity", {})
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity[_REQUIRED] = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    pinned: Object = copied
    return pinned


def _deciding(daemon_set: Object) -> tuple[object, ...]:
    metadata = daemon_set["metadata"]
    return (metadata.get("generation"), metadata.get("deletionTimestamp"), metadata.get("labels"))


def _placing(node: Object) -> tuple[object, ...]:
    return (node.get("spec"), node["metadata"].get("labels"))


def _status(counted: Counts, daemon_set: Object) -> Object:
    status: Object = {
        "currentNumberScheduled": counted.current,
        "numberMisscheduled": counted.misscheduled,
        "desiredNumberScheduled": counted.desired,
        "numberReady": counted.ready,
    }
    numbers = {
        "observedGeneration": daemon_set["metadata"]["generation"],
        "updatedNumberScheduled": counted.updated,
        "numberAvailable": counted.available,
        "numberUnavailable": counted.desired - counted.available,
    }
    return status | {name: number for name, number in numbers.items() if number}
