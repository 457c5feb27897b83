"""A Deployment's conditions: Available, Progressing with its deadline, paused, failures."""

from dataclasses import replace

from controller.workloads import conditions
from controller.workloads.conditions import Condition
from controller.workloads.rollout import Plan, SetState
from controller.workloads.rolloutstatus import Status, counted, failed, paused, progressed, read, write

WANTED = Plan(4, True, 1, 1)
T0, T1, T9 = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:01:41Z"
SUBJECT = 'ReplicaSet "new"'


def sets(new: int, available: int, old: int) -> tuple[SetState, list[SetState]]:
    return SetState("new", T0, new, new, available, available), [SetState("old", T0, old, old, old, old)]


def texts(status: Status) -> dict[str, tuple[str, str, str]]:
    return {one.type: (one.status, one.reason, one.message) for one in status.conditions}


def test_a_rollout_from_start_to_end() -> None:
    """Counts and conditions follow a rollout; its end has upstream's words, and nothing is left to wait for."""
    new, old = sets(1, 0, 4)
    begun = counted(Status(), WANTED, new, old, 2, T0)
    assert replace(begun, conditions=()) == Status(2, 5, 1, 4, 4, 1)
    assert texts(begun)["Available"] == (
        "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
    )  # fmt: skip
    going, again = progressed(Status(), begun, WANTED, 100, SUBJECT, T0)
    assert texts(going)["Progressing"] == ("True", "ReplicaSetUpdated", f"{SUBJECT} is progressing.")
    assert again == 1767225600.0 + 101
    new, old = sets(4, 4, 0)
    done, again = progressed(going, counted(going, WANTED, new, old, 2, T1), WANTED, 100, SUBJECT, T1)
    assert texts(done)["Progressing"] == (
        "True", "NewReplicaSetAvailable", f"{SUBJECT} has successfully progressed.",
    )  # fmt: skip
    assert again is None
    assert conditions.find(done.conditions, "Progressing") == Condition(
        "Progressing", "True", "NewReplicaSetAvailable", f"{SUBJECT} has successfully progressed.", T1, T0
    )


def test_too_few_available_pods() -> None:
    """Fewer than replicas less maxUnavailable: Available is False."""
    new, old = sets(2, 1, 1)
    status = counted(Status(), WANTED, new, old, 1, T0)
    why = "Deployment does not have minimum availability."
    assert texts(status)["Available"] == ("False", "MinimumReplicasUnavailable", why)


def test_the_progress_deadline() -> None:
    """Without progress for longer than the deadline Progressing is False; progress later makes it True again."""
    new, old = sets(1, 0, 4)
    begun = counted(Status(), WANTED, new, old, 1, T0)
    going, _ = progressed(Status(), begun, WANTED, 100, SUBJECT, T0)
    same, again = progressed(going, counted(going, WANTED, new, old, 1, T1), WANTED, 100, SUBJECT, T1)
    assert (same, again) == (going, 1767225600.0 + 101)
    late, again = progressed(going, counted(going, WANTED, new, old, 1, T9), WANTED, 100, SUBJECT, T9)
    assert texts(late)["Progressing"] == ("False", "ProgressDeadlineExceeded", f"{SUBJECT} has timed out progressing.")
    assert again is None
    new, old = sets(1, 1, 4)
    after, _ = progressed(late, counted(late, WANTED, new, old, 1, T9), WANTED, 100, SUBJECT, T9)
    assert texts(after)["Progressing"][:2] == ("True", "ReplicaSetUpdated")
    without, _ = progressed(late, counted(late, WANTED, new, old, 1, T9), WANTED, None, SUBJECT, T9)
    assert "Progressing" not in texts(without)


def test_paused_and_resumed() -> None:
    """Pausing makes Progressing Unknown so that no deadline passes; a missed deadline stays said."""
    known = paused((), True, 600, T0)
    assert [(one.status, one.reason) for one in known] == [("Unknown", "DeploymentPaused")]
    assert paused(known, True, 600, T1) == known
    assert [one.reason for one in paused(known, False, 600, T1)] == ["DeploymentResumed"]
    missed = conditions.put((), "Progressing", "False", "ProgressDeadlineExceeded", "", T0)
    assert paused(missed, True, 600, T1) == missed
    assert paused((), True, None, T0) == ()


def test_a_sets_failure_is_the_deployments() -> None:
    """ReplicaFailure is taken over from a set, and goes with it."""
    failure = Condition("ReplicaFailure", "True", "FailedCreate", "no", T0, T0)
    status = failed(Status(), failure, T1)
    assert texts(status) == {"ReplicaFailure": ("True", "FailedCreate", "no")}
    assert failed(status, None, T1) == Status()


def test_wire_form() -> None:
    """Zeros are left out on the wire; what is read is what was written."""
    new, old = sets(1, 0, 3)
    status = counted(Status(collisions=2), WANTED, new, old, 7, T0)
    assert read(write(status)) == status
    assert write(Status(observed_generation=1)) == {"observedGeneration": 1}
