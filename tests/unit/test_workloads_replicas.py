"""ReplicaSet decisions: which pods go first, what the status counts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.workloads.podstate import PodState, pod_state
from controller.workloads.replicas import Replicas, count, victims

NOW = 1_000_000.0


def pod(name: str, **facts: object) -> PodState:
    base = PodState(name, name, NOW - 1000, {"app": "x"}, "n1", "Running", ready=True, ready_since=NOW - 900)
    return replace(base, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ({"node": ""}, {"phase": "Pending", "ready": False}),
        ({"phase": "Pending", "ready": False}, {"phase": "Unknown", "ready": False}),
        ({"phase": "Unknown", "cost": 5}, {"ready": False}),
        ({"ready": False, "cost": 5}, {"cost": -5}),
        ({"cost": -1, "node": "n2"}, {}),
        ({}, {"node": "n2", "ready_since": NOW - 1}),
        ({"ready_since": NOW - 3}, {"restarts": 9}),
        ({"restarts": 2}, {"created": NOW - 2}),
        ({"created": NOW - 2}, {"created": NOW - 900}),
    ],
)
def test_deletion_order(first: dict[str, object], other: dict[str, object]) -> None:
    """Each rule decides before those after it: node, phase, readiness, cost, neighbours, age of readiness, restarts."""
    one, two = pod("z", **first), pod("a", **other)
    crowd = [pod("c", node="n1"), pod("d", node="n1"), one, two]
    assert [entry.name for entry in victims([two, one], 1, crowd, NOW)] == ["z"]


def test_doubled_up_nodes_lose_first() -> None:
    """Of ready pods those on the node with most pods of the same Deployment go."""
    pods = [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")]
    assert victims(pods, 1, pods, NOW)[0].node == "n2"


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["", "n1", "n2"]), st.booleans()), max_size=12),
    st.integers(0, 15),
)
def test_ready_pods_are_never_deleted_for_unready_ones(facts: list[tuple[bool, str, bool]], surplus: int) -> None:
    """As many go as are too many, and no assigned ready pod before one that is neither."""
    phases = {True: "Running", False: "Pending"}
    pods = [
        pod(f"p{i}", ready=ready and running, node=node, phase=phases[running])
        for i, (ready, node, running) in enumerate(facts)
    ]
    gone = victims(pods, surplus, pods, NOW)
    assert len(gone) == min(surplus, len(pods))
    left = [entry for entry in pods if entry not in gone]
    if any(entry.ready and entry.node for entry in gone):
        assert all(entry.ready and entry.node for entry in left)


def test_status_counts() -> None:
    """Ended and terminating pods do not count; labels, readiness and minReadySeconds do."""
    pods = [
        pod("a"),
        pod("b", ready=False),
        pod("c", labels={}),
        pod("d", ready_since=NOW - 4),
        pod("e", phase="Failed"),
        pod("f", phase="Succeeded"),
        pod("g", terminating=True),
    ]
    assert count(pods, {"app": "x"}, 10, NOW) == Replicas(4, 3, 3, 2, NOW + 6)
    assert count(pods, {"app": "x"}, 0, NOW) == Replicas(4, 3, 3, 3, None)


def test_facts_of_a_pod() -> None:
    """Readiness, its time, restarts and deletion cost come from the pod object; a cost that is no number is 0."""
    wire = {
        "metadata": {
            "name": "a", "uid": "u", "creationTimestamp": "1970-01-01T00:00:10Z", "labels": {"k": "v"},
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-7"}, "deletionTimestamp": "x",
        },
        "spec": {"nodeName": "n"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:20Z"}],
            "containerStatuses": [{"restartCount": 3}, {"restartCount": 1}],
        },
    }  # fmt: skip
    wanted = PodState("a", "u", 10.0, {"k": "v"}, "n", "Running", True, True, 20.0, 3, -7, target="n")
    assert pod_state(wire) == wanted
    wire["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": "much"}  # type: ignore[index]
    assert pod_state(wire).cost == 0
