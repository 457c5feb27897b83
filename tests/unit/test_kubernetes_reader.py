"""The SDN controller's input from wire objects, again and again."""

import copy
from typing import Any

import pytest

from kubinet import kubernetes
from kubinet.kubernetes import StateReader, cluster_state

TOPOLOGY: dict[str, Any] = {"metadata": {"name": "cluster"}, "spec": {"network": {"overlay": "geneve"}}}


def _node(name: str, index: int) -> dict[str, Any]:
    annotations = {
        "kubinet.dev/index": str(index),
        "kubinet.dev/underlay-address": f"172.18.0.{index}/24",
        "kubinet.dev/underlay-mac": f"06:00:00:00:00:0{index}",
    }
    return {"metadata": {"name": name, "annotations": annotations}, "spec": {"podCIDR": f"10.244.{index}.0/24"}}


def _pod(name: str, address: str = "", **status: Any) -> dict[str, Any]:
    own = {"podIP": address} if address else {}
    return {
        "metadata": {"namespace": "d", "name": name, "uid": name},
        "spec": {"nodeName": "n1"},
        "status": own | status,
    }


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pods that were parsed."""
    names: list[str] = []
    parse = kubernetes.pod_from_object

    def counted(obj: Any) -> Any:
        names.append(obj["metadata"]["name"])
        return parse(obj)

    monkeypatch.setattr(kubernetes, "pod_from_object", counted)
    return names


def test_an_unchanged_object_is_not_parsed_again(parsed: list[str]) -> None:
    """Only new and replaced objects are; a gone one is forgotten; the state is that of a fresh look."""
    reader = StateReader()
    nodes, pods = [_node("n1", 1)], [_pod("a", "10.244.1.2"), _pod("b", "10.244.1.3"), _pod("c")]
    first = reader.read(TOPOLOGY, nodes, pods, 5)
    assert (parsed, sorted(first.pods)) == (["a", "b", "c"], ["d/a", "d/b"])
    parsed.clear()
    reader.read(TOPOLOGY, nodes, pods, 6)
    assert parsed == []
    pods[2] = _pod("c", "10.244.1.4")
    second = reader.read(TOPOLOGY, nodes, pods, 7)
    assert (parsed, sorted(second.pods)) == (["c"], ["d/a", "d/b", "d/c"])
    assert second == cluster_state(TOPOLOGY, nodes, pods, 7)
    parsed.clear()
    gone = pods.pop(0)
    assert sorted(reader.read(TOPOLOGY, nodes, pods, 8).pods) == ["d/b", "d/c"]
    reader.read(TOPOLOGY, nodes, [*pods, gone], 9)
    assert parsed == ["a"]


def test_a_change_that_concerns_no_flow_gives_the_same_value() -> None:
    """A pod whose conditions changed is the very same value; one whose address changed is not."""
    reader = StateReader()
    nodes, pods = [_node("n1", 1)], [_pod("a", "10.244.1.2"), _pod("b", "10.244.1.3")]
    before = reader.read(TOPOLOGY, nodes, pods, 5)
    after = reader.read(
        copy.deepcopy(TOPOLOGY),
        copy.deepcopy(nodes),
        [_pod("a", "10.244.1.2", phase="Running"), _pod("b", "10.244.1.9")],
        6,
    )
    assert after.pods["d/a"] is before.pods["d/a"]
    assert after.pods["d/b"] != before.pods["d/b"]
    assert (after.nodes["n1"] is before.nodes["n1"], after.network is before.network) == (True, True)


def test_a_pod_created_anew_under_its_name_is_looked_at(parsed: list[str]) -> None:
    """Two objects of one name, the old one on its way out: each has its own uid."""
    reader = StateReader()
    old, new = _pod("a", "10.244.1.2"), _pod("a", "10.244.1.3")
    new["metadata"]["uid"] = "other"
    reader.read(TOPOLOGY, [_node("n1", 1)], [old], 5)
    state = reader.read(TOPOLOGY, [_node("n1", 1)], [new], 6)
    assert str(state.pods["d/a"].address) == "10.244.1.3"
