"""Deployment, ReplicaSet, DaemonSet, StatefulSet (apps/v1) and Job (batch/v1)."""

import re
from typing import Any

from controller.api.selectors import from_label_selector
from controller.api.status import Cause, Object
from controller.api.validation.causes import forbidden, invalid, not_supported, required
from controller.api.validation.names import label_selector, labels
from controller.api.validation.pods import pod_spec

_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)
_NEGATIVE = "must be greater than or equal to 0"
_IMMUTABLE = "field is immutable"
_ALWAYS_ONLY = ("Always",)


def replica_set(new: Object, old: Object | None) -> list[Cause]:
    """Selector, template, replicas."""
    spec = new["spec"]
    found = _not_negative(spec, "replicas", "minReadySeconds")
    return found + _selected(spec, "replica set") + _immutable_selector(new, old)


def deployment(new: Object, old: Object | None) -> list[Cause]:
    """Selector, template, strategy, deadlines."""
    spec = new["spec"]
    found = _not_negative(spec, "replicas") + _selected(spec, "deployment") + _strategy(spec["strategy"])
    found += _not_negative(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        found.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return found + _immutable_selector(new, old)


def daemon_set(new: Object, old: Object | None) -> list[Cause]:
    """Selector, template, update strategy."""
    spec = new["spec"]
    found = _selected(spec, "daemonset") + _not_negative(spec, "minReadySeconds", "revisionHistoryLimit")
    strategy = spec["updateStrategy"]
    if strategy["type"] == "RollingUpdate":
        field = "spec.updateStrategy.rollingUpdate"
        found += _rolling(field, strategy["rollingUpdate"])
        surge, unavailable = (_amount(strategy["rollingUpdate"].get(key)) for key in ("maxSurge", "maxUnavailable"))
        if surge:
            found.append(forbidden(f"{field}.maxSurge", "is not supported by Kubinet: use maxUnavailable"))
        elif unavailable == 0:
            why = "cannot be 0 when maxSurge is 0"
            found.append(invalid(f"{field}.maxUnavailable", strategy["rollingUpdate"].get("maxUnavailable"), why))
    elif strategy["type"] != "OnDelete":
        allowed = ("OnDelete", "RollingUpdate")
        found.append(not_supported("spec.updateStrategy.type", strategy["type"], allowed))
    return found + _immutable_selector(new, old)


_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def stateful_set(new: Object, old: Object | None) -> list[Cause]:
    """Selector, template, strategy, and what may not change."""
    spec = new["spec"]
    found = _not_negative(spec, "replicas", "minReadySeconds", "revisionHistoryLimit") + _selected(spec, "statefulset")
    if spec["podManagementPolicy"] not in ("OrderedReady", "Parallel"):
        why = "must be 'OrderedReady' or 'Parallel'"
        found.append(invalid("spec.podManagementPolicy", spec["podManagementPolicy"], why))
    strategy = spec["updateStrategy"]
    if strategy["type"] not in ("OnDelete", "RollingUpdate"):
        why = "must be 'RollingUpdate' or 'OnDelete'"
        found.append(invalid("spec.updateStrategy", strategy, why))
    if ((strategy.get("rollingUpdate") or {}).get("partition") or 0) < 0:
        partition = strategy["rollingUpdate"]["partition"]
        found.append(invalid("spec.updateStrategy.rollingUpdate.partition", partition, _NEGATIVE))
    if "maxUnavailable" in (strategy.get("rollingUpdate") or {}):
        why = "is not supported by Kubinet: leave it out"
        found.append(forbidden("spec.updateStrategy.rollingUpdate.maxUnavailable", why))
    if spec.get("volumeClaimTemplates"):
        found.append(forbidden("spec.volumeClaimTemplates", "is not supported by Kubinet: use emptyDir volumes"))
    frozen = [{k: v for k, v in one["spec"].items() if k not in _MUTABLE} for one in (new, old) if one is not None]
    if frozen[0] != frozen[-1]:
        names = "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
        names += "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'"
        found.append(forbidden("spec", f"updates to statefulset spec for fields other than {names} are forbidden"))
    return found


def job(new: Object, old: Object | None) -> list[Cause]:
    """Counts, template, and what may not change."""
    spec = new["spec"]
    counts = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    found = _not_negative(spec, *counts) + label_selector("spec.selector", spec.get("selector"))
    if spec["completionMode"] != "NonIndexed":
        found.append(not_supported("spec.completionMode", spec["completionMode"], ("NonIndexed",)))
    for name in ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes"):
        if name in spec:
            found.append(forbidden(f"spec.{name}", "is not supported by Kubinet: leave it out"))
    found += _template(spec, ("OnFailure", "Never"))
    if old is not None:
        for name in ("completions", "selector", "template", "completionMode"):
            if spec.get(name) != old["spec"].get(name):
                found.append(invalid(f"spec.{name}", spec.get(name), _IMMUTABLE))
    return found


def _not_negative(spec: Object, *names: str) -> list[Cause]:
    return [invalid(f"spec.{name}", spec[name], _NEGATIVE) for name in names if (spec.get(name) or 0) < 0]


def _immutable_selector(new: Object, old: Object | None) -> list[Cause]:
    selector = new["spec"].get("selector")
    if old is None or selector == old["spec"].get("selector"):
        return []
    return [invalid("spec.selector", selector, _IMMUTABLE)]


def _selected(spec: Object, kind: str) -> list[Cause]:
    selector = spec.get("selector")
    if selector is None:
        return [required("spec.selector"), *_template(spec, _ALWAYS_ONLY)]
    found = label_selector("spec.selector", selector)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        found.append(invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    elif not found:
        own = spec["template"]["metadata"].get("labels")
        if not from_label_selector(selector).matches(own):
            why = "`selector` does not match template `labels`"
            found.append(invalid("spec.template.metadata.labels", own, why))
    return found + _template(spec, _ALWAYS_ONLY)


def _template(spec: Object, policies: tuple[str, ...]) -> list[Cause]:
    template = spec["template"]
    found = labels("spec.template.labels", template["metadata"].get("labels"))
    found += pod_spec(template["spec"], "spec.template.spec")
    policy = template["spec"]["restartPolicy"]
    if policy not in policies:
        if policies is _ALWAYS_ONLY:
            found.append(not_supported("spec.template.spec.restartPolicy", policy, policies))
        else:
            why = f"valid values: {', '.join(f'{word!r}' for word in policies)}".replace("'", '"')
            found.append(required("spec.template.spec.restartPolicy", why))
    if policies is _ALWAYS_ONLY and template["spec"].get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        found.append(forbidden("spec.template.spec.activeDeadlineSeconds", why))
    return found


def _strategy(strategy: Object) -> list[Cause]:
    field = "spec.strategy"
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate":
        if rolling is None:
            return []
        return [forbidden(f"{field}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")]
    if strategy["type"] != "RollingUpdate":
        return [not_supported(field, strategy, ("Recreate", "RollingUpdate"))]
    found = _rolling(f"{field}.rollingUpdate", rolling or {})
    if not found and _amount((rolling or {}).get("maxSurge")) == 0 == _amount((rolling or {}).get("maxUnavailable")):
        value = (rolling or {}).get("maxUnavailable")
        found.append(invalid(f"{field}.rollingUpdate.maxUnavailable", value, "may not be 0 when `maxSurge` is 0"))
    return found


def _amount(value: Any) -> int:
    if isinstance(value, str):
        return int(value[:-1]) if _PERCENT.fullmatch(value) else 0
    return int(value or 0)


def _rolling(field: str, rolling: Object) -> list[Cause]:
    found: list[Cause] = []
    for name in ("maxUnavailable", "maxSurge"):
        value = rolling.get(name, 0)
        if isinstance(value, str) and not _PERCENT.fullmatch(value):
            found.append(invalid(f"{field}.{name}", value, _PERCENT_TEXT))
        elif isinstance(value, int) and value < 0:
            found.append(invalid(f"{field}.{name}", value, _NEGATIVE))
        elif isinstance(value, str) and name == "maxUnavailable" and int(value[:-1]) > 100:
            found.append(invalid(f"{field}.{name}", value, "must not be greater than 100%"))
    return found
