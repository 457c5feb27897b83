"""Deployments, ReplicaSets, DaemonSets, StatefulSets and Jobs: what they ask for, what there is, the pod template."""

from collections import Counter
from typing import Any, Final, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head, labels_text, selector_text

Object: TypeAlias = dict[str, Any]

_PHASES: Final = (("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))


def describe_deployment(obj: Object, related: Related) -> str:
    """As kubectl describes a deployment."""
    spec, status = obj["spec"], obj.get("status") or {}
    lines = _begin(obj)
    names = (("updatedReplicas", "updated"), ("replicas", "total"), ("availableReplicas", "available"))
    counts = [f"{spec.get('replicas', 1)} desired", *(f"{status.get(key) or 0} {word}" for key, word in names)]
    lines.add("Replicas", " | ".join([*counts, f"{status.get('unavailableReplicas') or 0} unavailable"]))
    strategy = spec.get("strategy") or {}
    lines.add("StrategyType", strategy.get("type"))
    lines.add("MinReadySeconds", spec.get("minReadySeconds") or 0)
    rolling = strategy.get("rollingUpdate")
    if rolling:
        amounts = f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
        lines.add("RollingUpdateStrategy", amounts)
    _template(lines, spec["template"])
    _conditions(lines, status)
    _sets(lines, obj, related)
    lines.events(related.events)
    return lines.text()


def describe_replica_set(obj: Object, related: Related) -> str:
    """As kubectl describes a replica set."""
    lines = _begin(obj)
    replicas = (obj.get("status") or {}).get("replicas") or 0
    lines.add("Replicas", f"{replicas} current / {obj['spec'].get('replicas', 1)} desired")
    return _end(lines, obj, related)


def describe_daemon_set(obj: Object, related: Related) -> str:
    """As kubectl describes a daemon set."""
    status = obj.get("status") or {}
    lines = _begin(obj)
    for label, key in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        lines.add(label, status.get(key) or 0)
    return _end(lines, obj, related)


def describe_stateful_set(obj: Object, related: Related) -> str:
    """As kubectl describes a stateful set."""
    lines = _begin(obj)
    replicas = (obj.get("status") or {}).get("replicas") or 0
    lines.add("Replicas", f"{obj['spec'].get('replicas', 1)} desired | {replicas} total")
    strategy = obj["spec"].get("updateStrategy") or {}
    lines.add("Update Strategy", strategy.get("type"))
    lines.add_some("Partition", (strategy.get("rollingUpdate") or {}).get("partition"))
    return _end(lines, obj, related)


def describe_job(obj: Object, related: Related) -> str:
    """As kubectl describes a job."""
    spec, status = obj["spec"], obj.get("status") or {}
    lines = _begin(obj)
    lines.add("Parallelism", spec.get("parallelism"))
    lines.add("Completions", spec.get("completions"))
    lines.add("Backoff Limit", spec.get("backoffLimit"))
    lines.add_some("Start Time", status.get("startTime"))
    lines.add_some("Completed At", status.get("completionTime"))
    lines.add_some("Active Deadline Seconds", spec.get("activeDeadlineSeconds"))
    names = (("active", "Active"), ("succeeded", "Succeeded"), ("failed", "Failed"))
    ready = f" ({status.get('ready') or 0} Ready)"
    words = [f"{status.get(key) or 0} {word}{ready if key == 'active' else ''}" for key, word in names]
    lines.add("Pods Statuses", " / ".join(words))
    _template(lines, spec["template"])
    _conditions(lines, status)
    lines.events(related.events)
    return lines.text()


def template_text(template: Object) -> str:
    """A pod template alone, as `rollout history --revision` shows it."""
    lines = Lines()
    _template(lines, template)
    return lines.text()


def _begin(obj: Object) -> Lines:
    lines = Lines()
    head(lines, obj)
    lines.add("CreationTimestamp", obj["metadata"].get("creationTimestamp"))
    lines.add("Selector", selector_text(obj["spec"].get("selector")))
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            lines.add("Controlled By", f"{owner['kind']}/{owner['name']}")
    return lines


def _end(lines: Lines, obj: Object, related: Related) -> str:
    uid = obj["metadata"].get("uid")
    own = [pod for pod in related.pods if uid in (owner["uid"] for owner in pod["metadata"].get("ownerReferences", ()))]
    phases = Counter((pod.get("status") or {}).get("phase") for pod in own)
    lines.add("Pods Status", " / ".join(f"{phases[phase]} {word}" for phase, word in _PHASES))
    _template(lines, obj["spec"]["template"])
    _conditions(lines, obj.get("status") or {})
    lines.events(related.events)
    return lines.text()


def _template(lines: Lines, template: Object) -> None:
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    lines.heading("Pod Template")
    lines.add("Labels", labels_text(metadata.get("labels")), 2)
    lines.add_some("Annotations", labels_text(metadata.get("annotations")), 2)
    for label, key in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if spec.get(key):
            lines.heading(label, 2)
        for container in spec.get(key) or ():
            lines.heading(container["name"], 4)
            lines.add("Image", container.get("image"), 6)
            ports = [f"{one['containerPort']}/{one.get('protocol', 'TCP')}" for one in container.get("ports") or ()]
            lines.add("Port", ", ".join(ports), 6)
            lines.add_some("Command", " ".join(container.get("command") or ()), 6)
            lines.add_some("Args", " ".join(container.get("args") or ()), 6)
            environment = [f"{one['name']}={one.get('value', '(reference)')}" for one in container.get("env") or ()]
            lines.add("Environment", ", ".join(environment), 6)
            mounts = [f"{one['mountPath']} from {one['name']}" for one in container.get("volumeMounts") or ()]
            lines.add("Mounts", ", ".join(mounts), 6)
    lines.add("Volumes", ", ".join(one["name"] for one in spec.get("volumes") or ()), 2)
    lines.add("Node-Selectors", labels_text(spec.get("nodeSelector")), 2)


def _conditions(lines: Lines, status: Object) -> None:
    if status.get("conditions"):
        lines.heading("Conditions")
        rows = [(one["type"], one["status"], one.get("reason")) for one in status["conditions"]]
        lines.table(("Type", "Status", "Reason"), rows)


def _sets(lines: Lines, obj: Object, related: Related) -> None:
    revision = (obj["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision")
    old: list[str] = []
    new: list[str] = []
    for one in related.sets:
        metadata = one["metadata"]
        if obj["metadata"].get("uid") not in (owner["uid"] for owner in metadata.get("ownerReferences") or ()):
            continue
        counts = f"{(one.get('status') or {}).get('replicas') or 0}/{one['spec'].get('replicas', 1)} replicas created"
        annotations = metadata.get("annotations") or {}
        is_new = annotations.get("deployment.kubernetes.io/revision") == revision
        (new if is_new else old).append(f"{metadata['name']} ({counts})")
    lines.add("OldReplicaSets", ", ".join(old))
    lines.add("NewReplicaSet", ", ".join(new))
