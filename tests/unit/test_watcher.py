"""The controller's state from many watches: what it contains when one of them is late."""

import queue
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from controller.app import Watcher
from controller.complaints import Complaint
from controller.sdn_controller import Controller
from kubinet.client import Client
from kubinet.informer import Informer, View
from kubinet.state import ClusterState

DEADLINE = 20.0


class Copy:
    """An informer that knows what the test tells it."""

    def __init__(self, client: object, kind: str, *, on_change: Callable[[], None], changes_of: Any = ()) -> None:
        self.kind, self.changes_of = kind, tuple(changes_of)
        self._on_change = on_change
        self._view = View({}, 0, None)

    def start(self) -> "Copy":
        return self

    def wait_synced(self, timeout: float) -> None:
        pass

    def snapshot(self) -> Mapping[str, Any]:
        return self._view.objects

    def view(self) -> tuple[Mapping[str, Any], int]:
        return self._view.objects, self._view.version

    def moment(self) -> View:
        return self._view

    def come(self, version: int, *objects: Any, changes: Mapping[str, int] | None = None) -> None:
        """Its watch has come so far."""
        keys = ("/".join(filter(None, (one["metadata"].get("namespace"), one["metadata"]["name"]))) for one in objects)
        self._view = View(dict(zip(keys, objects, strict=True)), version, changes)
        self._on_change()


class Api:
    """A client of an API that serves no cluster-wide policies."""

    def clone(self) -> "Api":
        return self

    def serves(self, kind: str) -> bool:
        return kind == "NetworkPolicy"


class Compiling:
    """A controller that only takes states."""

    def __init__(self) -> None:
        self.states: queue.Queue[ClusterState] = queue.Queue()

    def update(self, state: ClusterState) -> None:
        self.states.put(state)

    def complaints(self, state: ClusterState) -> Iterator[Complaint]:
        return iter(())


class World:
    """A watcher and its copies."""

    def __init__(self) -> None:
        self.copies: dict[str, Copy] = {}
        self.controller = Compiling()

        def make(client: object, kind: str, **options: Any) -> Informer:
            self.copies[kind] = Copy(client, kind, **options)
            return cast(Informer, self.copies[kind])

        Watcher(cast(Client, Api()), cast(Controller, self.controller), informer=make).start()

    def next_state(self, holds: Callable[[ClusterState], bool]) -> ClusterState:
        while True:
            state = self.controller.states.get(timeout=DEADLINE)
            if holds(state):
                return state


TOPOLOGY = {"metadata": {"name": "cluster"}, "spec": {"network": {}}}
NODE = {
    "metadata": {
        "name": "n1",
        "labels": {"disk": "fast"},
        "annotations": {
            "kubinet.dev/index": "1",
            "kubinet.dev/underlay-address": "172.18.0.1/24",
            "kubinet.dev/underlay-mac": "06:00:00:00:00:01",
        },
    },
    "spec": {"podCIDR": "10.244.1.0/24"},
}
POD = {
    "metadata": {"namespace": "shop", "name": "web", "uid": "1"},
    "spec": {"nodeName": "n1"},
    "status": {"podIP": "10.244.1.2"},
}
SHOP = {"metadata": {"name": "shop", "labels": {"team": "a"}}}
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"namespace": "shop", "name": "closed", "uid": "2"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


@pytest.fixture
def world() -> World:
    """All copies up to version 10: a node and a namespace."""
    world = World()
    world.copies["Topology"].come(10, TOPOLOGY)
    world.copies["Node"].come(10, NODE)
    world.copies["Namespace"].come(10, SHOP)
    world.copies["NetworkPolicy"].come(10)
    world.copies["Pod"].come(10, changes={"Namespace": 4, "NetworkPolicy": 0})
    world.next_state(lambda state: state.generation == 10)
    return world


def test_only_kinds_that_the_api_serves_are_watched(world: World) -> None:
    """Of the policies' kinds the API has one here; the watch of pods is told of it and of namespaces."""
    assert world.copies.keys() == {
        "Topology", "Node", "Pod", "Service", "EndpointSlice", "ConnectionCount", "Namespace", "NetworkPolicy",
    }  # fmt: skip
    assert world.copies["Pod"].changes_of == ("Namespace", "NetworkPolicy")


def test_a_pod_is_promised_when_the_late_policy_has_come(world: World) -> None:
    """The policy (15) comes after the pod (20): first the pod without a promise, then both, though no pod changed."""
    world.copies["Pod"].come(20, POD, changes={"Namespace": 4, "NetworkPolicy": 15})
    state = world.next_state(lambda state: "shop/web" in state.pods)
    assert (state.generation, state.policy_generation, dict(state.policies)) == (10, 4, {})
    world.copies["NetworkPolicy"].come(15, POLICY)
    state = world.next_state(lambda state: bool(state.policies))
    assert (state.generation, state.policy_generation) == (20, 15)
    assert (set(state.policies), set(state.pods)) == ({"NetworkPolicy/shop/closed"}, {"shop/web"})
    assert state.namespaces == {"shop": {"team": "a"}}
    assert state.nodes["n1"].labels == {"disk": "fast"}


def test_word_of_a_policy_that_is_there_already_raises_the_generation(world: World) -> None:
    """The policy's copy was faster than the watch of pods: its word alone makes another state."""
    world.copies["NetworkPolicy"].come(15, POLICY)
    state = world.next_state(lambda state: bool(state.policies))
    assert (state.generation, state.policy_generation) == (10, 4)
    world.copies["Pod"].come(15, changes={"Namespace": 4, "NetworkPolicy": 15})
    state = world.next_state(lambda state: state.generation != 10)
    assert (state.generation, state.policy_generation) == (15, 15)
