"""Defaulting of the kinds that make pods from a template (upstream's apps/v1 and batch/v1 defaults)."""

from controller.api.defaults import pod_spec
from controller.api.status import Object

_PROGRESS_DEADLINE = 600
_HISTORY = 10
_SHARE = "25%"
_BACKOFF = 6


def _spec(obj: Object) -> Object:
    spec: Object = obj.setdefault("spec", {})
    template: Object = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))
    obj.setdefault("status", {})
    return spec


def _absent(obj: Object, key: str, value: object) -> None:
    if obj.get(key) in (None, ""):
        obj[key] = value


def replica_set(obj: Object) -> None:
    """One replica, a status."""
    spec = _spec(obj)
    _absent(spec, "replicas", 1)
    obj["status"].setdefault("replicas", 0)


def deployment(obj: Object) -> None:
    """One replica, RollingUpdate by a quarter, 10 old revisions, 10 minutes for progress."""
    spec = _spec(obj)
    _absent(spec, "replicas", 1)
    strategy = spec.setdefault("strategy", {})
    _absent(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        _absent(rolling, "maxUnavailable", _SHARE)
        _absent(rolling, "maxSurge", _SHARE)
    _absent(spec, "revisionHistoryLimit", _HISTORY)
    _absent(spec, "progressDeadlineSeconds", _PROGRESS_DEADLINE)


def daemon_set(obj: Object) -> None:
    """RollingUpdate of one node after the other, 10 old revisions."""
    spec = _spec(obj)
    strategy = spec.setdefault("updateStrategy", {})
    _absent(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        _absent(rolling, "maxUnavailable", 1)
        _absent(rolling, "maxSurge", 0)
    _absent(spec, "revisionHistoryLimit", _HISTORY)
    for key in ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"):
        obj["status"].setdefault(key, 0)


def stateful_set(obj: Object) -> None:
    """One replica, OrderedReady, RollingUpdate of all ordinals, 10 old revisions."""
    spec = _spec(obj)
    _absent(spec, "replicas", 1)
    _absent(spec, "podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    _absent(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _absent(strategy.setdefault("rollingUpdate", {}), "partition", 0)
    _absent(spec, "revisionHistoryLimit", _HISTORY)
    keep = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    spec["persistentVolumeClaimRetentionPolicy"] = keep | (spec.get("persistentVolumeClaimRetentionPolicy") or {})
    obj["status"].setdefault("replicas", 0)
    obj["status"].setdefault("availableReplicas", 0)


_JOB_LABELS = ("controller-uid", "job-name")


def job(obj: Object) -> None:
    """One completion, six retries, NonIndexed; the selector and labels by which the Job knows its pods."""
    spec = _spec(obj)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _absent(spec, "parallelism", 1)
    _absent(spec, "backoffLimit", _BACKOFF)
    _absent(spec, "completionMode", "NonIndexed")
    _absent(spec, "suspend", False)
    _absent(spec, "podReplacementPolicy", "TerminatingOrFailed")
    metadata = obj["metadata"]
    labels = spec["template"]["metadata"].setdefault("labels", {})
    if not spec.setdefault("manualSelector", False):
        values = {"controller-uid": metadata["uid"], "job-name": metadata["name"]}
        for key in _JOB_LABELS:
            labels[key] = labels[f"batch.kubernetes.io/{key}"] = values[key]
        own = {"batch.kubernetes.io/controller-uid": metadata["uid"]}
        spec.setdefault("selector", {}).setdefault("matchLabels", own)
    if not metadata.get("labels"):
        metadata["labels"] = dict(labels)
