"""What `kubectl get` prints of the kinds that make pods from a template."""

from typing import Final

from controller.api import times
from controller.api.columns import AGE, NAME, NONE, Column
from controller.api.selectors import selector_text
from controller.api.status import Object


def _spec(obj: Object) -> Object:
    spec: Object = obj.get("spec") or {}
    return spec


def _status(obj: Object) -> Object:
    status: Object = obj.get("status") or {}
    return status


def _number(name: str, header: str) -> Column:
    return Column(header, lambda obj: int(_status(obj).get(name) or 0), type="integer")


def _containers(obj: Object) -> list[Object]:
    found: list[Object] = (((_spec(obj).get("template") or {}).get("spec")) or {}).get("containers") or []
    return found


_TEMPLATE: Final = (
    Column("Containers", lambda obj: ",".join(entry.get("name", "") for entry in _containers(obj)), 1),
    Column("Images", lambda obj: ",".join(entry.get("image", "") for entry in _containers(obj)), 1),
    Column("Selector", lambda obj: selector_text(_spec(obj).get("selector")), 1),
)

DEPLOYMENT: Final = (
    NAME,
    Column("Ready", lambda obj: f"{_status(obj).get('readyReplicas') or 0}/{_spec(obj).get('replicas', 0)}"),
    _number("updatedReplicas", "Up-to-date"),
    _number("availableReplicas", "Available"),
    AGE,
    *_TEMPLATE,
)

REPLICA_SET: Final = (
    NAME,
    Column("Desired", lambda obj: int(_spec(obj).get("replicas") or 0), type="integer"),
    _number("replicas", "Current"),
    _number("readyReplicas", "Ready"),
    AGE,
    *_TEMPLATE,
)


STATEFUL_SET: Final = (
    NAME,
    Column("Ready", lambda obj: f"{_status(obj).get('readyReplicas') or 0}/{_spec(obj).get('replicas', 0)}"),
    AGE,
    *_TEMPLATE[:2],
)


def _node_selector(obj: Object) -> str:
    wanted = ((_spec(obj).get("template") or {}).get("spec") or {}).get("nodeSelector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(wanted.items())) or NONE


DAEMON_SET: Final = (
    NAME,
    _number("desiredNumberScheduled", "Desired"),
    _number("currentNumberScheduled", "Current"),
    _number("numberReady", "Ready"),
    _number("updatedNumberScheduled", "Up-to-date"),
    _number("numberAvailable", "Available"),
    Column("Node Selector", _node_selector),
    AGE,
    *_TEMPLATE,
)


def _job_status(obj: Object) -> str:
    conditions = {entry["type"]: entry["status"] for entry in _status(obj).get("conditions") or ()}
    for kind in ("Complete", "Failed"):
        if conditions.get(kind) == "True":
            return kind
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if conditions.get(kind) == "True":
            return kind
    return "Running"


def _completions(obj: Object) -> str:
    spec, done = _spec(obj), _status(obj).get("succeeded") or 0
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(obj: Object) -> str:
    began, ended = _status(obj).get("startTime"), _status(obj).get("completionTime")
    if not began:
        return ""
    if not ended:
        return times.age(began)
    return times.short_duration((times.parse(ended) - times.parse(began)).total_seconds())


JOB: Final = (
    NAME,
    Column("Status", _job_status),
    Column("Completions", _completions),
    Column("Duration", _duration),
    AGE,
    *_TEMPLATE,
)

CONTROLLER_REVISION: Final = (
    NAME,
    Column(
        "Controller",
        lambda obj: next(
            (
                f"{owner['kind'].lower()}.{owner['apiVersion'].partition('/')[0]}/{owner['name']}"
                for owner in obj["metadata"].get("ownerReferences") or ()
                if owner.get("controller")
            ),
            NONE,
        ),
    ),
    Column("Revision", lambda obj: int(obj.get("revision") or 0), type="integer"),
    AGE,
)

SCALE: Final = (
    NAME,
    Column("Desired", lambda obj: int(_spec(obj).get("replicas") or 0), type="integer"),
    Column("Available", lambda obj: int(_status(obj).get("replicas") or 0), type="integer"),
    AGE,
)
