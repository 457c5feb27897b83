"""A pod's status as Kubernetes shows it, from what exists. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any, Final

from agents.node_object import timestamp
from agents.plan import Actual, Plan, ready, running, started, succeeded
from agents.podspec import Container, Pod, RestartPolicy
from kubinet.cri import ContainerPhase, ContainerStatus

Object = dict[str, Any]

DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
DEADLINE_MESSAGE: Final = "Pod was active on the node longer than the specified deadline"
_CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a container could not be started: Kubernetes' word and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the status needs beside the containers."""

    host_address: IPv4Address
    address: IPv4Address | None
    problems: Mapping[str, Problem] = field(default_factory=dict)
    previous: Mapping[str, ContainerStatus] = field(default_factory=dict)
    """The ended attempt before the present one, by container."""


def pod_status(pod: Pod, actual: Actual, decided: Plan, told: Told, now: datetime) -> Object:
    """The whole status that the agent answers for."""
    old = pod.wire.get("status") or {}
    actual = _shown(actual)
    view = _View(pod, actual, decided, told, old)
    init = [view.container(c, view.waiting_init(position)) for position, c in enumerate(pod.init_containers)]
    main_waiting = "PodInitializing" if pod.init_containers else "ContainerCreating"
    main = [view.container(c, main_waiting) for c in pod.containers]
    phase = _phase(pod, actual, decided)
    status: Object = {
        "phase": phase,
        "hostIP": str(told.host_address),
        "hostIPs": [{"ip": str(told.host_address)}],
        "startTime": old.get("startTime") or timestamp(now),
        "conditions": _conditions(pod, actual, phase, [*init, *main], old.get("conditions") or [], now),
        "containerStatuses": main,
    }
    if told.address is not None:
        status |= addresses(told.address)
    if init:
        status["initContainerStatuses"] = init
    if decided.overdue and phase == "Failed":
        status |= {"reason": DEADLINE_EXCEEDED, "message": DEADLINE_MESSAGE}
    return status


def _shown(actual: Actual) -> Actual:
    """A container is not shown as running before its postStart hook has ended."""
    hidden = {name: actual.containers[name].attempt for name in actual.post_start if name in actual.containers}
    shown = {name: status for name, status in actual.containers.items() if name not in hidden}
    return replace(actual, containers=shown, attempts={**actual.attempts, **hidden})


def addresses(address: IPv4Address) -> Object:
    """The status's fields for the pod's address."""
    return {"podIP": str(address), "podIPs": [{"ip": str(address)}]}


def status_patch(status: Object) -> Object:
    """The strategic merge patch that writes the status and leaves the conditions of others (readiness gates) alone."""
    own = [{"reason": None, "message": None, **entry} for entry in status["conditions"] if entry["type"] in _CONDITIONS]
    lists: Object = {key: [{"$patch": "replace"}, *status[key]] for key in ("podIPs", "hostIPs") if key in status}
    return {**status, **lists, "conditions": own}


def differs(status: Object, old: Mapping[str, Any]) -> bool:
    """Whether the API's status says something else; fields that others wrote do not count."""
    return any(old.get(key) != value for key, value in status.items() if key != "conditions") or _other_conditions(
        status["conditions"], old.get("conditions") or []
    )


def _other_conditions(wanted: Sequence[Object], old: Sequence[Object]) -> bool:
    def essence(entries: Sequence[Object]) -> list[tuple[object, ...]]:
        told = [(entry["type"], entry["status"], entry.get("reason", "")) for entry in entries]
        return sorted(entry for entry in told if entry[0] in _CONDITIONS)

    return essence(wanted) != essence(old)


class _View:
    """Containers of one pod as containerStatuses."""

    def __init__(self, pod: Pod, actual: Actual, decided: Plan, told: Told, old: Mapping[str, Any]) -> None:
        self._pod = pod
        self._actual = actual
        self._decided = decided
        self._told = told
        entries = [*(old.get("initContainerStatuses") or ()), *(old.get("containerStatuses") or ())]
        self._old: dict[str, Object] = {entry["name"]: entry for entry in entries}

    def waiting_init(self, position: int) -> str:
        """The first init container waits for its creation, the others for the ones before them."""
        return "PodInitializing" if position else "ContainerCreating"

    def container(self, container: Container, waiting: str) -> Object:
        status = self._actual.containers.get(container.name)
        before = self._told.previous.get(container.name)
        old = self._old.get(container.name, {})
        state = self._state(container.name, status, waiting)
        attempt = status.attempt if status is not None else self._actual.attempts.get(container.name, 0)
        probed = container.sidecar or container in self._pod.containers
        entry: Object = {
            "name": container.name,
            "image": container.image,
            "imageID": f"kubinet://{container.image}" if status is not None else "",
            "ready": ready(container, self._actual) if probed else succeeded(status),
            "started": started(container, self._actual),
            "restartCount": attempt,
            "state": state,
            "lastState": {},
        }
        if status is not None:
            entry["containerID"] = container_id(status)
        if status is not None and "waiting" in state:
            entry["lastState"] = {"terminated": _terminated(status)}
        elif before is not None:
            entry["lastState"] = {"terminated": _terminated(before)}
        elif old.get("lastState") and old.get("restartCount") == attempt:
            entry["lastState"] = old["lastState"]
        return entry

    def _state(self, name: str, status: ContainerStatus | None, waiting: str) -> Object:
        problem = self._told.problems.get(name)
        if running(status):
            assert status is not None
            return {"running": {"startedAt": timestamp(status.started_at)}}
        if problem is not None:
            return {"waiting": {"reason": problem.reason, "message": problem.message}}
        if status is None:
            return {"waiting": {"reason": waiting}}
        if name in self._decided.backing_off:
            message = f"back-off restarting failed container {name} in pod {self._pod.key}"
            return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        return {"terminated": _terminated(status)}


def container_id(status: ContainerStatus) -> str:
    """What the API calls one run of a container."""
    return f"kubinet://{status.pod_uid}/{status.name}/{status.attempt}"


def _terminated(status: ContainerStatus) -> Object:
    code = status.exit_code or 0
    entry: Object = {
        "exitCode": code,
        "reason": status.reason or ("Completed" if code == 0 else "Error"),
        "startedAt": timestamp(status.started_at),
        "finishedAt": timestamp(status.finished_at or status.started_at),
        "containerID": container_id(status),
    }
    if code > 128 and code - 128 < 65 and status.reason != "StartError":
        entry["signal"] = code - 128
    if status.message:
        entry["message"] = status.message
    return entry


def _phase(pod: Pod, actual: Actual, decided: Plan) -> str:
    if pod.ended:
        return pod.phase
    statuses = [actual.containers.get(container.name) for container in pod.containers]
    if decided.finished and decided.overdue:
        return "Failed"
    if decided.finished and not pod.deleting:
        return "Succeeded" if all(succeeded(status) for status in statuses) else "Failed"
    if any(running(status) for status in statuses) or pod.phase == "Running":
        return "Running"
    ended = [status for status in statuses if status is not None and status.phase is ContainerPhase.EXITED]
    if len(ended) == len(statuses) and pod.restart_policy is not RestartPolicy.NEVER:
        return "Running"  # all ended, some come again: Kubernetes says Running between attempts
    return "Pending"


def _conditions(
    pod: Pod, actual: Actual, phase: str, entries: Sequence[Object], old: Sequence[Object], now: datetime
) -> list[Object]:
    """`entries`: the statuses of all containers. Reasons and messages are Kubernetes'."""
    serving = {c.name for c in pod.all_containers if c.sidecar or c in pod.containers}
    unready = [entry["name"] for entry in entries if entry["name"] in serving and not entry["ready"]]
    known = {entry["type"]: entry for entry in old}
    if phase in ("Succeeded", "Failed"):
        ready_ = containers_ready = (False, "PodCompleted" if phase == "Succeeded" else "PodFailed", "")
    elif unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        ready_ = containers_ready = (False, "ContainersNotReady", message)
    else:
        containers_ready = (True, "", "")
        missing = [text for gate in pod.readiness_gates if (text := _gate(gate, known.get(gate)))]
        ready_ = (False, "ReadinessGatesNotReady", ", ".join(missing)) if missing else (True, "", "")
    verdicts = {
        "PodReadyToStartContainers": (actual.sandbox and actual.connected, "", ""),
        "Initialized": _initialized(pod, actual, phase),
        "Ready": ready_,
        "ContainersReady": containers_ready,
        "PodScheduled": (True, "", ""),
    }
    conditions = [_condition(kind, *verdicts[kind], known.get(kind), now) for kind in _CONDITIONS]
    # Conditions of others (readiness gates, say) stay.
    return conditions + [entry for kind, entry in known.items() if kind not in verdicts]


def _initialized(pod: Pod, actual: Actual, phase: str) -> tuple[bool, str, str]:
    waits = [
        c.name
        for c in pod.init_containers
        if not (started(c, actual) if c.sidecar else succeeded(actual.containers.get(c.name)))
    ]
    if not waits or any(actual.containers.get(c.name) is not None for c in pod.containers):
        return True, "", ""
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waits)}]"


def _gate(kind: str, condition: Object | None) -> str:
    """Why a readiness gate is closed; empty when it is open."""
    if condition is None:
        return f'corresponding condition of pod readiness gate "{kind}" does not exist.'
    if condition["status"] != "True":
        return f'the status of pod readiness gate "{kind}" is not "True", but {condition["status"]}'
    return ""


def _condition(kind: str, holds: bool, reason: str, message: str, old: Object | None, now: datetime) -> Object:
    status = "True" if holds else "False"
    same = old is not None and old["status"] == status
    entry: Object = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": old.get("lastTransitionTime") if same and old is not None else timestamp(now),
    }
    if reason:
        entry["reason"] = reason
    if message:
        entry["message"] = message
    return entry
