"""A pod's status as its agent reports it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from agents.plan import Actual, Plan, plan
from agents.pod_status import Problem, Told, differs, pod_status, status_patch
from agents.podspec import Pod, pod_from_object
from agents.probes.state import Health
from controller.api.patch import strategic
from kubinet.cri import ContainerPhase, ContainerStatus

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
TEXT = "2026-11-24T12:00:00Z"
TOLD = Told(IPv4Address("172.18.1.2"), IPv4Address("10.244.1.5"))
READY = Actual(published=1, sandbox=True, connected=True)


def pod(*, init: tuple[dict[str, Any], ...] = (), policy: str = "Always", status: dict[str, Any] | None = None) -> Pod:
    spec = {
        "restartPolicy": policy,
        "containers": [{"name": "main", "image": "busybox"}],
        "initContainers": [{"image": "busybox", **entry} for entry in init],
    }
    metadata = {"uid": "u", "namespace": "default", "name": "p", "resourceVersion": "1"}
    return pod_from_object({"metadata": metadata, "spec": spec, "status": status or {}})


def running(name: str = "main", attempt: int = 0) -> ContainerStatus:
    return ContainerStatus("u", name, attempt, ContainerPhase.RUNNING, 100, NOW, Path("/log"))


def exited(code: int, name: str = "main", attempt: int = 0) -> ContainerStatus:
    return replace(running(name, attempt), phase=ContainerPhase.EXITED, exit_code=code, finished_at=NOW)


def actual(*containers: ContainerStatus, **changes: Any) -> Actual:
    return replace(READY, containers={status.name: status for status in containers}, **changes)


def status_of(wanted: Pod, state: Actual, told: Told = TOLD, decided: Plan | None = None) -> dict[str, Any]:
    return pod_status(wanted, state, decided or plan(wanted, state, 1, NOW), told, NOW)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {entry["type"]: (entry["status"], entry.get("reason", "")) for entry in status["conditions"]}


def test_a_running_pod_in_full() -> None:
    """Every field that clients read, as Kubernetes writes it."""
    assert status_of(pod(), actual(running())) == {
        "phase": "Running",
        "hostIP": "172.18.1.2",
        "hostIPs": [{"ip": "172.18.1.2"}],
        "podIP": "10.244.1.5",
        "podIPs": [{"ip": "10.244.1.5"}],
        "startTime": TEXT,
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": TEXT}
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
        "containerStatuses": [
            {
                "name": "main",
                "image": "busybox",
                "imageID": "kubinet://busybox",
                "containerID": "kubinet://u/main/0",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": TEXT}},
                "lastState": {},
            }
        ],
    }


def test_a_pod_without_sandbox_is_pending_and_says_what_it_waits_for() -> None:
    """Scheduled, initialized as it has no init containers, not ready: ContainerCreating."""
    status = status_of(pod(), Actual(published=1))
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert conditions(status) == {
        "PodReadyToStartContainers": ("False", ""),
        "Initialized": ("True", ""),
        "Ready": ("False", "ContainersNotReady"),
        "ContainersReady": ("False", "ContainersNotReady"),
        "PodScheduled": ("True", ""),
    }


def test_containers_wait_for_init_containers() -> None:
    """While the init container runs: Pending, not initialized, and the container says PodInitializing."""
    status = status_of(pod(init=({"name": "i1"}, {"name": "i2"})), actual(running("i1")))
    assert status["phase"] == "Pending"
    assert conditions(status)["Initialized"] == ("False", "ContainersNotInitialized")
    init = [entry["state"] for entry in status["initContainerStatuses"]]
    assert init == [{"running": {"startedAt": TEXT}}, {"waiting": {"reason": "PodInitializing"}}]
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_a_succeeded_init_container_is_ready() -> None:
    """Kubernetes calls an init container ready when it has ended with status 0."""
    status = status_of(pod(init=({"name": "i1"},)), actual(exited(0, "i1"), running()))
    assert [entry["ready"] for entry in status["initContainerStatuses"]] == [True]
    assert conditions(status)["Initialized"] == ("True", "")


def test_a_crashing_container_waits_and_remembers_its_end() -> None:
    """In back-off the state is waiting CrashLoopBackOff, the end is the last state, the phase stays Running."""
    status = status_of(pod(), actual(exited(3, attempt=2), restarts={"main": 2}))
    entry = status["containerStatuses"][0]
    assert entry["state"] == {
        "waiting": {
            "reason": "CrashLoopBackOff",
            "message": "back-off restarting failed container main in pod default/p",
        }
    }
    assert entry["lastState"]["terminated"]["exitCode"] == 3
    assert (entry["restartCount"], entry["ready"], status["phase"]) == (2, False, "Running")


def test_a_restarted_container_remembers_the_attempt_before() -> None:
    """The last state is the end of the previous attempt."""
    told = replace(TOLD, previous={"main": exited(7)})
    entry = status_of(pod(), actual(running(attempt=1)), told)["containerStatuses"][0]
    assert entry["lastState"]["terminated"]["exitCode"] == 7
    assert entry["restartCount"] == 1


def test_the_last_state_survives_the_agent() -> None:
    """A new agent has not seen the previous attempt end; what the API has is kept while the count is the same."""
    old = {"containerStatuses": [{"name": "main", "restartCount": 1, "lastState": {"terminated": {"exitCode": 7}}}]}
    entry = status_of(pod(status=old), actual(running(attempt=1)))["containerStatuses"][0]
    assert entry["lastState"] == {"terminated": {"exitCode": 7}}
    assert status_of(pod(status=old), actual(running(attempt=2)))["containerStatuses"][0]["lastState"] == {}


def test_a_container_killed_by_a_signal_says_which() -> None:
    """Exit code 137 is signal 9."""
    entry = status_of(pod(policy="Never"), actual(exited(137)))["containerStatuses"][0]
    assert entry["state"]["terminated"] == {
        "exitCode": 137,
        "signal": 9,
        "reason": "Error",
        "startedAt": TEXT,
        "finishedAt": TEXT,
        "containerID": "kubinet://u/main/0",
    }


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (1, "Failed")])
def test_a_finished_pod_has_its_final_phase(code: int, phase: str) -> None:
    """All containers ended for good: Succeeded when all returned 0, else Failed; never ready."""
    status = status_of(pod(policy="Never"), actual(exited(code)))
    assert status["phase"] == phase
    assert conditions(status)["Ready"] == ("False", "PodCompleted" if code == 0 else "PodFailed")


def test_a_problem_is_the_containers_waiting_reason() -> None:
    """What kept a container from starting is told with Kubernetes' word and our sentence."""
    told = replace(TOLD, problems={"main": Problem("ErrImagePull", "image 'x' is not in the image table")})
    entry = status_of(pod(), READY, told, Plan())["containerStatuses"][0]
    assert entry["state"] == {"waiting": {"reason": "ErrImagePull", "message": "image 'x' is not in the image table"}}


def test_conditions_keep_their_transition_time() -> None:
    """An unchanged condition keeps the time in the API; one that changed has the present time; others' stay."""
    earlier = "2026-11-24T11:00:00Z"
    old = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": earlier},
        {"type": "Ready", "status": "False", "lastTransitionTime": earlier},
        {"type": "example.com/gate", "status": "True", "lastTransitionTime": earlier},
    ]
    status = status_of(pod(status={"conditions": old}), actual(running()))
    times = {entry["type"]: entry["lastTransitionTime"] for entry in status["conditions"]}
    assert times["PodScheduled"] == earlier
    assert times["Ready"] == TEXT
    assert status["conditions"][-1] == old[-1]


def test_the_start_time_never_changes() -> None:
    """It is when the agent first took care of the pod."""
    old = {"startTime": "2026-11-24T11:00:00Z"}
    assert status_of(pod(status=old), READY)["startTime"] == "2026-11-24T11:00:00Z"


def test_an_unchanged_status_is_not_written_again() -> None:
    """A later look at the same pod finds nothing to write; another state or a lost condition is written."""
    first = status_of(pod(), actual(running()))
    again = pod(status=first)
    later = pod_status(again, actual(running()), Plan(), TOLD, NOW + timedelta(hours=1))
    assert not differs(later, first)
    assert differs(status_of(again, actual(exited(1))), first)
    assert differs(later, {**first, "conditions": first["conditions"][1:]})


def test_writing_a_status_leaves_others_conditions_alone() -> None:
    """A gate's condition that changed since we looked keeps its value; our own lose reasons that no longer hold."""
    gate = {"type": "example.com/gate", "status": "False"}
    seen = status_of(pod(status={"conditions": [gate]}), actual())
    stored = {
        **seen,
        "conditions": [*seen["conditions"][:5], {**gate, "status": "True"}],
        "podIPs": [{"ip": "10.9.9.9"}],
    }
    wanted = status_of(pod(status={"conditions": [gate]}), actual(running()))
    merged = strategic({"status": stored}, {"status": status_patch(wanted)}, "io.k8s.api.core.v1.Pod")["status"]
    assert conditions(merged) == {**conditions(wanted), "example.com/gate": ("True", "")}
    assert [entry for entry in merged["conditions"] if "message" in entry] == []
    assert merged["podIPs"] == [{"ip": "10.244.1.5"}]
    assert merged["containerStatuses"] == wanted["containerStatuses"]
    assert not differs(wanted, merged)


# Probes, hooks, gates and deadlines

READINESS = {"readinessProbe": {"exec": {"command": ["true"]}}}
HOOK = {"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}}


def probed(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **spec: Any) -> Pod:
    """A pod of these containers, named a, b, …"""
    named = [{"name": name, "image": "busybox", **entry} for name, entry in zip("abc", containers, strict=False)]
    whole = {
        "containers": named,
        "initContainers": [{"image": "busybox", "restartPolicy": "Always", **entry} for entry in init],
        **spec,
    }
    metadata = {"uid": "u", "namespace": "default", "name": "p", "resourceVersion": "1"}
    return pod_from_object({"metadata": metadata, "spec": whole, "status": {"startTime": TEXT}})


def ready_of(status: dict[str, Any]) -> dict[str, tuple[bool, bool]]:
    entries = [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]
    return {entry["name"]: (entry["started"], entry["ready"]) for entry in entries}


def test_a_container_is_ready_when_its_probes_say_so() -> None:
    """Before the first verdict not ready; without probes ready while it runs; the condition says who is not."""
    wanted = probed(READINESS, {})
    before = status_of(wanted, actual(running("a"), running("b")))
    assert ready_of(before) == {"a": (True, False), "b": (True, True)}
    assert conditions(before)["ContainersReady"] == conditions(before)["Ready"] == ("False", "ContainersNotReady")
    message = {entry["type"]: entry.get("message") for entry in before["conditions"]}["Ready"]
    assert message == "containers with unready status: [a]"
    health = {"a": Health(started=True, ready=True)}
    after = status_of(wanted, actual(running("a"), running("b"), health=health))
    assert ready_of(after) == {"a": (True, True), "b": (True, True)}
    assert conditions(after)["Ready"] == ("True", "")


def test_a_container_that_has_not_passed_its_startup_probe_is_not_started() -> None:
    """Nor ready, whatever its readiness."""
    wanted = probed({"startupProbe": {"exec": {"command": ["true"]}}})
    assert ready_of(status_of(wanted, actual(running("a")))) == {"a": (False, False)}
    health = {"a": Health(started=False, ready=False)}
    assert ready_of(status_of(wanted, actual(running("a"), health=health))) == {"a": (False, False)}
    assert ready_of(status_of(wanted, actual(running("a"), health={"a": Health()}))) == {"a": (True, True)}


def test_a_sidecars_readiness_counts_and_its_start_is_part_of_initialization() -> None:
    """Kubernetes lists a restartable init container among those that Ready needs."""
    wanted = probed({}, init=({"name": "side", **READINESS, "startupProbe": {"exec": {"command": ["true"]}}},))
    starting = status_of(wanted, actual(running("side")))
    assert conditions(starting)["Initialized"] == ("False", "ContainersNotInitialized")
    health = {"side": Health(started=True, ready=False)}
    unready = status_of(wanted, actual(running("side"), running("a"), health=health))
    assert ready_of(unready) == {"side": (True, False), "a": (True, True)}
    assert (conditions(unready)["Ready"], conditions(unready)["Initialized"]) == (
        ("False", "ContainersNotReady"),
        ("True", ""),
    )


def test_a_container_whose_post_start_hook_runs_is_not_shown_as_running() -> None:
    """It waits with ContainerCreating, and its restart count is that of the run under way."""
    status = status_of(probed(HOOK), actual(running("a", attempt=2), post_start=frozenset({"a"})))
    entry = status["containerStatuses"][0]
    assert entry["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert (entry["started"], entry["ready"], entry["restartCount"]) == (False, False, 2)
    assert (status["phase"], conditions(status)["Ready"]) == ("Pending", ("False", "ContainersNotReady"))


@pytest.mark.parametrize(
    ("gate", "reason", "message"),
    [
        (None, "ReadinessGatesNotReady", 'corresponding condition of pod readiness gate "x/lb" does not exist.'),
        ("False", "ReadinessGatesNotReady", 'the status of pod readiness gate "x/lb" is not "True", but False'),
        ("True", "", None),
    ],
)
def test_readiness_gates_hold_ready_back_but_not_containers_ready(
    gate: str | None, reason: str, message: str | None
) -> None:
    """The condition that the gate names is written by somebody else; until it is True the pod is not ready."""
    wanted = probed({}, readinessGates=[{"conditionType": "x/lb"}])
    old = [{"type": "x/lb", "status": gate}] if gate else []
    wanted = replace(wanted, wire={**wanted.wire, "status": {"conditions": old}})
    status = status_of(wanted, actual(running("a")))
    assert conditions(status)["ContainersReady"] == ("True", "")
    assert conditions(status)["Ready"] == ("True" if gate == "True" else "False", reason)
    assert {entry["type"]: entry.get("message") for entry in status["conditions"]}["Ready"] == message


def test_a_pod_past_its_deadline_has_failed_when_its_containers_have_ended() -> None:
    """Reason DeadlineExceeded, even where all containers returned 0; Running until they have ended."""
    wanted = replace(probed({}, activeDeadlineSeconds=60), phase="Running")
    late = NOW + timedelta(seconds=60)
    going = actual(running("a"), stopping=frozenset({"a"}))
    assert pod_status(wanted, going, plan(wanted, going, 1, late), TOLD, late)["phase"] == "Running"
    ended = pod_status(wanted, actual(exited(0, "a")), plan(wanted, actual(exited(0, "a")), 1, late), TOLD, late)
    assert (ended["phase"], ended["reason"], ended["message"]) == (
        "Failed",
        "DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
    )
