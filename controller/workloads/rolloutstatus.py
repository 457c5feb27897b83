"""A Deployment's status as pure functions: counts, Available, Progressing and its deadline (upstream's words)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.api.status import Object
from controller.workloads import conditions
from controller.workloads.conditions import Condition, Conditions
from controller.workloads.podstate import seconds
from controller.workloads.rollout import Plan, SetState, total

AVAILABLE: Final = "Available"
PROGRESSING: Final = "Progressing"
FAILURE: Final = "ReplicaFailure"
_NEW_AVAILABLE: Final = "NewReplicaSetAvailable"
_TIMED_OUT: Final = "ProgressDeadlineExceeded"
_PAUSED: Final = "DeploymentPaused"
NO_DEADLINE: Final = 2**31 - 1
"""progressDeadlineSeconds with this value is none (upstream)."""


@dataclass(frozen=True, slots=True)
class Status:
    """A Deployment's status."""

    observed_generation: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    unavailable: int = 0
    collisions: int | None = None
    conditions: Conditions = ()


_FIELDS: Final = (
    ("observedGeneration", "observed_generation"),
    ("replicas", "replicas"),
    ("updatedReplicas", "updated"),
    ("readyReplicas", "ready"),
    ("availableReplicas", "available"),
    ("unavailableReplicas", "unavailable"),
)


def read(status: Object | None) -> Status:
    """From the wire."""
    given = status or {}
    counts = {name: int(given.get(field) or 0) for field, name in _FIELDS}
    return Status(**counts, collisions=given.get("collisionCount"), conditions=conditions.read(given.get("conditions")))


def write(status: Status) -> Object:
    """For the wire: zero is left out, as upstream's encoding does."""
    result: Object = {field: value for field, name in _FIELDS if (value := getattr(status, name))}
    if status.conditions:
        result["conditions"] = conditions.write(status.conditions)
    if status.collisions is not None:
        result["collisionCount"] = status.collisions
    return result


def counted(
    old: Status, wanted: Plan, new: SetState | None, others: Sequence[SetState], generation: int, now: str
) -> Status:
    """The counts of all sets, and whether enough pods are available."""
    everyone = [*others, *([new] if new is not None else [])]
    available = sum(one.available for one in everyone)
    if available >= wanted.least:
        why = "Deployment has minimum availability."
        found = conditions.put(old.conditions, AVAILABLE, "True", "MinimumReplicasAvailable", why, now)
    else:
        why = "Deployment does not have minimum availability."
        found = conditions.put(old.conditions, AVAILABLE, "False", "MinimumReplicasUnavailable", why, now)
    return Status(
        observed_generation=generation,
        replicas=sum(one.actual for one in everyone),
        updated=new.actual if new is not None else 0,
        ready=sum(one.ready for one in everyone),
        available=available,
        unavailable=max(0, total(everyone) - available),
        collisions=old.collisions,
        conditions=found,
    )


def complete(status: Status, wanted: Plan, generation: int) -> bool:
    """Whether all pods are of the new template, available, and no others are left."""
    counts = (status.updated, status.replicas, status.available)
    return counts == (wanted.replicas,) * 3 and status.observed_generation >= generation


def progressed(
    old: Status, new: Status, wanted: Plan, deadline: int | None, subject: str, now: str
) -> tuple[Status, float | None]:
    """The status with the condition Progressing, and when to look again (seconds since the epoch), or None.

    `old`: as it is stored; `new`: what `counted` says; `subject`: `ReplicaSet "x"` or `Deployment "x"`.
    """
    if deadline is None or deadline == NO_DEADLINE:
        return replace(new, conditions=conditions.without(new.conditions, PROGRESSING)), None
    present = conditions.find(old.conditions, PROGRESSING)
    if new.replicas == new.updated and present is not None and present.reason == _NEW_AVAILABLE:
        return new, None
    known = new.conditions
    if complete(new, wanted, new.observed_generation):
        message = f"{subject} has successfully progressed."
        known = conditions.put(known, PROGRESSING, "True", _NEW_AVAILABLE, message, now)
    elif _advanced(old, new):
        known = conditions.refresh(known, PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
    elif present is not None and _timed_out(present, deadline, seconds(now) or 0):
        message = f"{subject} has timed out progressing."
        known = conditions.put(known, PROGRESSING, "False", _TIMED_OUT, message, now)
    after = conditions.find(known, PROGRESSING)
    again = None
    if after is not None and after.reason not in (_NEW_AVAILABLE, _TIMED_OUT):
        # Strictly later than the deadline, in the timestamps' whole seconds.
        again = (seconds(after.updated) or 0) + deadline + 1
    return replace(new, conditions=known), again


def _advanced(old: Status, new: Status) -> bool:
    fewer_old = new.replicas - new.updated < old.replicas - old.updated
    return new.updated > old.updated or fewer_old or new.ready > old.ready or new.available > old.available


def _timed_out(present: Condition, deadline: int, now: float) -> bool:
    if present.reason == _NEW_AVAILABLE:
        return False
    return present.reason == _TIMED_OUT or (seconds(present.updated) or 0) + deadline < now


def paused(known: Conditions, is_paused: bool, deadline: int | None, now: str) -> Conditions:
    """Progressing says Unknown while a Deployment is paused, so that its deadline does not pass meanwhile."""
    if deadline is None or deadline == NO_DEADLINE:
        return known
    present = conditions.find(known, PROGRESSING)
    if present is not None and present.reason == _TIMED_OUT:
        return known
    was_paused = present is not None and present.reason == _PAUSED
    if is_paused and not was_paused:
        return conditions.put(known, PROGRESSING, "Unknown", _PAUSED, "Deployment is paused", now)
    if not is_paused and was_paused:
        return conditions.put(known, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    return known


def failed(status: Status, failure: Condition | None, now: str) -> Status:
    """The status with a set's failure to create pods, or without."""
    if failure is None:
        return replace(status, conditions=conditions.without(status.conditions, FAILURE))
    put = conditions.put(status.conditions, FAILURE, "True", failure.reason, failure.message, now)
    return replace(status, conditions=put)
