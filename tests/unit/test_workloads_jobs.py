"""Jobs: how many pods run, what counts, and when it is over."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import JOB, POD
from controller.api.status import Object
from controller.api.store import Store
from controller.workloads.garbage import Garbage
from controller.workloads.jobplan import Outcome, Plan, Step, Tally, backoff, step
from controller.workloads.manager import Workloads
from controller.workloads.namespaces import ensure_defaults
from controller.workloads.podstate import PodState

COMPLETE = Outcome("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
EXCEEDED = Outcome("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = Outcome("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")


def pod(name: str, phase: str = "Running", **facts: object) -> PodState:
    return replace(PodState(name, name, 0.0, {}, "n", phase, tracked=True), **facts)  # type: ignore[arg-type]


def test_pods_run_side_by_side_up_to_what_is_missing() -> None:
    """parallelism bounds the active pods, completions what is left to do."""
    plan = Plan(parallelism=3, completions=5)
    assert step(plan, Tally(), [], (), 0) == Step(Tally(), create=3)
    done = [pod("a", "Succeeded"), pod("b", "Succeeded"), pod("c", "Succeeded")]
    assert step(plan, Tally(), done, (), 0) == Step(Tally(3), tuple(done), create=2)
    assert step(plan, Tally(3), done, {"a", "b", "c"}, 0).tally == Tally(3)


def test_completion() -> None:
    """With completions reached it is complete; without completions when one succeeded and none runs."""
    assert step(Plan(), Tally(), [pod("a", "Succeeded")], (), 0).outcome == COMPLETE
    queue = Plan(parallelism=2, completions=None)
    running = [pod("a", "Succeeded"), pod("b")]
    assert step(queue, Tally(), running, (), 0) == Step(Tally(1), (running[0],))
    assert step(queue, Tally(1), [pod("b", "Succeeded")], (), 0).outcome == COMPLETE


def test_failures() -> None:
    """More failed pods than backoffLimit end it, a deleted pod counts as failed; the last pods count, too."""
    plan = Plan(parallelism=2, completions=3, backoff_limit=1)
    gone = pod("a", terminating=True)
    assert step(plan, Tally(), [gone], (), 0) == Step(Tally(0, 1), (gone,), 1, create=2)
    failed, running = pod("b", "Failed"), pod("c")
    wanted = Step(Tally(0, 3), (failed, running), 1, (running,), 0, EXCEEDED)
    assert step(plan, Tally(0, 1), [failed, running], (), 0) == wanted
    in_place = replace(plan, restarts_in_place=True)
    assert step(in_place, Tally(), [pod("d", restarts=1)], (), 0).outcome == EXCEEDED
    assert step(replace(plan, deadline=5.0), Tally(), [], (), 5.0).outcome == LATE
    assert step(replace(plan, deadline=5.0), Tally(), [], (), 4.9).outcome is None


def test_suspension_and_surplus() -> None:
    """A suspended Job has no active pods; with less parallelism the least worthy go."""
    pods = [pod("a", ready=True), pod("b", "Pending", node="")]
    assert step(Plan(2, 2, suspended=True), Tally(), pods, (), 0).delete == tuple(pods)
    assert step(Plan(1, 2), Tally(), pods, (), 0).delete == (pods[1],)


def test_replacing_only_what_failed() -> None:
    """With podReplacementPolicy Failed a pod that still ends keeps its place and is not counted."""
    plan = Plan(only_failed_are_replaced=True)
    assert step(plan, Tally(), [pod("a", terminating=True)], (), 0) == Step(Tally())


@pytest.mark.parametrize(("failures", "delay"), [(0, 0.0), (1, 10.0), (2, 20.0), (4, 80.0), (30, 600.0)])
def test_backoff(failures: int, delay: float) -> None:
    """After each failure in a row the wait doubles, from 10 s up to 10 minutes."""
    assert backoff(failures) == delay


@given(
    st.integers(1, 5), st.one_of(st.none(), st.integers(1, 8)), st.integers(0, 4), st.lists(st.booleans(), max_size=60)
)
def test_every_job_ends(parallelism: int, completions: int | None, limit: int, luck: list[bool]) -> None:
    """Whatever fails, never more pods than allowed run, and it ends Complete or over its limit, never both."""
    plan, tally = Plan(parallelism, completions, limit), Tally()
    outcomes = iter([*luck, *[True] * 40])
    pods: list[PodState] = []
    for turn in range(60):
        decided = step(plan, tally, pods, (), 0)
        tally = decided.tally
        counted = {entry.name for entry in decided.counted}
        pods = [replace(entry, tracked=False) if entry.name in counted else entry for entry in pods]
        if decided.outcome is not None:
            assert (decided.outcome == EXCEEDED) == (tally.failed > limit)
            assert decided.outcome == EXCEEDED or tally.succeeded >= (completions or 1)
            return
        pods += [pod(f"p{turn}-{index}") for index in range(decided.create)]
        active = [entry for entry in pods if entry.active]
        assert len(active) <= parallelism
        ending = active[0]
        phase = "Succeeded" if next(outcomes) else "Failed"
        pods = [replace(entry, phase=phase) if entry is ending else entry for entry in pods]
    raise AssertionError("the Job never ended")


def run(scenario: Callable[[Objects], Awaitable[None]]) -> None:
    async def main() -> None:
        objects = Objects(Store())
        ensure_defaults(objects)
        cycles = (Garbage(objects), Workloads(objects))
        await scenario(objects)
        for cycle in cycles:
            cycle.close()

    asyncio.run(asyncio.wait_for(main(), 20))


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def job(**spec: Any) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    return {"metadata": {"name": "once"}, "spec": {"template": template, **spec}}


def pods_of(objects: Objects) -> list[Object]:
    return [stored.object for stored in objects.store.select(POD.key)]


def end(objects: Objects, pod: Object, phase: str) -> None:
    stored = objects.get(POD, "default", pod["metadata"]["name"])
    new = stored.copy()
    new["status"]["phase"] = phase
    objects.update(POD, stored, new, subresource="status")


def status(objects: Objects) -> Object:
    found: Object = objects.get(JOB, "default", "once").object["status"]
    return found


def test_a_job_on_the_store() -> None:
    """Its pods carry its labels, each is counted once and kept, and the status ends with Complete."""

    async def scenario(objects: Objects) -> None:
        created = objects.create(JOB, "default", job(completions=2)).object
        uid = created["metadata"]["uid"]
        await until(lambda: len(pods_of(objects)) == 1)
        (first,) = pods_of(objects)
        assert first["metadata"]["labels"] == {
            "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid,
            "job-name": "once", "batch.kubernetes.io/job-name": "once",
        }  # fmt: skip
        assert first["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
        end(objects, first, "Succeeded")
        await until(lambda: len(pods_of(objects)) == 2)
        assert "finalizers" not in objects.get(POD, "default", first["metadata"]["name"]).object["metadata"]
        # A pod that was counted may go: the count stays.
        objects.delete(POD, "default", first["metadata"]["name"], DeleteOptions(grace_period=0))
        end(objects, pods_of(objects)[0], "Succeeded")
        await until(lambda: "completionTime" in status(objects))
        conditions = [(one["type"], one["status"]) for one in status(objects)["conditions"]]
        assert conditions == [("SuccessCriteriaMet", "True"), ("Complete", "True")]
        counts = {key: status(objects).get(key) for key in ("active", "ready", "succeeded", "failed")}
        assert counts == {"active": None, "ready": 0, "succeeded": 2, "failed": None}

    run(scenario)


def test_a_failed_job_and_its_end_by_time() -> None:
    """Beyond backoffLimit it has failed; ttlSecondsAfterFinished deletes it with its pods."""

    async def scenario(objects: Objects) -> None:
        objects.create(JOB, "default", job(backoffLimit=0, ttlSecondsAfterFinished=0))
        await until(lambda: len(pods_of(objects)) == 1)
        end(objects, pods_of(objects)[0], "Failed")
        await until(lambda: objects.store.get(JOB.key, "default", "once") is None)
        await until(lambda: pods_of(objects) == [])

    run(scenario)


def test_deleting_a_job_frees_its_pods() -> None:
    """Pods of a deleted Job go although nobody will count them any more."""

    async def scenario(objects: Objects) -> None:
        objects.create(JOB, "default", job(parallelism=3, completions=3))
        await until(lambda: len(pods_of(objects)) == 3)
        objects.delete(JOB, "default", "once", DeleteOptions())
        await until(lambda: pods_of(objects) == [])

    run(scenario)


def test_suspending_a_job() -> None:
    """Suspended it has no pods and no failures; resumed it goes on."""

    async def scenario(objects: Objects) -> None:
        objects.create(JOB, "default", job(backoffLimit=0))
        await until(lambda: len(pods_of(objects)) == 1)

        def suspend(value: bool) -> None:
            stored = objects.get(JOB, "default", "once")
            new = stored.copy()
            new["spec"]["suspend"] = value
            objects.update(JOB, stored, new)

        suspend(True)
        await until(lambda: pods_of(objects) == [])
        assert status(objects)["conditions"][0]["reason"] == "JobSuspended"
        suspend(False)
        await until(lambda: len(pods_of(objects)) == 1)
        assert "failed" not in status(objects)
        assert [(one["type"], one["status"]) for one in status(objects)["conditions"]] == [("Suspended", "False")]

    run(scenario)
