"""What a run waits for before it measures: the pods and workload objects of its manifests, and what `ready` names."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from experiments.objectnames import ObjectName, parse_object
from kubinet.manifests import load_manifests

Object = dict[str, Any]


def awaited(manifests: Mapping[str, str], ready: Iterable[str]) -> tuple[ObjectName, ...]:
    """Every object to wait for, each once, those of the manifests first; UsageError for a wrong `ready`."""
    objects = [obj for text in manifests.values() for obj in load_manifests(_as_text(text))]
    found = [
        ObjectName(obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace") or "default")
        for obj in objects
        if obj["kind"] in _RULES and obj["metadata"].get("name")
    ]
    return tuple(dict.fromkeys([*found, *map(parse_object, ready)]))


def is_ready(obj: Object | None) -> bool:
    """Whether an object is what its spec asks for; kinds without a rule of their own: condition Ready or Available."""
    if obj is None:
        return False
    return _RULES.get(obj["kind"], _by_condition)(obj)


def _by_condition(obj: Object) -> bool:
    conditions = _status(obj).get("conditions") or ()
    return any(one["type"] in ("Ready", "Available") and one["status"] == "True" for one in conditions)


def _pod(obj: Object) -> bool:
    return _status(obj).get("phase") == "Succeeded" or _by_condition(obj)


def _replicas(*fields: str) -> Callable[[Object], bool]:
    def holds(obj: Object) -> bool:
        wanted = obj["spec"].get("replicas", 1)
        return _observed(obj) and all((_status(obj).get(name) or 0) >= wanted for name in fields)

    return holds


def _daemon_set(obj: Object) -> bool:
    status = _status(obj)
    wanted = status.get("desiredNumberScheduled") or 0
    return _observed(obj) and wanted > 0 and (status.get("numberReady") or 0) >= wanted


def _job(obj: Object) -> bool:
    status = _status(obj)
    return bool((status.get("ready") or 0) or (status.get("succeeded") or 0))


def _observed(obj: Object) -> bool:
    return int(_status(obj).get("observedGeneration") or 0) >= int(obj["metadata"].get("generation") or 0)


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _as_text(text: str) -> str:
    return text if "\n" in text else f"{text}\n"


_RULES: Final[Mapping[str, Callable[[Object], bool]]] = {
    "Pod": _pod,
    "Deployment": _replicas("updatedReplicas", "availableReplicas"),
    "StatefulSet": _replicas("readyReplicas"),
    "ReplicaSet": _replicas("readyReplicas"),
    "DaemonSet": _daemon_set,
    "Job": _job,
}
