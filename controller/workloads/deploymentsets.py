"""What a Deployment's controller reads from and writes to its ReplicaSets."""

from typing import Any

import orjson

from controller.api.status import Object
from controller.workloads import revisions
from controller.workloads.conditions import Condition, find, read
from controller.workloads.ownership import reference
from controller.workloads.rollout import Plan, SetState, plan


def plan_of(deployment: Object) -> Plan:
    """What the Deployment asks for."""
    spec = deployment["spec"]
    strategy = spec["strategy"]
    rolling = strategy.get("rollingUpdate") or {}
    return plan(
        spec["replicas"],
        rolling=strategy["type"] == "RollingUpdate",
        surge=rolling.get("maxSurge", 0),
        unavailable=rolling.get("maxUnavailable", 0),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def state_of(replica_set: Object) -> SetState:
    """The facts of one set."""
    metadata, status = replica_set["metadata"], replica_set.get("status") or {}
    annotations = metadata.get("annotations") or {}
    return SetState(
        name=metadata["name"],
        created=metadata["creationTimestamp"],
        replicas=replica_set["spec"]["replicas"],
        actual=status.get("replicas") or 0,
        ready=status.get("readyReplicas") or 0,
        available=status.get("availableReplicas") or 0,
        desired=_number(annotations.get(revisions.DESIRED)),
        limit=_number(annotations.get(revisions.LIMIT)),
        revision=revisions.revision_of(replica_set),
        observed=metadata["generation"] <= (status.get("observedGeneration") or 0),
        deleting="deletionTimestamp" in metadata,
    )


def failure_of(replica_set: Object) -> Condition | None:
    """The set's condition ReplicaFailure."""
    return find(read((replica_set.get("status") or {}).get("conditions")), "ReplicaFailure")


def new_set(deployment: Object, digest: str, revision: int, replicas: int, limit: int) -> Object:
    """The ReplicaSet for the Deployment's template."""
    spec = deployment["spec"]
    template: Any = orjson.loads(orjson.dumps(spec["template"]))
    labels = {**(template["metadata"].get("labels") or {}), revisions.HASH_LABEL: digest}
    template["metadata"]["labels"] = labels
    selector: Any = orjson.loads(orjson.dumps(spec["selector"]))
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), revisions.HASH_LABEL: digest}
    annotations = revisions.set_annotations({}, deployment, revision)
    annotations |= revisions.size_annotations(spec["replicas"], limit)
    wanted: Object = {"replicas": replicas, "selector": selector, "template": template}
    if spec.get("minReadySeconds"):
        wanted["minReadySeconds"] = spec["minReadySeconds"]
    return {
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{digest}",
            "labels": dict(labels),
            "annotations": annotations,
            "ownerReferences": [reference(deployment)],
        },
        "spec": wanted,
    }
