"""StatefulSets: pods come and go one after the other, and an update goes from the last ordinal down."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.workloads.daemons import HASH_LABEL
from controller.workloads.ordinals import Counts, Create, Decision, Plan, count, decide, ordinal_of
from controller.workloads.podstate import PodState

PLAN = Plan("db", 3, current="new", update="new")


def pod(ordinal: int, digest: str = "new", **facts: object) -> PodState:
    name = f"db-{ordinal}"
    base = PodState(name, name, 0.0, {HASH_LABEL: digest}, "n", "Running", ready=True, ready_since=0.0)
    return replace(base, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [("db-0", 0), ("db-12", 12), ("db-01", None), ("db-x", None), ("db", None), ("other-db-1", None)],
)
def test_ordinals(name: str, ordinal: int | None) -> None:
    """A pod's ordinal is the number after the set's name."""
    assert ordinal_of("db", name) == ordinal


def test_one_after_the_other() -> None:
    """The next pod is made when those before it are ready; an ended one is removed first, so that its name is free."""
    assert decide(PLAN, [], 1.0) == Decision((Create(0, "new"),))
    assert decide(PLAN, [pod(0, ready=False)], 1.0) == Decision()
    assert decide(PLAN, [pod(0)], 1.0) == Decision((Create(1, "new"),))
    ended = pod(1, phase="Failed", ready=False)
    assert decide(PLAN, [pod(0), ended, pod(2)], 1.0) == Decision((), (ended,))
    assert decide(PLAN, [pod(0), replace(ended, terminating=True), pod(2)], 1.0) == Decision()


def test_scaling_down_from_the_end() -> None:
    """Superfluous pods go one by one, the last first, and only when the others are ready."""
    pods = [pod(number) for number in range(5)]
    assert decide(PLAN, pods, 1.0).delete == (pods[4],)
    assert decide(PLAN, [*pods[:4], replace(pods[4], terminating=True)], 1.0) == Decision()
    assert decide(PLAN, [pod(0, ready=False), *pods[1:]], 1.0) == Decision()


def test_parallel() -> None:
    """With Parallel all missing pods are made and all superfluous ones go at once."""
    plan = replace(PLAN, ordered=False)
    pods = [pod(1, ready=False), pod(5), pod(6)]
    assert decide(plan, pods, 1.0) == Decision((Create(0, "new"), Create(2, "new")), (pods[2], pods[1]))


def test_updates_from_the_last_ordinal_to_the_partition() -> None:
    """Outdated pods are replaced downwards, each after the one above is available; below the partition they stay."""
    plan = Plan("db", 3, partition=1, current="old", update="new")
    pods = [pod(0, "old"), pod(1, "old"), pod(2, "old")]
    assert decide(plan, pods, 1.0).delete == (pods[2],)
    assert decide(plan, pods[:2], 1.0).create == (Create(2, "new"),)
    assert decide(replace(plan, ordered=False), [*pods[:2], pod(2, ready=False)], 1.0) == Decision()
    assert decide(plan, [*pods[:2], pod(2)], 1.0).delete == (pods[1],)
    assert decide(plan, [pods[0], pod(1), pod(2)], 1.0) == Decision()
    assert decide(plan, [pod(1), pod(2)], 1.0).create == (Create(0, "old"),)
    assert decide(replace(plan, rolling=False), pods, 1.0) == Decision()


def test_counts() -> None:
    """The present template becomes the current one when all pods have it and are ready."""
    plan = Plan("db", 2, current="old", update="new")
    assert count(plan, [pod(0, "old"), pod(1)], 1.0) == Counts(2, 2, 2, 1, 1)
    assert count(plan, [pod(0), pod(1)], 1.0) == Counts(2, 2, 2, 2, 2, True)
    waiting = replace(plan, min_ready_seconds=5)
    assert count(waiting, [pod(0), pod(1, ready_since=1.0)], 5.5) == Counts(2, 2, 1, 2, 2, True, 6.0)


@given(
    st.integers(0, 5),
    st.integers(0, 3),
    st.booleans(),
    st.dictionaries(st.integers(0, 7), st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=8),
)
def test_every_set_arrives(
    replicas: int, partition: int, ordered: bool, start: dict[int, tuple[bool, bool, bool]]
) -> None:
    """From any pods: at the end exactly the wanted ordinals, new from the partition on; when ordered, never two pods
    at once that end because of it."""
    plan = Plan("db", replicas, ordered=ordered, partition=partition, current="old", update="new")
    pods = {n: pod(n, "new" if new else "old", ready=ready, terminating=end) for n, (new, ready, end) in start.items()}
    for _ in range(60):
        decision = decide(plan, pods.values(), 1.0)
        if ordered:
            assert len(decision.create) + len(decision.delete) <= 1
        gone = {entry.name for entry in decision.delete}
        pods = {n: entry for n, entry in pods.items() if entry.name not in gone and not entry.terminating}
        pods = {n: replace(entry, ready=True, ready_since=0.0) for n, entry in pods.items()}
        for create in decision.create:
            assert create.ordinal not in pods
            pods[create.ordinal] = pod(create.ordinal, create.digest, ready=False)
    assert sorted(pods) == list(range(replicas))
    assert {pods[number].labels[HASH_LABEL] for number in range(partition, replicas)} <= {"new"}
