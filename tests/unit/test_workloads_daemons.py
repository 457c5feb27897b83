"""DaemonSets: one pod per node, and updates that leave enough of them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.workloads.daemons import HASH_LABEL, Counts, Decision, Fit, Update, count, decide
from controller.workloads.daemonsets import for_node, with_tolerations
from controller.workloads.podstate import PodState, pod_state
from controller.workloads.scheduler import daemon_fit

RUNS, STAYS, NONE = Fit(True, True), Fit(False, True), Fit(False, False)
NEW = Update("new")


def pod(name: str, node: str, **facts: object) -> PodState:
    base = PodState(name, name, 0.0, {HASH_LABEL: "new"}, node, "Running", ready=True, ready_since=0.0, target=node)
    return replace(base, **facts)  # type: ignore[arg-type]


def old(name: str, node: str, **facts: object) -> PodState:
    return pod(name, node, labels={HASH_LABEL: "old"}, **facts)


def test_one_pod_on_each_node_that_takes_it() -> None:
    """Missing ones are made, pods on unfit or unknown nodes and doubles go; what may stay stays."""
    fits = {"a": RUNS, "b": RUNS, "c": STAYS, "d": NONE}
    pods = [pod("b1", "b"), pod("b2", "b", created=9.0), pod("c1", "c"), pod("d1", "d"), pod("x1", "gone")]
    decision = decide(fits, pods, NEW, 10.0)
    assert decision.create == ("a",)
    assert [entry.name for entry in decision.delete] == ["b2", "d1", "x1"]


def test_a_pod_that_ends_holds_its_place_and_one_that_ended_is_replaced() -> None:
    """No second pod beside one that is being deleted; a failed one is deleted first."""
    pods = [pod("a1", "a", terminating=True), pod("b1", "b", phase="Failed", ready=False)]
    decision = decide({"a": RUNS, "b": RUNS}, pods, NEW, 10.0)
    assert decision == Decision((), (pods[1],), (pods[1],))


@pytest.mark.parametrize(
    ("update", "gone"),
    [
        (Update("new", unavailable=1), ["a"]),
        (Update("new", unavailable=3), ["a", "b", "c"]),
        (Update("new", unavailable="30%"), ["a", "b"]),
        (Update("new", rolling=False), []),
        (Update("old"), []),
    ],
)
def test_updates_node_by_node(update: Update, gone: list[str]) -> None:
    """So many old pods go at once as may be unavailable (percentages rounded up); with OnDelete none."""
    nodes = ["a", "b", "c", "d"]
    decision = decide(dict.fromkeys(nodes, RUNS), [old(node, node) for node in nodes], update, 10.0)
    assert [entry.name for entry in decision.delete] == gone


def test_unavailable_old_pods_go_at_once() -> None:
    """An old pod that is not available is replaced whatever the limit; it uses up the limit."""
    pods = [old("a", "a"), old("b", "b", ready=False)]
    assert [p.name for p in decide({"a": RUNS, "b": RUNS}, pods, NEW, 10.0).delete] == ["b"]


def test_counts() -> None:
    """The status counts nodes, not pods."""
    fits = {"a": RUNS, "b": RUNS, "c": STAYS, "d": RUNS}
    pods = [pod("a1", "a"), pod("a2", "a"), old("b1", "b", ready_since=8.0), pod("c1", "c")]
    update = replace(NEW, min_ready_seconds=5)
    assert count(fits, pods, update, 10.0) == Counts(3, 2, 1, 2, 1, 1, 13.0)


@pytest.mark.slow
@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 7), st.booleans(), st.booleans(), st.booleans()), max_size=10),
    st.integers(1, 3),
)
def test_every_update_arrives(nodes: int, start: list[tuple[int, bool, bool, bool]], unavailable: int) -> None:
    """From any pods, once the agents do their part, each node has one ready pod of the new template; meanwhile never
    more nodes without one than may be, unless there were."""
    fits = {f"n{index}": RUNS for index in range(nodes)}
    update = Update("new", unavailable=unavailable)
    pods = [
        pod(f"p{i}", f"n{node}", ready=ready, labels={HASH_LABEL: "new" if is_new else "old"}, terminating=ending)
        for i, (node, ready, is_new, ending) in enumerate(start)
    ]
    serial = 0
    for _ in range(40):
        before = count(fits, pods, update, 10.0).available
        decision = decide(fits, pods, update, 10.0)
        gone = {entry.name for entry in decision.delete}
        pods = [replace(entry, terminating=True) if entry.name in gone else entry for entry in pods]
        assert count(fits, pods, update, 10.0).available >= min(before, nodes - unavailable)
        for node in decision.create:
            serial += 1
            pods.append(pod(f"q{serial}", node, ready=False))
        pods = [replace(entry, ready=True) for entry in pods if not entry.terminating]
    assert sorted((entry.target, entry.labels[HASH_LABEL]) for entry in pods) == [
        (node, "new") for node in sorted(fits)
    ]


@pytest.mark.parametrize(
    ("node", "fit"),
    [
        ({}, (True, True)),
        ({"labels": {"disk": "hdd"}}, (False, False)),
        ({"unschedulable": True}, (True, True)),
        ({"taints": [{"key": "k", "effect": "NoSchedule"}]}, (False, True)),
        ({"taints": [{"key": "k", "effect": "NoExecute"}]}, (False, False)),
        ({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}, (True, True)),
        ({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}, (True, True)),
    ],
)
def test_which_nodes_take_daemons(node: dict[str, Any], fit: tuple[bool, bool]) -> None:
    """nodeSelector and taints decide; daemons tolerate what a node's own state brings."""
    labels = node.pop("labels", {"disk": "ssd"})
    obj = {"metadata": {"name": "n", "labels": labels}, "spec": node, "status": {}}
    template = with_tolerations({"spec": {"nodeSelector": {"disk": "ssd"}, "containers": []}})
    assert daemon_fit(template["spec"], obj) == fit


def test_a_daemons_pod_is_pinned_to_its_node() -> None:
    """Its affinity names the node, so that the scheduler binds it there, and the controller knows whose it is."""
    pinned = for_node({"metadata": {}, "spec": {"containers": []}}, "n7")
    made = {"metadata": {"name": "p", "uid": "u"}, "spec": pinned["spec"], "status": {}}
    assert pod_state(made).target == "n7"
