"""The scheduler: which node a pod gets, and why it gets none."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.workloads.scheduler import Binding, Decision, Unschedulable, schedule

READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def node(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, **(labels or {})}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": READY}


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "d", "name": name, "labels": labels or {}}, "spec": {"containers": [], **spec}}


def where(decision: Decision) -> dict[str, str]:
    return {binding.name: binding.node for binding in decision.bindings}


def test_fewest_pods_first() -> None:
    """Pods go to the node with the fewest, ties by name."""
    placed = [pod("old", nodeName="n1")]
    decision = schedule([pod("a"), pod("b"), pod("c")], placed, [node("n3"), node("n1"), node("n2")])
    assert decision == Decision((Binding("d", "a", "n2"), Binding("d", "b", "n3"), Binding("d", "c", "n1")))


@pytest.mark.parametrize(
    ("nodes", "spec", "message"),
    [
        ([], {}, "no nodes available to schedule pods"),
        ([node("n")], {"nodeSelector": {"a": "b"}}, "1 node(s) didn't match Pod's node affinity/selector"),
        ([node("n", unschedulable=True)], {}, "1 node(s) were unschedulable"),
        (
            [node("n", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])],
            {"tolerations": [{"key": "k", "value": "w"}]},
            "1 node(s) had untolerated taint {k: v}",
        ),
        ([{**node("n"), "status": {}}], {}, "1 node(s) were not ready"),
    ],
)
def test_reasons(nodes: list[Any], spec: dict[str, Any], message: str) -> None:
    """Why no node takes a pod is said in the scheduler's words."""
    total = "" if not nodes else "0/1 nodes are available: "
    end = "." if nodes else ""
    assert schedule([pod("a", **spec)], [], nodes).failures == (Unschedulable("d", "a", total + message + end),)


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "x"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], tolerated: bool) -> None:
    """A toleration covers a taint by key, value and effect."""
    tainted = node("n", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])
    assert bool(schedule([pod("a", tolerations=[toleration])], [], [tainted]).bindings) is tolerated


def test_node_affinity_terms_are_alternatives() -> None:
    """Required node affinity: one of the terms must hold entirely."""
    terms = [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec = {"affinity": {"nodeAffinity": required}}
    nodes = [node("n0", {"zone": "a"}), node("n1", {"zone": "a"}), node("n2", {"zone": "b"})]
    decision = schedule([pod("a", **spec), pod("b", **spec), pod("c", **spec)], [], nodes)
    assert where(decision) == {"a": "n1", "b": "n2", "c": "n1"}


def _apart(key: str) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "x"}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_pod_anti_affinity() -> None:
    """Pods that repel each other are never in one domain, whichever of the two has the term."""
    nodes = [node("n1"), node("n2")]
    spec = {"affinity": _apart("kubernetes.io/hostname")}
    pods = [pod("a", {"app": "x"}, **spec), pod("b", {"app": "x"}), pod("c", {"app": "x"}, **spec)]
    decision = schedule(pods, [], nodes)
    assert where(decision) == {"a": "n1", "b": "n2"}
    assert decision.failures[0].message == "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."


def test_topology_spread() -> None:
    """With maxSkew 1 the domains' counts differ by at most one."""
    constraint = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
                  "labelSelector": {"matchLabels": {"app": "x"}}}  # fmt: skip
    nodes = [node("n1", {"zone": "a"}), node("n2", {"zone": "a"}), node("n3", {"zone": "b"})]
    pods = [pod(f"p{i}", {"app": "x"}, topologySpreadConstraints=[constraint]) for i in range(4)]
    assert where(schedule(pods, [], nodes)) == {"p0": "n1", "p1": "n3", "p2": "n2", "p3": "n3"}


def test_unsupported_fields_are_named() -> None:
    """What the scheduler cannot honour is said, not ignored."""
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}
    (failure,) = schedule([pod("a", affinity=affinity)], [], [node("n")]).failures
    assert failure.message.startswith("spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution is not")


def test_host_ports_do_not_collide() -> None:
    """Two pods with one host port get different nodes."""
    containers = [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]
    decision = schedule([pod(n, containers=containers) for n in "abc"], [], [node("n1"), node("n2")])
    assert where(decision) == {"a": "n1", "b": "n2"}
    assert "free ports" in decision.failures[0].message


def test_host_ports_of_different_addresses_share_a_node() -> None:
    """The same number on two addresses fits on one node; on all addresses it does not."""

    def wants(address: str) -> list[dict[str, object]]:
        return [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80, "hostIP": address}]}]

    pods = [pod(n, containers=wants(a)) for n, a in (("a", "172.18.0.1"), ("b", "127.0.0.1"), ("c", "0.0.0.0"))]
    decision = schedule(pods, [], [node("n1")])
    assert where(decision) == {"a": "n1", "b": "n1"}
    assert [failure.name for failure in decision.failures] == ["c"]


@given(st.integers(0, 30), st.integers(1, 6), st.lists(st.integers(0, 5), max_size=20))
def test_every_pod_is_decided_and_balanced(count: int, nodes: int, placed: list[int]) -> None:
    """Each pending pod has one decision; free pods never leave a node two below another that was filled now."""
    there = [pod(f"old{i}", nodeName=f"n{index % nodes}") for i, index in enumerate(placed)]
    decision = schedule([pod(f"p{i}") for i in range(count)], there, [node(f"n{i}") for i in range(nodes)])
    assert sorted(b.name for b in decision.bindings) == sorted(f"p{i}" for i in range(count))
    load = {f"n{i}": 0 for i in range(nodes)}
    for name in [p["spec"]["nodeName"] for p in there] + [b.node for b in decision.bindings]:
        load[name] += 1
    filled = [load[b.node] for b in decision.bindings]
    assert all(full - least <= 1 for full in filled for least in [min(load.values())])


def test_a_thousand_pods_cost_little() -> None:
    """1,000 pods on 20 nodes are decided in far less than a second of CPU."""
    began = time.process_time()
    decision = schedule([pod(f"p{i}") for i in range(1000)], [], [node(f"n{i}") for i in range(20)])
    assert len(decision.bindings) == 1000
    assert time.process_time() - began < 1.0
