"""What an agent does next for a pod."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.plan import Action, Actual, Do, Plan, Why, plan, restart_delay
from agents.podspec import Pod, pod_from_object
from agents.probes.spec import Exec, Kind, Probe
from agents.probes.state import Health
from kubinet.cri import ContainerPhase, ContainerStatus

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
X = 41
"""The resourceVersion that has the pod's address."""
READY = Actual(published=X, sandbox=True, connected=True)


def pod(*, init: tuple[dict[str, Any], ...] = (), **changes: Any) -> Pod:
    spec = {
        "restartPolicy": changes.pop("policy", "Always"),
        "containers": [{"name": name, "image": "busybox"} for name in changes.pop("containers", ("main",))],
        "initContainers": [{"image": "busybox", **entry} for entry in init],
    }
    metadata = {"uid": "u", "namespace": "default", "name": "p", "resourceVersion": "40"}
    return replace(pod_from_object({"metadata": metadata, "spec": spec}), **changes)


def running(name: str = "main", attempt: int = 0) -> ContainerStatus:
    return ContainerStatus("u", name, attempt, ContainerPhase.RUNNING, 100, NOW, Path("/log"))


def exited(code: int, name: str = "main", attempt: int = 0, ago: float = 0) -> ContainerStatus:
    ended = NOW - timedelta(seconds=ago)
    return replace(running(name, attempt), phase=ContainerPhase.EXITED, exit_code=code, finished_at=ended)


def actual(*containers: ContainerStatus, **changes: Any) -> Actual:
    return replace(READY, containers={status.name: status for status in containers}, **changes)


def do(kind: Do, container: str = "", attempt: int = 0) -> tuple[Action, ...]:
    return (Action(kind, container, attempt),)


def test_a_new_pod_goes_from_address_to_sandbox_to_interface_to_container() -> None:
    """Each step is planned when the one before it is done, and nothing else."""
    steps = [
        (Actual(), Do.PUBLISH),
        (Actual(published=X), Do.CREATE),
        (Actual(published=X, sandbox=True), Do.CONNECT),
    ]
    for state, wanted in steps:
        assert plan(pod(), state, 0, NOW) == Plan(do(wanted))
    assert plan(pod(), READY, X, NOW) == Plan(do(Do.START, "main"))
    assert plan(pod(), actual(running()), X, NOW) == Plan()


def test_a_pod_never_starts_before_its_flows() -> None:
    """With the node's generation one below the address's version the pod waits; with an equal one it starts."""
    assert plan(pod(), READY, X - 1, NOW) == Plan(waits_for_network=True)
    assert plan(pod(), READY, X, NOW).actions == do(Do.START, "main")


def test_a_host_network_pod_does_not_wait_for_flows() -> None:
    """It uses the node's own stack."""
    assert plan(pod(host_network=True), READY, 0, NOW).actions == do(Do.START, "main")


def test_a_container_that_ran_before_is_restarted_although_the_controller_is_behind() -> None:
    """A pod that has had its flows is not stopped by a controller that starts over."""
    assert plan(pod(), actual(exited(1)), 0, NOW).actions == do(Do.START, "main", 1)


def test_a_pod_waits_for_the_older_pod_of_its_name() -> None:
    """The interface is named after the pod: its predecessor must have given it back."""
    assert plan(pod(), Actual(predecessor=True), X, NOW) == Plan()


def test_init_containers_run_one_after_the_other_and_before_the_others() -> None:
    """The second begins when the first has succeeded; the containers begin, together, after the last."""
    wanted = pod(init=({"name": "i1"}, {"name": "i2"}), containers=("a", "b"))
    assert plan(wanted, READY, X, NOW).actions == do(Do.START, "i1")
    assert plan(wanted, actual(running("i1")), X, NOW).actions == ()
    assert plan(wanted, actual(exited(0, "i1")), X, NOW).actions == do(Do.START, "i2")
    both = plan(wanted, actual(exited(0, "i1"), exited(0, "i2")), X, NOW)
    assert both.actions == (Action(Do.START, "a"), Action(Do.START, "b"))


def test_a_failed_init_container_is_tried_again_or_fails_the_pod() -> None:
    """Restart policy Never ends the pod; Always and OnFailure start the same init container again."""
    failed = actual(exited(1, "i1"))
    assert plan(pod(init=({"name": "i1"},), policy="Never"), failed, X, NOW) == Plan(finished=True)
    for policy in ("Always", "OnFailure"):
        assert plan(pod(init=({"name": "i1"},), policy=policy), failed, X, NOW).actions == do(Do.START, "i1", 1)


SIDECAR = ({"name": "side", "restartPolicy": "Always"},)


def test_a_sidecar_runs_first_and_does_not_hold_up_the_others() -> None:
    """It is started before the containers, which begin when it runs, and started again when it ends."""
    wanted = pod(init=SIDECAR)
    assert plan(wanted, READY, X, NOW).actions == do(Do.START, "side")
    assert plan(wanted, actual(running("side")), X, NOW).actions == do(Do.START, "main")
    assert plan(wanted, actual(exited(1, "side"), running()), X, NOW).actions == do(Do.START, "side", 1)


def test_a_sidecar_in_back_off_does_not_hold_up_a_restart() -> None:
    """The container is started again while its sidecar waits."""
    decided = plan(pod(init=SIDECAR), actual(exited(1, "side"), exited(1), restarts={"side": 3}), X, NOW)
    assert decided.actions == do(Do.START, "main", 1)
    assert decided.backing_off == {"side"}
    assert decided.look_again == NOW + timedelta(seconds=40)


def test_a_job_with_a_sidecar_ends() -> None:
    """When the containers are over, the sidecar is stopped; when it has ended too, the pod is finished."""
    wanted = pod(init=SIDECAR, policy="Never")
    assert plan(wanted, actual(running("side"), exited(0)), X, NOW) == Plan(do(Do.STOP, "side"))
    stopping = actual(running("side"), exited(0), stopping=frozenset({"side"}))
    assert plan(wanted, stopping, X, NOW) == Plan()
    assert plan(wanted, actual(exited(143, "side"), exited(0)), X, NOW) == Plan(finished=True)


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_the_restart_policy_decides_about_ended_containers(policy: str, code: int, again: bool) -> None:
    """Always restarts everything, OnFailure what failed, Never nothing."""
    decided = plan(pod(policy=policy), actual(exited(code)), X, NOW)
    assert decided == (Plan(do(Do.START, "main", 1)) if again else Plan(finished=True))


def test_restarts_are_delayed_as_kubernetes_does() -> None:
    """The first restart is immediate, then 10 s, doubled up to 5 minutes."""
    assert [restart_delay(count) for count in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_the_back_off_counts_from_the_containers_end() -> None:
    """4 s after the end of the second attempt 6 of the 10 seconds are left; after 10 s it starts as attempt 2."""
    waiting = plan(pod(), actual(exited(1, attempt=1, ago=4), restarts={"main": 1}), X, NOW)
    assert waiting == Plan(look_again=NOW + timedelta(seconds=6), backing_off=frozenset({"main"}))
    due = plan(pod(), actual(exited(1, attempt=1, ago=10), restarts={"main": 1}), X, NOW)
    assert due == Plan(do(Do.START, "main", 2))


def test_attempts_go_on_counting_after_the_runtime_lost_its_containers() -> None:
    """The number that the API still knows is used, so that no log is written twice."""
    assert plan(pod(), replace(READY, attempts={"main": 4}), X, NOW).actions == do(Do.START, "main", 4)


def test_deleting_stops_containers_then_tears_down_then_forgets() -> None:
    """STOP once per container, sidecars after the others; then TEAR_DOWN; then FORGET."""
    going = pod(deleting=True, grace_seconds=30, init=SIDECAR)
    both = actual(running("side"), running())
    assert plan(going, both, X, NOW) == Plan(do(Do.STOP, "main"))
    told = replace(both, stopping=frozenset({"main"}))
    assert plan(going, told, X, NOW) == Plan()
    assert plan(going, actual(running("side"), exited(0)), X, NOW) == Plan(do(Do.STOP, "side"))
    assert plan(going, actual(exited(0, "side"), exited(0)), X, NOW) == Plan(do(Do.TEAR_DOWN))
    assert plan(going, Actual(published=X), X, NOW) == Plan(do(Do.FORGET))


def test_deleting_without_grace_tears_down_at_once() -> None:
    """Grace 0 kills; nothing is asked to end."""
    assert plan(pod(deleting=True, grace_seconds=0), actual(running()), X, NOW) == Plan(do(Do.TEAR_DOWN))


def test_a_pod_that_the_api_forgot_is_torn_down() -> None:
    """A forced deletion, or one while the agent was away, leaves a sandbox that must go."""
    assert plan(None, actual(running()), X, NOW) == Plan(do(Do.TEAR_DOWN))
    assert plan(None, Actual(), X, NOW) == Plan(do(Do.FORGET))


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_ended_pod_gives_its_network_back(phase: str) -> None:
    """Its sandbox is removed once the final phase is in the API, and it is never started again."""
    assert plan(pod(phase=phase), actual(exited(0)), X, NOW).actions == do(Do.TEAR_DOWN)
    assert plan(pod(phase=phase), Actual(), X, NOW).actions == ()


def test_after_a_failure_nothing_is_tried_until_its_time() -> None:
    """The plan only says when to look again."""
    later = NOW + timedelta(seconds=2)
    assert plan(pod(), replace(READY, blocked_until=later), X, NOW) == Plan(look_again=later)
    assert plan(pod(), replace(READY, blocked_until=NOW), X, NOW).actions == do(Do.START, "main")


# Probes, hooks and deadlines

PROBE = {"exec": {"command": ["true"]}}
FAILED = Health(started=True, ready=False, failed=Probe(Kind.LIVENESS, Exec(("true",))))


def test_a_condemned_container_is_stopped_once_and_started_again() -> None:
    """STOP says why; while it ends nothing is done; then it is the next attempt's turn."""
    sick = actual(running(), condemned={"main": Why.LIVENESS})
    assert plan(pod(), sick, X, NOW) == Plan((Action(Do.STOP, "main", why=Why.LIVENESS),))
    assert plan(pod(), replace(sick, stopping=frozenset({"main"})), X, NOW) == Plan()
    ended = actual(exited(0), condemned={"main": Why.LIVENESS})
    assert plan(pod(), ended, X, NOW).actions == do(Do.START, "main", 1)


@pytest.mark.parametrize(
    ("policy", "again"), [("Always", True), ("OnFailure", True), ("Never", False)]
)  # fmt: skip
def test_a_condemned_container_has_failed_whatever_its_status(policy: str, again: bool) -> None:
    """A server that ends with 0 on SIGTERM is started again under OnFailure when a probe has ended it."""
    decided = plan(pod(policy=policy), actual(exited(0), condemned={"main": Why.STARTUP}), X, NOW)
    assert decided == (Plan(do(Do.START, "main", 1)) if again else Plan(finished=True))


def test_probes_do_not_end_containers_of_a_pod_that_is_being_deleted() -> None:
    """They are stopped as the deletion says."""
    sick = actual(running(), condemned={"main": Why.LIVENESS})
    assert plan(pod(deleting=True, grace_seconds=5), sick, X, NOW) == Plan(do(Do.STOP, "main"))


def test_containers_wait_for_the_sidecars_startup_probe() -> None:
    """Until it has passed nothing else is started; later it does not hold up restarts."""
    wanted = pod(init=({**SIDECAR[0], "startupProbe": PROBE},))
    assert plan(wanted, actual(running("side")), X, NOW) == Plan()
    unstarted = actual(running("side"), health={"side": Health(started=False, ready=False)})
    assert plan(wanted, unstarted, X, NOW) == Plan()
    assert plan(wanted, actual(running("side"), health={"side": Health()}), X, NOW).actions == do(Do.START, "main")
    restart = actual(running("side", 1), exited(1), health={"side": Health(started=False, ready=False)})
    assert plan(wanted, restart, X, NOW).actions == do(Do.START, "main", 1)


def test_a_post_start_hook_holds_back_the_containers_after_it() -> None:
    """Kubernetes starts containers in order, and the hook is a part of the start."""
    wanted = pod(containers=("a", "b"))
    hook = {"lifecycle": {"postStart": PROBE}}
    first, second = wanted.wire["spec"]["containers"]
    wanted = pod_from_object({**wanted.wire, "spec": {**wanted.wire["spec"], "containers": [first | hook, second]}})
    assert plan(wanted, READY, X, NOW).actions == do(Do.START, "a")
    assert plan(wanted, actual(running("a"), post_start=frozenset({"a"})), X, NOW) == Plan()
    assert plan(wanted, actual(running("a")), X, NOW).actions == do(Do.START, "b")


def test_a_pod_past_its_deadline_is_stopped_and_finished() -> None:
    """Before that the plan says when it will be; afterwards nothing is started, and what runs is stopped."""
    wanted = replace(pod(), deadline=NOW + timedelta(seconds=9))
    assert plan(wanted, actual(running()), X, NOW) == Plan(look_again=NOW + timedelta(seconds=9))
    late = NOW + timedelta(seconds=9)
    assert plan(wanted, actual(running()), X, late) == Plan(do(Do.STOP, "main"), overdue=True)
    assert plan(wanted, actual(exited(137)), X, late) == Plan(finished=True, overdue=True)
    assert plan(wanted, READY, X, late) == Plan(finished=True, overdue=True)
    assert plan(replace(wanted, deleting=True, grace_seconds=0), actual(running()), X, late) == Plan(do(Do.TEAR_DOWN))


_STATUSES = st.one_of(
    st.none(),
    st.builds(lambda attempt: ("running", 0, attempt), st.integers(0, 3)),
    st.builds(lambda code, attempt: ("exited", code, attempt), st.integers(0, 2), st.integers(0, 3)),
)


@given(
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    names=st.fixed_dictionaries({"i1": _STATUSES, "side": _STATUSES, "a": _STATUSES, "b": _STATUSES}),
    deleting=st.booleans(),
    restarts=st.integers(0, 4),
)
def test_carrying_out_plans_always_comes_to_rest(
    policy: str, names: dict[str, tuple[str, int, int] | None], deleting: bool, restarts: int
) -> None:
    """From any state, doing what is planned ends in a state without actions; no running container is started."""
    wanted = pod(
        init=({"name": "i1"}, *SIDECAR), containers=("a", "b"), policy=policy, deleting=deleting, grace_seconds=5
    )
    known = {
        name: running(name, state[2]) if state[0] == "running" else exited(state[1], name, state[2])
        for name, state in names.items()
        if state is not None
    }
    state = replace(READY, containers=known, restarts=dict.fromkeys(names, restarts))
    for _ in range(20):
        decided = plan(wanted, state, X, NOW)
        if not decided.actions or decided.actions[0].do is Do.FORGET:
            return
        containers = dict(state.containers)
        for action in decided.actions:
            match action.do:
                case Do.START:
                    before = containers.get(action.container)
                    assert before is None or before.phase is ContainerPhase.EXITED
                    assert action.attempt == (before.attempt + 1 if before else 0)
                    containers[action.container] = running(action.container, action.attempt)
                case Do.STOP:
                    assert containers[action.container].phase is ContainerPhase.RUNNING
                    containers[action.container] = exited(143, action.container, containers[action.container].attempt)
                case Do.TEAR_DOWN:
                    state = replace(state, sandbox=False, connected=False)
                    containers = {}
        state = replace(state, containers=containers)
    pytest.fail(f"no rest after 20 rounds; last plan: {decided}")
