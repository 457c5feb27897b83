"""ReplicaSets and Deployments on the store: pods are made, taken, released and replaced; sets follow a rollout."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import DEPLOYMENT, EVENT, POD, REPLICA_SET, Kind
from controller.api.status import Object, StatusError
from controller.api.store import Store
from controller.workloads.manager import Workloads
from controller.workloads.namespaces import ensure_defaults

Scenario = Callable[[Objects], Awaitable[None]]


def run(scenario: Scenario, prepare: Callable[[Objects], None] = lambda objects: None) -> None:
    """Run a scenario with the controllers on an empty store."""

    async def main() -> None:
        objects = Objects(Store())
        ensure_defaults(objects)
        prepare(objects)
        workloads = Workloads(objects)
        await scenario(objects)
        workloads.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def until(holds: Callable[[], bool], what: str) -> None:
    """Let the event loop run until a fact is true; 5 s."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.001)


def workload(replicas: int = 2, image: str = "i", **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    base = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"metadata": {"name": "web"}, "spec": base | spec}


def pods(objects: Objects, **labels: str) -> list[Object]:
    wanted = labels.items()
    every = [stored.object for stored in objects.store.select(POD.key)]
    return [pod for pod in every if wanted <= (pod["metadata"].get("labels") or {}).items()]


def status_of(objects: Objects, kind: Kind, name: str = "web") -> Object:
    found: Object = objects.get(kind, "default", name).object.get("status") or {}
    return {key: value for key, value in found.items() if key != "conditions"}


def set_status(objects: Objects, pod: Object, phase: str = "Running", ready: bool = True) -> None:
    stored = objects.get(POD, "default", pod["metadata"]["name"])
    new = stored.copy()
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    new["status"] |= {"phase": phase, "conditions": [condition]}
    objects.update(POD, stored, new, subresource="status")


def change(objects: Objects, kind: Kind, name: str, edit: Callable[[Object], None]) -> None:
    stored = objects.get(kind, "default", name)
    new = stored.copy()
    edit(new)
    objects.update(kind, stored, new)


def set_image(objects: Objects, image: str) -> None:
    change(objects, DEPLOYMENT, "web", lambda obj: _container(obj).update(image=image))


def _container(deployment: Object) -> Object:
    found: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def events(objects: Objects) -> list[tuple[str, str, str]]:
    every = [stored.object for stored in objects.store.select(EVENT.key)]
    return [(event["involvedObject"]["kind"], event["reason"], event["message"]) for event in every]


def bare_pod(name: str, **labels: str) -> Object:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def test_a_set_makes_and_counts_its_pods() -> None:
    """Pods are made with the set's name and labels; the status counts all and ready ones."""

    async def scenario(objects: Objects) -> None:
        objects.create(REPLICA_SET, "default", workload(2))
        await until(lambda: status_of(objects, REPLICA_SET).get("replicas") == 2, "no pods")
        assert all(pod["metadata"]["name"].startswith("web-") for pod in pods(objects, app="web"))
        wanted = {"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}
        assert status_of(objects, REPLICA_SET) == wanted
        set_status(objects, pods(objects)[0])
        await until(lambda: status_of(objects, REPLICA_SET).get("readyReplicas") == 1, "not ready")
        assert status_of(objects, REPLICA_SET) == wanted | {"readyReplicas": 1, "availableReplicas": 1}
        names = sorted(pod["metadata"]["name"] for pod in pods(objects))
        told = sorted(events(objects))
        assert told == [("ReplicaSet", "SuccessfulCreate", f"Created pod: {name}") for name in names]

    run(scenario)


def test_pods_that_ended_are_replaced() -> None:
    """A failed or evicted pod stays, and another takes its place."""

    async def scenario(objects: Objects) -> None:
        objects.create(REPLICA_SET, "default", workload(1))
        await until(lambda: len(pods(objects)) == 1, "no pod")
        set_status(objects, pods(objects)[0], "Failed", ready=False)
        await until(lambda: len(pods(objects)) == 2, "not replaced")
        await until(lambda: status_of(objects, REPLICA_SET)["replicas"] == 1, "counted")

    run(scenario)


def test_matching_orphans_are_adopted_and_others_released() -> None:
    """A set takes a pod that matches instead of making one, gives up one whose labels change, and makes another."""

    async def scenario(objects: Objects) -> None:
        objects.create(POD, "default", bare_pod("orphan", app="web"))
        objects.create(POD, "default", bare_pod("stranger", app="other"))
        created = objects.create(REPLICA_SET, "default", workload(2)).object
        await until(lambda: len(pods(objects, app="web")) == 2, "no pods")
        (owner,) = objects.get(POD, "default", "orphan").object["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (created["metadata"]["uid"], True)
        assert "ownerReferences" not in objects.get(POD, "default", "stranger").object["metadata"]
        change(objects, POD, "orphan", lambda pod: pod["metadata"]["labels"].update(app="free"))
        await until(lambda: len(pods(objects, app="web")) == 2, "not replaced")
        assert "ownerReferences" not in objects.get(POD, "default", "orphan").object["metadata"]
        change(objects, POD, "orphan", lambda pod: pod["metadata"]["labels"].update(app="web"))
        await until(lambda: len(pods(objects, app="web")) == 2, "too many are not deleted")

    run(scenario)


def test_pods_that_cannot_be_made_are_told() -> None:
    """A refusal becomes the event FailedCreate and the condition ReplicaFailure, and the Deployment has it too."""

    def full(kind: Kind, obj: Object) -> None:
        if kind is POD:
            raise StatusError(403, "Forbidden", "exceeded quota")

    async def scenario(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(2))
        await until(lambda: bool(objects.get(DEPLOYMENT, "default", "web").object["status"].get("conditions")), "none")

        def failure() -> Object | None:
            found = objects.get(DEPLOYMENT, "default", "web").object["status"]["conditions"]
            return next((entry for entry in found if entry["type"] == "ReplicaFailure"), None)

        await until(lambda: failure() is not None, "no condition")
        told = failure()
        assert told is not None
        assert (told["status"], told["reason"], told["message"]) == ("True", "FailedCreate", "exceeded quota")
        assert ("ReplicaSet", "FailedCreate", "Error creating: exceeded quota") in events(objects)
        objects.prepare.clear()
        await until(lambda: failure() is None and len(pods(objects)) == 2, "not tried again")

    run(scenario, lambda objects: objects.prepare.append(full))


def test_min_ready_seconds_delay_availability() -> None:
    """A ready pod is available only minReadySeconds later, and then without any change of it."""

    async def scenario(objects: Objects) -> None:
        objects.create(REPLICA_SET, "default", workload(1, minReadySeconds=1))
        await until(lambda: len(pods(objects)) == 1, "no pod")
        stored = objects.get(POD, "default", pods(objects)[0]["metadata"]["name"])
        new = stored.copy()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        new["status"] |= {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]}
        objects.update(POD, stored, new, subresource="status")
        await until(lambda: status_of(objects, REPLICA_SET).get("readyReplicas") == 1, "not ready")
        assert "availableReplicas" not in status_of(objects, REPLICA_SET)
        await until(lambda: status_of(objects, REPLICA_SET).get("availableReplicas") == 1, "never available")

    run(scenario)


async def ready_all(objects: Objects) -> None:
    """Play the agents: what is there becomes ready, one after the other."""
    for pod in pods(objects):
        if pod["status"]["phase"] == "Pending" and objects.store.get(POD.key, "default", pod["metadata"]["name"]):
            set_status(objects, pod)
            await asyncio.sleep(0)


def test_a_rolling_update_keeps_its_promises() -> None:
    """With maxSurge 1 and maxUnavailable 1 there are never more than 5 pods nor fewer than 3 ready ones of 4."""

    async def scenario(objects: Objects) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
        objects.create(DEPLOYMENT, "default", workload(4, strategy=strategy))

        seen: list[tuple[int, int]] = []

        async def settle(image: str) -> None:
            deadline = time.monotonic() + 30
            images: list[str] = []
            while images != [image] * 4 or status_of(objects, DEPLOYMENT).get("availableReplicas") != 4:
                assert time.monotonic() < deadline
                await ready_all(objects)
                await asyncio.sleep(0.001)
                every = pods(objects)
                images = [pod["spec"]["containers"][0]["image"] for pod in every]
                seen.append((len(every), sum("conditions" in pod["status"] for pod in every)))

        await settle("i")
        seen.clear()
        set_image(objects, "j")
        await settle("j")
        assert max(count for count, _ in seen) <= 5
        assert min(ready for _, ready in seen) >= 3
        assert sorted(sets(objects).values()) == ["i", "j"]

    run(scenario)


def test_recreate_waits_for_the_last_old_pod() -> None:
    """With strategy Recreate no new pod is made while an old one still ends."""

    async def scenario(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(1, strategy={"type": "Recreate"}))
        await until(lambda: len(pods(objects)) == 1, "no pod")
        (old,) = pods(objects)
        stored = objects.get(POD, "default", old["metadata"]["name"])
        objects.store.put(POD.key, {**stored.copy(), "spec": {**stored.object["spec"], "nodeName": "n"}})
        set_image(objects, "j")
        await until(lambda: "deletionTimestamp" in pods(objects)[0]["metadata"], "not deleted")
        await asyncio.sleep(0.05)
        assert [pod["metadata"]["name"] for pod in pods(objects)] == [old["metadata"]["name"]]
        objects.delete(POD, "default", old["metadata"]["name"], DeleteOptions(grace_period=0))
        await until(lambda: [p["spec"]["containers"][0]["image"] for p in pods(objects)] == ["j"], "no new pod")

    run(scenario)


def sets(objects: Objects) -> dict[str, str]:
    """Name and image of each set."""
    every = [stored.object for stored in objects.store.select(REPLICA_SET.key)]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["image"] for one in every}


def test_history_is_cut() -> None:
    """Beyond revisionHistoryLimit the oldest revisions' sets go, at once when the limit shrinks."""

    async def scenario(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(0, revisionHistoryLimit=1))
        await until(lambda: sorted(sets(objects).values()) == ["i"], "no set")
        for image, wanted in (("j", ["i", "j"]), ("k", ["j", "k"])):
            set_image(objects, image)
            await until(lambda wanted=wanted: sorted(sets(objects).values()) == wanted, image)  # type: ignore[misc]
        change(objects, DEPLOYMENT, "web", lambda obj: obj["spec"].update(revisionHistoryLimit=0))
        await until(lambda: sorted(sets(objects).values()) == ["k"], "not cut to none")

    run(scenario)


def test_names_do_not_collide() -> None:
    """Where another's set has the name already, the new set gets another hash, and the collision is counted."""

    async def scenario(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(0))
        await until(lambda: len(sets(objects)) == 1, "no set")
        (name,) = sets(objects)
        objects.delete(DEPLOYMENT, "default", "web", DeleteOptions())
        objects.delete(REPLICA_SET, "default", name, DeleteOptions())
        taken = workload(0, selector={"matchLabels": {"app": "theirs"}})
        taken["metadata"]["name"] = name
        taken["spec"]["template"]["metadata"]["labels"] = {"app": "theirs"}
        objects.create(REPLICA_SET, "default", taken)
        objects.create(DEPLOYMENT, "default", workload(0))
        await until(lambda: len(sets(objects)) == 2, "no set")
        await until(lambda: status_of(objects, DEPLOYMENT).get("collisionCount") == 1, "not counted")

    run(scenario)


def test_work_goes_on_after_a_restart() -> None:
    """Controllers that start on a store with objects make no new sets or pods for what is there."""

    async def scenario(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(3))
        await until(lambda: len(pods(objects)) == 3, "no pods")
        names = {pod["metadata"]["name"] for pod in pods(objects)}
        again = Workloads(objects)
        await asyncio.sleep(0.02)
        assert {pod["metadata"]["name"] for pod in pods(objects)} == names
        assert len(sets(objects)) == 1
        again.close()

    run(scenario)


def test_objects_of_a_downtime_are_seen() -> None:
    """A Deployment that was made while no controller ran gets its pods."""

    async def scenario(objects: Objects) -> None:
        await until(lambda: len(pods(objects)) == 2, "no pods")

    def prepare(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(2))

    run(scenario, prepare)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 6)),
        st.tuples(st.just("image"), st.sampled_from("ijk")),
        st.tuples(st.sampled_from(["ready", "fail", "remove", "pause", "resume"]), st.integers(0, 5)),
    ),
    max_size=12,
)


def apply_step(objects: Objects, step: tuple[str, Any]) -> None:
    """What users and agents do."""
    word, value = step
    every = pods(objects)
    if word == "scale":
        change(objects, DEPLOYMENT, "web", lambda obj: obj["spec"].update(replicas=value))
    elif word == "image":
        set_image(objects, value)
    elif word in ("pause", "resume"):
        change(objects, DEPLOYMENT, "web", lambda obj: obj["spec"].update(paused=word == "pause"))
    elif every and word == "remove":
        objects.delete(POD, "default", every[value % len(every)]["metadata"]["name"], DeleteOptions(grace_period=0))
    elif every:
        pod = every[value % len(every)]
        set_status(objects, pod, "Failed" if word == "fail" else "Running", word == "ready")


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(steps, st.sampled_from(["RollingUpdate", "Recreate"]))
def test_any_history_converges(history: list[tuple[str, Any]], strategy: str) -> None:
    """Whatever users and agents did before: once pods get ready, exactly the wanted pods of the last template run."""

    async def scenario(objects: Objects) -> None:
        objects.create(DEPLOYMENT, "default", workload(3, strategy={"type": strategy}))
        for step in history:
            apply_step(objects, step)
            await asyncio.sleep(0.001)
        apply_step(objects, ("resume", 0))
        spec = objects.get(DEPLOYMENT, "default", "web").object["spec"]
        wanted = [_container({"spec": spec})["image"]] * spec["replicas"]

        def alive() -> list[str]:
            every = [pod for pod in pods(objects) if pod["status"]["phase"] != "Failed"]
            return [pod["spec"]["containers"][0]["image"] for pod in every]

        def told() -> list[int]:
            status = status_of(objects, DEPLOYMENT)
            return [status.get(f"{word}Replicas", 0) for word in ("available", "unavailable")]

        deadline = time.monotonic() + 30
        while alive() != wanted or told() != [len(wanted), 0]:
            assert time.monotonic() < deadline, (alive(), status_of(objects, DEPLOYMENT))
            await ready_all(objects)
            await asyncio.sleep(0.001)

    run(scenario)


def test_a_thousand_replicas_cost_little() -> None:
    """1,000 pods are made and get ready one by one in a few seconds of CPU, with a handful of events."""

    async def scenario(objects: Objects) -> None:
        began = time.process_time()
        objects.create(DEPLOYMENT, "default", workload(1000))
        while len(pods(objects)) < 1000:
            await asyncio.sleep(0.01)
        for pod in pods(objects):
            set_status(objects, pod)
            await asyncio.sleep(0)
        while status_of(objects, DEPLOYMENT).get("availableReplicas") != 1000:
            await asyncio.sleep(0.01)
        assert time.process_time() - began < 4.0
        assert len(events(objects)) < 30

    run(scenario)
