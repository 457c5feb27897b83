"""The Job controller: pods until enough have succeeded or too many have failed.

A pod carries a finalizer until the Job's status counts it, so that pods which are deleted are not forgotten; the status
names the pods that it has counted until their finalizers are gone (upstream's job tracking).
"""

import time
from typing import Any, Final

import orjson

from controller.api import times
from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import JOB, POD
from controller.api.status import Object
from controller.api.store import Change, Key
from controller.workloads import ownership
from controller.workloads.jobplan import Outcome, Plan, Step, Tally, backoff, step
from controller.workloads.keyed import KeyedLoop
from controller.workloads.ownerindex import PodIndex, controller_of
from controller.workloads.podstate import JOB_TRACKING, PodState, seconds
from controller.workloads.recorder import Recorder

_BATCH: Final = 50
_OVER: Final = ("Complete", "Failed")


class Jobs:
    """Lives on the API's event loop."""

    def __init__(self, objects: Objects, pods: PodIndex) -> None:
        self._objects = objects
        self._pods = pods
        self._events = Recorder(objects, "job-controller")
        self._loop = KeyedLoop(self._sync, name="job")
        self._owners: dict[Key, set[str]] = {}
        """Uids of Jobs by name, of deleted ones too while pods name them."""
        self._failures: dict[str, tuple[int, float]] = {}
        """Failures since the last success and when the last one was, by the Job's uid."""
        store = objects.store
        for stored in store.select(JOB.key):
            self._note((stored.object["metadata"]["namespace"], stored.object["metadata"]["name"]), stored.object)
        for stored in store.select(POD.key):
            self._note_pod(stored.object)
        self._stops = (store.listen(JOB.key, self._changed), store.listen(POD.key, self._pod_changed))

    def _note(self, key: Key, job: Object) -> None:
        self._owners.setdefault(key, set()).add(job["metadata"]["uid"])
        self._loop.mark(key)

    def _note_pod(self, pod: Object) -> None:
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == JOB.kind:
            key = (pod["metadata"]["namespace"], owner["name"])
            self._owners.setdefault(key, set()).add(owner["uid"])
            self._loop.mark(key)

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._failures.pop(change.new.object["metadata"]["uid"], None)
            self._loop.mark(change.key)
        elif change.old is None or _deciding(change.old.object) != _deciding(change.new.object):
            self._note(change.key, change.new.object)

    def _pod_changed(self, change: Change) -> None:
        self._note_pod(change.new.object)

    def _sync(self, key: Key) -> float | None:
        stored = self._objects.store.get(JOB.key, *key)
        job = stored.object if stored is not None else None
        uid = job["metadata"]["uid"] if job is not None else ""
        for gone in self._owners.get(key, set()) - {uid}:
            self._untrack(key[0], list(self._pods.owned(gone).values()))
            if not self._pods.owned(gone):
                self._owners[key].discard(gone)
        if job is None:
            if not self._owners.get(key):
                self._owners.pop(key, None)
                self._loop.forget(key)
            return None
        pods = list(self._pods.owned(uid).values())
        over = _condition(job, *_OVER)
        if over is not None or job["metadata"].get("deletionTimestamp"):
            self._untrack(key[0], pods)
            return self._expire(job, over) if over is not None else None
        return self._step(key, job, pods)

    def _step(self, key: Key, job: Object, pods: list[PodState]) -> float | None:
        status: Object = dict(job.get("status") or {})
        self._suspension(job, status)
        if not job["spec"]["suspend"]:
            status.setdefault("startTime", times.now())
        plan = _plan(job, status)
        uncounted = status.get("uncountedTerminatedPods") or {}
        already = {*uncounted.get("succeeded", ()), *uncounted.get("failed", ())}
        now = time.time()
        decided = step(plan, Tally(status.get("succeeded") or 0, status.get("failed") or 0), pods, already, now)
        self._write(key, _counted(status, decided))
        self._untrack(key[0], [pod for pod in pods if pod in decided.counted or pod.uid in already])
        # What the Job itself ends because it is suspended or has too many has not failed.
        self._untrack(key[0], list(decided.delete))
        for pod in decided.delete:
            self._objects.delete(POD, key[0], pod.name, DeleteOptions(uid=pod.uid))
            self._events.tell(job, "SuccessfulDelete", f"Deleted pod: {pod.name}")
        again = self._create(job, decided, now) if decided.create else None
        self._write(key, self._status(job, status, decided))
        if decided.outcome is not None:
            return self._over(job, decided.outcome)
        waits = [moment for moment in (again, plan.deadline) if moment is not None]
        return max(0.001, min(waits) - time.time()) if waits else None

    def _create(self, job: Object, decided: Step, now: float) -> float | None:
        """Make pods; when to go on (seconds since the epoch) where failures or the batch's size delay it."""
        uid = job["metadata"]["uid"]
        failures, last = self._failures.get(uid, (0, now))
        if decided.failures:
            successes = len(decided.counted) > decided.failures
            failures, last = (0 if successes else failures) + decided.failures, now
        elif decided.counted:
            failures = 0
        self._failures[uid] = (failures, last)
        if last + backoff(failures) > now:
            return last + backoff(failures)
        template: Any = orjson.loads(orjson.dumps(job["spec"]["template"]))
        template["metadata"]["finalizers"] = [*(template["metadata"].get("finalizers") or ()), JOB_TRACKING]
        for _ in range(min(decided.create, _BATCH)):
            pod = ownership.create_pod(self._objects, template, job)
            self._events.tell(job, "SuccessfulCreate", f"Created pod: {pod.object['metadata']['name']}")
        return now if decided.create > _BATCH else None

    def _untrack(self, namespace: str, pods: list[PodState]) -> None:
        for pod in pods:
            stored = self._objects.store.get(POD.key, namespace, pod.name)
            known = (stored.object["metadata"].get("finalizers") or []) if stored is not None else []
            if stored is not None and JOB_TRACKING in known:
                new = stored.copy()
                new["metadata"]["finalizers"] = [name for name in known if name != JOB_TRACKING]
                if not new["metadata"]["finalizers"]:
                    del new["metadata"]["finalizers"]
                self._objects.update(POD, stored, new)

    def _suspension(self, job: Object, status: Object) -> None:
        suspended = bool(job["spec"]["suspend"])
        present = _condition(job, "Suspended")
        if suspended == (present is not None) or (not suspended and present is None):
            return
        word = "suspended" if suspended else "resumed"
        truth, reason = ("True", "JobSuspended") if suspended else ("False", "JobResumed")
        _put(status, "Suspended", truth, reason, f"Job {word}")
        if suspended:
            status.pop("startTime", None)
        else:
            status["startTime"] = times.now()
        self._events.tell(job, word.capitalize(), f"Job {word}")

    def _status(self, job: Object, status: Object, decided: Step) -> Object:
        result = {key: value for key, value in status.items() if key not in ("active", "succeeded", "failed")}
        pods = self._pods.owned(job["metadata"]["uid"]).values()
        active = [pod for pod in pods if pod.active]
        numbers = {"active": len(active), "succeeded": decided.tally.succeeded, "failed": decided.tally.failed}
        result |= {name: number for name, number in numbers.items() if number}
        result["ready"] = sum(pod.ready for pod in active)
        result["terminating"] = sum(pod.terminating and pod.phase not in ("Succeeded", "Failed") for pod in pods)
        result["uncountedTerminatedPods"] = {}
        outcome = decided.outcome
        if outcome is not None:
            first = "SuccessCriteriaMet" if outcome.kind == "Complete" else "FailureTarget"
            for kind in (first, outcome.kind):
                _put(result, kind, "True", outcome.reason, outcome.message)
            if outcome.kind == "Complete":
                result["completionTime"] = times.now()
        return result

    def _over(self, job: Object, outcome: Outcome) -> float | None:
        self._failures.pop(job["metadata"]["uid"], None)
        if outcome.kind == "Complete":
            self._events.tell(job, "Completed", "Job completed")
        else:
            self._events.tell(job, outcome.reason, outcome.message, "Warning")
        return 0 if job["spec"].get("ttlSecondsAfterFinished") is not None else None

    def _expire(self, job: Object, over: Object) -> float | None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None or job["metadata"].get("deletionTimestamp"):
            return None
        left: float = (seconds(over["lastTransitionTime"]) or 0) + ttl - time.time()
        if left > 0:
            return left
        metadata = job["metadata"]
        options = DeleteOptions(propagation="Foreground", uid=metadata["uid"])
        self._objects.delete(JOB, metadata["namespace"], metadata["name"], options)
        return None

    def _write(self, key: Key, status: Object) -> None:
        stored = self._objects.get(JOB, *key)
        self._objects.update(JOB, stored, {**stored.copy(), "status": status}, subresource="status")

    def close(self) -> None:
        """Stop."""
        for stop in self._stops:
            stop()
        self._loop.close()


def _deciding(job: Object) -> tuple[object, ...]:
    metadata = job["metadata"]
    return (metadata.get("generation"), metadata.get("deletionTimestamp"))


def _condition(job: Object, *kinds: str) -> Object | None:
    entries = (job.get("status") or {}).get("conditions") or ()
    found: Object | None = next((one for one in entries if one["type"] in kinds and one["status"] == "True"), None)
    return found


def _put(status: Object, kind: str, truth: str, reason: str, message: str) -> None:
    now = times.now()
    entry = {
        "type": kind, "status": truth, "lastProbeTime": now, "lastTransitionTime": now, "reason": reason,
        "message": message,
    }  # fmt: skip
    status["conditions"] = [*(one for one in status.get("conditions") or () if one["type"] != kind), entry]


def _counted(status: Object, decided: Step) -> Object:
    """The status in which new pods are counted, named so that they are not counted again."""
    if not decided.counted:
        return status
    numbers = {"succeeded": decided.tally.succeeded, "failed": decided.tally.failed}
    succeeded = [pod.uid for pod in decided.counted if pod.phase == "Succeeded"]
    failed = [pod.uid for pod in decided.counted if pod.phase != "Succeeded"]
    uncounted = {name: uids for name, uids in (("succeeded", succeeded), ("failed", failed)) if uids}
    return {**status, **{k: v for k, v in numbers.items() if v}, "uncountedTerminatedPods": uncounted}


def _plan(job: Object, status: Object) -> Plan:
    spec = job["spec"]
    started, limit = seconds(status.get("startTime")), spec.get("activeDeadlineSeconds")
    return Plan(
        parallelism=spec["parallelism"],
        completions=spec.get("completions"),
        backoff_limit=spec["backoffLimit"],
        deadline=started + limit if started is not None and limit is not None else None,
        suspended=bool(spec["suspend"]),
        restarts_in_place=spec["template"]["spec"]["restartPolicy"] == "OnFailure",
        only_failed_are_replaced=spec["podReplacementPolicy"] == "Failed",
    )
