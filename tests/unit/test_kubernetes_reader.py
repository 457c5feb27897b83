"""The SDN controller's input from wire objects, again and again."""

import copy
from typing import Any

import pytest

from kubinet import kubernetes
from kubinet.kubernetes import StateReader, cluster_state
from kubinet.state import ContainerPort
from kubinet.transport import Protocol

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


def test_ports_with_names_are_known_of_all_containers_that_run_together() -> None:
    """Containers' and sidecars', by protocol; not those of init containers that end, nor ports without a name."""
    pod = _pod("a", "10.244.1.2")
    pod["spec"] |= {
        "containers": [
            {"name": "c", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 1}]},
            {"name": "d", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
        ],
        "initContainers": [
            {"name": "once", "ports": [{"name": "once", "containerPort": 7}]},
            {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 9}]},
        ],
    }
    state = cluster_state(TOPOLOGY, [_node("n1", 1)], [pod], 5)
    assert state.pods["d/a"].named_ports == (
        ContainerPort("web", 8080),
        ContainerPort("dns", 53, Protocol.UDP),
        ContainerPort("proxy", 9),
    )


def test_labels_of_nodes_and_namespaces_are_known() -> None:
    """All of a node's labels, its zone among them; a namespace without labels has none."""
    node = _node("n1", 1)
    node["metadata"]["labels"] = {"disk": "fast", "topology.kubernetes.io/zone": "a"}
    namespaces = [{"metadata": {"name": "d", "labels": {"team": "x"}}}, {"metadata": {"name": "e"}}]
    state = StateReader().read(TOPOLOGY, [node, _node("n2", 2)], [], 5, namespaces)
    assert state.nodes["n1"].labels == {"disk": "fast", "topology.kubernetes.io/zone": "a"}
    assert (state.nodes["n1"].zone, state.nodes["n2"].labels) == ("a", {})
    assert state.namespaces == {"d": {"team": "x"}, "e": {}}


def test_policies_are_known_by_kind_and_an_unchanged_one_is_the_same_value() -> None:
    """One of each kind under its key; what changed outside of the spec gives the very same value."""

    def policies(note: str) -> list[dict[str, Any]]:
        own = {"metadata": {"namespace": "d", "name": "a", "uid": "1", "annotations": {"note": note}}}
        wide = {"metadata": {"name": "a", "uid": "2", "annotations": {"note": note}}}
        return [
            {"kind": "NetworkPolicy", **own, "spec": {"podSelector": {}}},
            {"kind": "AdminNetworkPolicy", **wide, "spec": {"priority": 5, "subject": {"namespaces": {}}}},
        ]

    reader = StateReader()
    first = reader.read(TOPOLOGY, [], [], 5, (), policies("x"))
    assert list(first.policies) == ["NetworkPolicy/d/a", "AdminNetworkPolicy/a"]
    second = reader.read(TOPOLOGY, [], [], 6, (), policies("y"))
    assert second.policies is first.policies
    third = reader.read(TOPOLOGY, [], [], 7, (), policies("y")[:1])
    assert list(third.policies) == ["NetworkPolicy/d/a"]
    assert third.policies["NetworkPolicy/d/a"] is first.policies["NetworkPolicy/d/a"]
