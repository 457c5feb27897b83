"""Nodes that are not ready: taints, pods' readiness, eviction."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from controller.api import times
from controller.api.objects import Objects
from controller.api.registry import NODE, POD
from controller.api.store import Store
from controller.workloads.namespaces import ensure_defaults
from controller.workloads.nodelifecycle import NOT_READY, UNREACHABLE, NodeLifecycle, eviction, with_taints

NOW = "2026-01-01T00:00:00Z"
OWN = {"key": "team", "value": "a", "effect": "NoExecute"}


def _taints(key: str, added: str = NOW) -> list[dict[str, str]]:
    return [{"key": key, "effect": effect, "timeAdded": added} for effect in ("NoSchedule", "NoExecute")]


@pytest.mark.parametrize(
    ("before", "status", "after"),
    [
        ([], "True", []),
        ([], "", []),
        ([], "Unknown", _taints(UNREACHABLE)),
        ([OWN], "False", [OWN, *_taints(NOT_READY)]),
        (_taints(UNREACHABLE, "2025-12-31T23:59:00Z"), "Unknown", _taints(UNREACHABLE, "2025-12-31T23:59:00Z")),
        ([*_taints(UNREACHABLE), OWN], "True", [OWN]),
        (_taints(NOT_READY), "Unknown", _taints(UNREACHABLE)),
    ],
)
def test_taints_follow_the_condition_ready(before: Any, status: str, after: Any) -> None:
    """Unknown is `unreachable`, False `not-ready`, both NoSchedule and NoExecute; users' taints are kept."""
    assert with_taints(before, status, NOW) == after


@pytest.mark.parametrize(
    ("tolerations", "taints", "due"),
    [
        ([], _taints(UNREACHABLE), 1767225600.0),
        ([{"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 300}], _taints(UNREACHABLE), 1767225900.0),
        ([{"key": UNREACHABLE, "operator": "Exists"}], _taints(UNREACHABLE), None),
        ([{"operator": "Exists", "effect": "NoSchedule"}], _taints(UNREACHABLE), 1767225600.0),
        ([], [{**OWN, "effect": "NoSchedule"}], None),
        ([], [OWN], 7.0),
        ([{"key": "team", "value": "a", "tolerationSeconds": 5}, {"operator": "Exists"}], [OWN], 12.0),
    ],
)
def test_a_pod_leaves_when_its_tolerations_are_over(tolerations: Any, taints: Any, due: float | None) -> None:
    """At once without a toleration, after the least tolerationSeconds, never without one; from the taint's time on."""
    assert eviction(tolerations, taints, 7.0) == due


def _set_ready(objects: Objects, status: str) -> None:
    old = objects.get(NODE, "", "n1")
    conditions = [{"type": "Ready", "status": status}]
    objects.update(NODE, old, {**old.copy(), "status": {"conditions": conditions}}, subresource="status")


def _pod(objects: Objects, name: str, **spec: Any) -> None:
    containers = [{"name": "c", "image": "i"}]
    objects.create(
        POD, "default", {"metadata": {"name": name}, "spec": {"containers": containers, "nodeName": "n1", **spec}}
    )
    old = objects.get(POD, "default", name)
    new = old.copy()
    entry = {"type": "Ready", "status": "True", "lastTransitionTime": times.now()}
    new["status"] |= {"phase": "Running", "conditions": [entry]}
    objects.update(POD, old, new, subresource="status")


async def _settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def _live(scenario: Callable[[Objects], Any]) -> None:
    async def main() -> None:
        objects = Objects(Store())
        ensure_defaults(objects)
        objects.create(NODE, "", {"metadata": {"name": "n1"}})
        _set_ready(objects, "True")
        cycle = NodeLifecycle(objects)
        await _settle()
        await scenario(objects)
        cycle.close()

    asyncio.run(main())


def _ready(objects: Objects, name: str) -> str:
    pod = objects.get(POD, "default", name).object
    return next(str(one["status"]) for one in pod["status"]["conditions"] if one["type"] == "Ready")


def test_pods_of_a_silent_node_are_not_ready_and_stay_for_their_time() -> None:
    """Ready Unknown: the node is tainted and its pods leave the endpoints; Ready again: the taints go."""

    async def scenario(objects: Objects) -> None:
        _pod(objects, "a")
        _set_ready(objects, "Unknown")
        await _settle()
        taints = objects.get(NODE, "", "n1").object["spec"]["taints"]
        assert [(taint["key"], taint["effect"]) for taint in taints] == [
            (UNREACHABLE, "NoSchedule"),
            (UNREACHABLE, "NoExecute"),
        ]
        assert _ready(objects, "a") == "False"
        assert "deletionTimestamp" not in objects.get(POD, "default", "a").object["metadata"], "it tolerates 300 s"
        _set_ready(objects, "True")
        await _settle()
        assert "taints" not in objects.get(NODE, "", "n1").object["spec"]

    _live(scenario)


def test_a_node_that_says_itself_that_it_is_not_ready_keeps_its_pods_readiness() -> None:
    """Ready False: its agent lives and answers for the pods' conditions."""

    async def scenario(objects: Objects) -> None:
        _pod(objects, "a")
        _set_ready(objects, "False")
        await _settle()
        assert objects.get(NODE, "", "n1").object["spec"]["taints"][0]["key"] == NOT_READY
        assert _ready(objects, "a") == "True"

    _live(scenario)


def test_a_pod_is_evicted_when_its_time_is_over() -> None:
    """tolerationSeconds 0 goes at once, 1 after a second, and one that tolerates for good stays."""

    async def scenario(objects: Objects) -> None:
        for name, limit in (("now", 0), ("soon", 1), ("never", None)):
            toleration: dict[str, Any] = {"key": UNREACHABLE, "operator": "Exists"}
            if limit is not None:
                toleration["tolerationSeconds"] = limit
            _pod(objects, name, tolerations=[toleration])
        _set_ready(objects, "Unknown")
        await _settle()

        def leaving() -> list[str]:
            pods = [stored.object["metadata"] for stored in objects.store.select(POD.key)]
            return sorted(pod["name"] for pod in pods if "deletionTimestamp" in pod)

        assert "now" in leaving()
        assert "never" not in leaving()
        async with asyncio.timeout(5):
            while leaving() != ["now", "soon"]:
                await asyncio.sleep(0.02)

    _live(scenario)
