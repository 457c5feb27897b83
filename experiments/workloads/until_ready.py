"""Workload `until-ready`: objects are applied; how long until each is ready."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.objectnames import ObjectName, objects_in
from experiments.offered import NOTHING, OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import Plugin, manifest, number, switch, text
from kubinet.errors import InvalidInputError, UsageError

_REPLICAS: Final = {"Deployment": "readyReplicas", "StatefulSet": "readyReplicas", "ReplicaSet": "readyReplicas"}
KINDS: Final = ("Pod", "Job", "DaemonSet", *_REPLICAS)


def is_ready(kind: str, obj: Mapping[str, Any] | None) -> bool:
    """Whether a pod is Ready, all replicas of a workload object are, or a Job is complete."""
    if obj is None:
        return False
    status = obj.get("status") or {}
    conditions: dict[str, bool] = {one["type"]: one["status"] == "True" for one in status.get("conditions") or ()}
    if kind in ("Pod", "Job"):
        return conditions.get("Ready" if kind == "Pod" else "Complete", False)
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    if kind == "DaemonSet":
        return bool(status.get("numberReady", 0) == status.get("desiredNumberScheduled", -1))
    return bool(status.get(_REPLICAS[kind], 0) == obj["spec"].get("replicas", 1))


def awaited(words: str) -> tuple[ObjectName, ...]:
    """The objects of a list; InvalidInputError for a word that names none, or one of a kind that is never ready."""
    try:
        objects = tuple(objects_in(words))
    except UsageError as error:
        raise InvalidInputError(f"parameter 'objects': {error}") from error
    for one in objects:
        if one.kind not in KINDS:
            raise InvalidInputError(f"parameter 'objects': {one} does not become ready; kinds are {', '.join(KINDS)}")
    return objects


class UntilReady(Plugin):
    """The workload."""

    summary = "Applies objects and measures the time until each of some objects is ready."
    parameters = (
        Parameter("objects", "", "", "what is waited for: `Deployment/web, shop:Pod/db`", holds=Holds.OBJECTS),
        Parameter(
            "apply",
            "",
            "",
            "manifests as YAML text, applied at the beginning; empty: something else changes them",
            holds=Holds.MANIFESTS,
        ),
        Parameter("delete", False, False, "true: what was applied is deleted at the end"),
        Parameter("timeout_s", 60.0, 60.0, "seconds after which waiting is an error", 0.1, 3600),
    )
    required = ("objects",)
    metrics: Final = {"time to ready": "s", "time to apply": "s", "time to all ready": "s"}

    def check(self, settings: Settings) -> None:
        """Objects of kinds that become ready."""
        awaited(text(settings, "objects"))

    def duration_s(self, settings: Settings) -> float:
        """Unknown beforehand; at most the timeout."""
        return min(10.0, number(settings, "timeout_s"))

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """Nothing: what the cluster itself sends is no load that is offered."""
        return NOTHING

    def run(self, scene: Scene, settings: Settings) -> None:
        """Apply, then wait for all at once."""
        objects = awaited(text(settings, "objects"))
        began = time.time()
        try:
            if text(settings, "apply"):
                scene.cluster.apply(manifest(settings, "apply"))
            applied = time.time()
            with ThreadPoolExecutor(len(objects)) as pool:
                times = list(pool.map(lambda one: _wait(scene, one, number(settings, "timeout_s")), objects))
        finally:
            if text(settings, "apply") and switch(settings, "delete"):
                scene.cluster.delete(manifest(settings, "apply"))
        rows = [Reading("time to apply", applied - began, "s", began)]
        rows += [
            Reading("time to ready", at - began, "s", at, index, target=str(one))
            for index, (one, at) in enumerate(zip(objects, times, strict=True))
        ]
        rows.append(Reading("time to all ready", max(times) - began, "s", max(times)))
        scene.record(rows)


def _wait(scene: Scene, wanted: ObjectName, timeout: float) -> float:
    """When it was seen to be ready, seconds since 1970."""
    scene.cluster.wait_until(
        wanted.kind,
        wanted.name,
        lambda obj: is_ready(wanted.kind, obj),
        namespace=wanted.namespace,
        timeout=timeout,
        what="being ready",
    )
    return time.time()


UNTIL_READY: Final = UntilReady()
