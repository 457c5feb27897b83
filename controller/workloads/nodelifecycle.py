"""Nodes that are not ready: their taints, their pods' readiness, and the pods that have to leave.

As Kubernetes' node life cycle and taint eviction controllers. Who says that a node is not ready is its agent, and for
an agent that is silent the agents service (`Unknown`).
Source: https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller,
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controller.api import times
from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import NODE, POD
from controller.api.status import Object
from controller.api.store import Change
from controller.workloads.events import record
from controller.workloads.loop import Loop
from controller.workloads.podstate import ENDED
from controller.workloads.podstate import seconds as when
from controller.workloads.scheduler import tolerates

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_OURS: Final = (NOT_READY, UNREACHABLE)
_EFFECTS: Final = ("NoSchedule", "NoExecute")


class NodeLifecycle:
    """Taints nodes by their condition Ready and evicts by NoExecute taints. Lives on the API's event loop."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._timer: asyncio.TimerHandle | None = None
        self._loop = Loop(objects.store, (), self.run, name="node life cycle")
        self._stops = (
            objects.store.listen(NODE.key, self._node_changed),
            objects.store.listen(POD.key, self._pod_changed),
        )
        self._suspect: set[str] = set()
        """Nodes whose pods have to be looked at."""
        self._loop.wake()

    def _node_changed(self, change: Change) -> None:
        old = None if change.old is None else _deciding(change.old.object)
        if old != _deciding(change.new.object):
            self._loop.wake()

    def _pod_changed(self, change: Change) -> None:
        if change.type != "DELETED" and change.new.object["spec"].get("nodeName") in self._suspect:
            self._loop.wake()

    def run(self) -> None:
        """Bring taints and pods to what the nodes' conditions ask for."""
        suspect: dict[str, tuple[str, Sequence[Object]]] = {}
        for stored in self._objects.store.select(NODE.key):
            status, before = ready_status(stored.object), stored.object["spec"].get("taints") or []
            taints = with_taints(before, status, times.now())
            if taints != before:
                new = stored.copy()
                new["spec"]["taints"] = taints
                if not taints:
                    del new["spec"]["taints"]
                self._objects.update(NODE, stored, new)
            if status == "Unknown" or any(taint["effect"] == "NoExecute" for taint in taints):
                suspect[stored.object["metadata"]["name"]] = (status, taints)
        self._suspect = set(suspect)
        if suspect:
            self._look_at_pods(suspect)

    def _look_at_pods(self, suspect: Mapping[str, tuple[str, Sequence[Object]]]) -> None:
        now, next_due = time.time(), None
        for stored in self._objects.store.select(POD.key):
            pod = stored.object
            node = pod["spec"].get("nodeName", "")
            if node not in suspect or pod["status"].get("phase") in ENDED or "deletionTimestamp" in pod["metadata"]:
                continue
            status, taints = suspect[node]
            due = eviction(pod["spec"].get("tolerations") or (), taints, now)
            if due is not None and due <= now:
                self._evict(pod)
                continue
            next_due = due if next_due is None or (due is not None and due < next_due) else next_due
            if status == "Unknown":
                self._mark_unready(pod)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, next_due - now) + 0.01, self._loop.wake)

    def _mark_unready(self, pod: Object) -> None:
        """Nobody looks after the pod: it leaves the Services' endpoints until its agent says otherwise."""
        conditions = pod["status"].get("conditions") or []
        if not any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions):
            return
        metadata = pod["metadata"]
        stored = self._objects.get(POD, metadata["namespace"], metadata["name"])
        new = stored.copy()
        for entry in new["status"]["conditions"]:
            if entry["type"] == "Ready":
                entry |= {"status": "False", "reason": "NodeNotReady", "lastTransitionTime": times.now()}
        self._objects.update(POD, stored, new, subresource="status")
        message = "Node is not ready"
        record(self._objects, new, "NodeNotReady", message, component="node-controller", kind="Warning")

    def _evict(self, pod: Object) -> None:
        metadata = pod["metadata"]
        message = f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}"
        record(
            self._objects, pod, "TaintManagerEviction", message, component="taint-eviction-controller", kind="Normal"
        )
        self._objects.delete(POD, metadata["namespace"], metadata["name"], DeleteOptions())

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.close()


def ready_status(node: Object) -> str:
    """The status of the condition Ready: True, False, Unknown; empty before an agent has said anything."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return next((str(entry["status"]) for entry in conditions if entry["type"] == "Ready"), "")


def with_taints(before: Sequence[Object], status: str, now: str) -> list[Object]:
    """The node's taints as its condition Ready asks for; others and those that stay are kept as they are."""
    wanted = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(status, "")
    kept = [taint for taint in before if taint["key"] not in _OURS or taint["key"] == wanted]
    there = {(taint["key"], taint["effect"]) for taint in kept}
    missing = [effect for effect in _EFFECTS if wanted and (wanted, effect) not in there]
    return [*kept, *({"key": wanted, "effect": effect, "timeAdded": now} for effect in missing)]


def eviction(tolerations: Iterable[Object], taints: Iterable[Object], now: float) -> float | None:
    """When a pod has to leave because of NoExecute taints, seconds since the epoch; None: never."""
    tolerations = tuple(tolerations)
    due: list[float] = []
    for taint in taints:
        if taint["effect"] != "NoExecute":
            continue
        matching = [one for one in tolerations if tolerates(one, taint)]
        added = when(taint.get("timeAdded")) or now
        if not matching:
            return added
        limits = [float(one["tolerationSeconds"]) for one in matching if one.get("tolerationSeconds") is not None]
        if limits:
            due.append(added + max(0.0, min(limits)))
    return min(due, default=None)


def _deciding(node: Object) -> tuple[object, ...]:
    return (ready_status(node), node["spec"].get("taints"))
