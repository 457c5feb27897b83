"""The scheduler's life on the store: what waits is bound when room is made, and is told why not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import EVENT, NODE, POD
from controller.api.store import Store
from controller.workloads.namespaces import ensure_defaults
from controller.workloads.scheduling import Scheduling

READY = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"pods": "1"}}


def _pod(objects: Objects, name: str) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    objects.create(POD, "default", {"metadata": {"name": name}, "spec": spec})


def _node(objects: Objects, name: str, status: dict[str, Any]) -> None:
    objects.create(NODE, "", {"metadata": {"name": name}, "status": status})


def _bound(objects: Objects) -> dict[str, str]:
    return {s.object["metadata"]["name"]: s.object["spec"].get("nodeName", "") for s in objects.store.select(POD.key)}


def _remove(objects: Objects) -> None:
    objects.delete(POD, "default", "a", DeleteOptions(grace_period=0))


def _finish(objects: Objects) -> None:
    old = objects.get(POD, "default", "a")
    new = old.copy()
    new["status"]["phase"] = "Succeeded"
    objects.update(POD, old, new, subresource="status")


def _add(objects: Objects) -> None:
    _node(objects, "n2", READY)


def _become_ready(objects: Objects) -> None:
    old = objects.get(NODE, "", "n0")
    objects.update(NODE, old, {**old.copy(), "status": READY}, subresource="status")


@pytest.mark.parametrize("make_room", [_remove, _finish, _add, _become_ready])
def test_waiting_pods_get_room_when_it_is_made(make_room: Callable[[Objects], None]) -> None:
    """A pod that found no room is bound when a pod leaves or ends, a node comes, or one becomes ready."""

    async def scenario() -> None:
        objects = Objects(Store())
        ensure_defaults(objects)
        cycle = Scheduling(objects)
        _node(objects, "n0", {})
        _node(objects, "n1", READY)
        for name in "ab":
            _pod(objects, name)
        await asyncio.sleep(0)  # the loop's run was asked for
        await asyncio.sleep(0)
        assert _bound(objects) == {"a": "n1", "b": ""}
        (event,) = objects.store.select(EVENT.key, "default")
        wanted = "0/2 nodes are available: 1 Too many pods, 1 node(s) were not ready."
        assert (event.object["reason"], event.object["message"]) == ("FailedScheduling", wanted)
        make_room(objects)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert _bound(objects)["b"] != ""
        cycle.close()

    asyncio.run(scenario())
