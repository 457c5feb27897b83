"""Workloads to the pods that their controllers would make, with names that are made up where upstream's are random.

A workload whose pods (or ReplicaSets) are among the manifests, as in an export of a cluster, is left to these.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from controller.api.defaults import pod as default_pod
from controller.api.status import Object
from kubinet.offline.completing import Collected, uid

WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")


def pods_of(collected: Collected, nodes: Mapping[str, Mapping[str, str]]) -> list[Object]:
    """All pods: those that are written, then those of workloads. `nodes`: labels by name, for DaemonSets."""
    own = collected.of("Pod")
    served = set(_owners([*own, *collected.of("ReplicaSet")]))
    made = list(own)
    for workload in collected.of(*WORKLOADS):
        metadata = workload["metadata"]
        if (workload["kind"], metadata["namespace"], metadata["name"]) not in served:
            made += _expanded(workload, nodes)
    return made


def _owners(objects: Iterable[Object]) -> Iterator[tuple[str, str, str]]:
    for obj in objects:
        for reference in obj["metadata"].get("ownerReferences") or ():
            if reference.get("controller"):
                yield reference["kind"], obj["metadata"]["namespace"], reference["name"]


def _expanded(workload: Object, nodes: Mapping[str, Mapping[str, str]]) -> Iterator[Object]:
    name, spec = workload["metadata"]["name"], workload["spec"]
    if workload["kind"] == "DaemonSet":
        for node in fitting(spec["template"].get("spec") or {}, nodes):
            yield _pod(workload, f"{name}-{node}", nodeName=node)
        return
    for suffix in _suffixes(workload["kind"], spec):
        yield _pod(workload, f"{name}-{suffix}")


def _suffixes(kind: str, spec: Object) -> Sequence[int]:
    if kind == "Job":
        parallel = spec.get("parallelism", 1)
        return range(1, min(parallel, spec.get("completions") or parallel) + 1)
    count = spec.get("replicas", 1)
    if kind == "StatefulSet":
        start = (spec.get("ordinals") or {}).get("start", 0)
        return range(start, start + count)
    return range(1, count + 1)


def _pod(workload: Object, name: str, **more: str) -> Object:
    owner, template = workload["metadata"], copy.deepcopy(workload["spec"]["template"])
    metadata: dict[str, Any] = template.get("metadata") or {}
    metadata |= {"namespace": owner["namespace"], "name": name, "uid": uid("Pod", owner["namespace"], name)}
    labels = dict(metadata.get("labels") or {})
    if workload["kind"] == "StatefulSet":
        labels |= {"statefulset.kubernetes.io/pod-name": name}
        labels |= {"apps.kubernetes.io/pod-index": name.rpartition("-")[2]}
    metadata["labels"] = labels
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**template["spec"], **more}}
    default_pod(pod)
    return pod


def fitting(spec: Object, nodes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The nodes that the pod's nodeSelector and nodeName allow."""
    wanted = spec.get("nodeSelector") or {}
    return [
        name
        for name, labels in nodes.items()
        if spec.get("nodeName") in (None, "", name) and all(labels.get(key) == value for key, value in wanted.items())
    ]
