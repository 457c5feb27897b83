"""Status conditions of workloads: set as upstream sets them, with their two times."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from controller.api.status import Object

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; times are RFC 3339 text."""

    type: str
    status: str
    reason: str
    message: str
    updated: str
    changed: str


Conditions = tuple[Condition, ...]


def read(entries: Iterable[Object] | None) -> Conditions:
    """From a status."""
    return tuple(
        Condition(
            entry["type"],
            entry["status"],
            entry.get("reason", ""),
            entry.get("message", ""),
            entry.get("lastUpdateTime", ""),
            entry.get("lastTransitionTime", ""),
        )
        for entry in entries or ()
    )


def write(conditions: Conditions) -> list[Object]:
    """For a Deployment's status."""
    return [
        {
            "type": one.type,
            "status": one.status,
            "lastUpdateTime": one.updated,
            "lastTransitionTime": one.changed,
            "reason": one.reason,
            "message": one.message,
        }
        for one in conditions
    ]


def find(conditions: Conditions, kind: str) -> Condition | None:
    """The condition of a type."""
    return next((one for one in conditions if one.type == kind), None)


def without(conditions: Conditions, kind: str) -> Conditions:
    """All others."""
    return tuple(one for one in conditions if one.type != kind)


def put(conditions: Conditions, kind: str, status: Truth, reason: str, message: str, now: str) -> Conditions:
    """Set one: with the same status and reason nothing changes, with the same status its transition time stays."""
    present = find(conditions, kind)
    if present is not None and (present.status, present.reason) == (status, reason):
        return conditions
    new = Condition(kind, status, reason, message, now, now)
    if present is not None and present.status == status:
        new = replace(new, changed=present.changed)
    return (*without(conditions, kind), new)


def refresh(conditions: Conditions, kind: str, status: Truth, reason: str, message: str, now: str) -> Conditions:
    """As `put`, but the time of the last update is now even where nothing else changes."""
    present = find(conditions, kind)
    changed = present.changed if present is not None and present.status == status else now
    return (*without(conditions, kind), Condition(kind, status, reason, message, now, changed))
