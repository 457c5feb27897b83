"""What controllers ask of a pod: is it active, ready, since when, and when it counts as available."""

from dataclasses import dataclass
from typing import Any, Final

from controller.api import times
from controller.api.status import Object

ENDED: Final = ("Succeeded", "Failed")
JOB_TRACKING: Final = "batch.kubernetes.io/job-tracking"
_COST: Final = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True, slots=True)
class PodState:
    """The facts of one pod, worked out once per version of it."""

    name: str
    uid: str
    created: float
    """Seconds since the epoch."""
    labels: dict[str, str]
    node: str = ""
    phase: str = "Pending"
    terminating: bool = False
    ready: bool = False
    ready_since: float | None = None
    """When it became ready last; None where its condition does not say."""
    restarts: int = 0
    cost: int = 0
    """`controller.kubernetes.io/pod-deletion-cost`."""
    tracked: bool = False
    """Whether its Job has yet to count it (finalizer `batch.kubernetes.io/job-tracking`)."""
    target: str = ""
    """The node that it has, or else the one that its affinity names (a daemon's)."""

    @property
    def active(self) -> bool:
        """Whether it counts as a replica: neither ended nor being deleted."""
        return self.phase not in ENDED and not self.terminating

    def available_at(self, min_ready_seconds: int) -> float | None:
        """From when on it counts as available (seconds since the epoch); None while it is not ready."""
        if not self.ready:
            return None
        if not min_ready_seconds:
            return 0.0
        return None if self.ready_since is None else self.ready_since + min_ready_seconds


def seconds(timestamp: str | None) -> float | None:
    """A timestamp as seconds since the epoch; None where there is none."""
    if not timestamp:
        return None
    try:
        return times.parse(timestamp).timestamp()
    except ValueError:
        return None


def _cost(metadata: Object) -> int:
    text = (metadata.get("annotations") or {}).get(_COST, "")
    try:
        return int(text)
    except ValueError:
        return 0


def _target(spec: Object) -> str:
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field.get("values") or ()) == 1:
                return str(field["values"][0])
    return ""


def pod_state(pod: Object) -> PodState:
    """The facts of a pod object."""
    metadata: Any = pod["metadata"]
    status = pod.get("status") or {}
    ready = next((entry for entry in status.get("conditions") or () if entry["type"] == "Ready"), None)
    is_ready = ready is not None and ready.get("status") == "True"
    return PodState(
        name=metadata["name"],
        uid=metadata["uid"],
        created=seconds(metadata.get("creationTimestamp")) or 0.0,
        labels=metadata.get("labels") or {},
        node=pod["spec"].get("nodeName") or "",
        phase=status.get("phase") or "Pending",
        terminating="deletionTimestamp" in metadata,
        ready=is_ready,
        ready_since=seconds(ready.get("lastTransitionTime")) if is_ready and ready is not None else None,
        restarts=max((entry.get("restartCount", 0) for entry in status.get("containerStatuses") or ()), default=0),
        cost=_cost(metadata),
        tracked=JOB_TRACKING in (metadata.get("finalizers") or ()),
        target=_target(pod["spec"]),
    )
