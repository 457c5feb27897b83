"""Pods and generations split by node."""

from ipaddress import IPv4Address
from typing import Any

from agents.feed import Feed
from kubinet.client import Client


class Informer:
    """Stands in for an informer: objects as the test sets them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}

    def snapshot(self) -> dict[str, dict[str, Any]]:
        return dict(self.objects)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def wait_synced(self, timeout: float) -> None:
        pass


def pod(uid: str, node: str | None, address: str = "", **status: str) -> dict[str, Any]:
    own = {"podIP": address} if address else {}
    return {"metadata": {"uid": uid}, "spec": {"nodeName": node} if node else {}, "status": own | status}


class World:
    """A feed whose informers are ours."""

    def __init__(self) -> None:
        self.pods, self.dataplane = Informer(), Informer()
        by_kind = {"Pod": self.pods, "Dataplane": self.dataplane}
        client = Client("http://127.0.0.1:1", "token")
        self.feed = Feed(client, informer=lambda _, kind, **__: by_kind[kind])  # type: ignore[arg-type,return-value]
        self.woken: list[str] = []
        for node in ("n1", "n2"):
            self.feed.subscribe(node, lambda node=node: self.woken.append(node))  # type: ignore[misc]

    def look(self) -> list[str]:
        """Split what is there now; returns who was woken."""
        self.woken.clear()
        self.feed._split()
        return sorted(self.woken)


def test_only_nodes_with_changes_are_woken() -> None:
    """A new, a replaced, a moved and a deleted pod wake their nodes; an equal look wakes nobody."""
    world = World()
    world.pods.objects = {"a": pod("a", "n1"), "b": pod("b", "n2"), "c": pod("c", None)}
    assert world.look() == ["n1", "n2"]
    assert set(world.feed.pods("n1")) == {"a"}
    assert world.look() == []
    world.pods.objects["b"] = pod("b", "n2")
    assert world.look() == ["n2"]
    world.pods.objects["c"] = pod("c", "n1")
    assert world.look() == ["n1"]
    del world.pods.objects["a"]
    assert world.look() == ["n1"]
    assert set(world.feed.pods("n1")) == {"c"}


def test_a_new_generation_wakes_its_node() -> None:
    """Generations come from Dataplane/cluster; before the controller's first word they are 0."""
    world = World()
    assert world.feed.generation("n1") == 0
    nodes = {"n1": {"generation": 5}, "n2": {"generation": 5}}
    world.dataplane.objects = {"cluster": {"status": {"nodes": nodes}}}
    assert world.look() == ["n1", "n2"]
    nodes["n2"] = {"generation": 6}
    assert world.look() == ["n2"]
    assert (world.feed.generation("n1"), world.feed.generation("n2")) == (5, 6)


def test_nodes_without_flows_are_named_at_the_deadline() -> None:
    """Waiting ends as soon as each node has a generation, even 0, and names the others otherwise."""
    world = World()
    world.dataplane.objects = {"cluster": {"status": {"nodes": {"n1": {"generation": 0}}}}}
    world.look()
    assert world.feed.wait_realised(["n1"], 10.0) == ()
    assert world.feed.wait_realised(["n1", "n2"], 0.01) == ("n2",)


def test_a_node_that_stopped_listening_is_not_woken() -> None:
    """After `unsubscribe` there are no more calls."""
    world = World()
    world.feed.unsubscribe("n1")
    world.pods.objects = {"a": pod("a", "n1")}
    assert world.look() == []


def test_every_node_hears_of_addresses_that_lost_their_pod() -> None:
    """A deleted pod's and an ended pod's address goes to each node once, and wakes it; other changes do not."""
    world = World()
    world.pods.objects = {
        "a": pod("a", "n1", "10.244.1.2"),
        "b": pod("b", "n1", "10.244.1.3"),
        "c": pod("c", "n1", "x"),
    }
    world.look()
    assert world.feed.take_departed("n2") == frozenset()
    del world.pods.objects["a"]
    world.pods.objects["b"] = pod("b", "n1", "10.244.1.3", phase="Succeeded")
    assert world.look() == ["n1", "n2"]
    assert world.feed.take_departed("n1") == {IPv4Address("10.244.1.2"), IPv4Address("10.244.1.3")}
    assert world.feed.take_departed("n1") == frozenset()
    assert world.feed.take_departed("n2") == {IPv4Address("10.244.1.2"), IPv4Address("10.244.1.3")}
    del world.pods.objects["b"], world.pods.objects["c"]
    assert world.look() == ["n1"]
