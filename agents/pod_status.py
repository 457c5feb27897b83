"""A pod's status as Kubernetes shows it, from what exists. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any, Final

from agents.node_object import timestamp
from agents.plan import Actual, Plan, running, succeeded
from agents.podspec import Container, Pod, RestartPolicy
from kubinet.cri import ContainerPhase, ContainerStatus

Object = dict[str, Any]

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
        "conditions": _conditions(pod, actual, phase, main, old.get("conditions") or [], now),
        "containerStatuses": main,
    }
    if told.address is not None:
        status |= addresses(told.address)
    if init:
        status["initContainerStatuses"] = init
    return status


def addresses(address: IPv4Address) -> Object:
    """The status's fields for the pod's address."""
    return {"podIP": str(address), "podIPs": [{"ip": str(address)}]}


def differs(status: Object, old: Mapping[str, Any]) -> bool:
    """Whether the API's status says something else; fields that others wrote do not count."""
    return any(old.get(key) != value for key, value in status.items() if key != "conditions") or _other_conditions(
        status["conditions"], old.get("conditions") or []
    )


def _other_conditions(wanted: Sequence[Object], old: Sequence[Object]) -> bool:
    def essence(entries: Sequence[Object]) -> list[tuple[object, ...]]:
        return sorted((entry["type"], entry["status"], entry.get("reason", "")) for entry in entries)

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
        entry: Object = {
            "name": container.name,
            "image": container.image,
            "imageID": f"kubinet://{container.image}" if status is not None else "",
            "ready": running(status) if container in self._pod.containers or container.sidecar else succeeded(status),
            "started": running(status),
            "restartCount": attempt,
            "state": state,
            "lastState": {},
        }
        if status is not None:
            entry["containerID"] = _container_id(status)
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


def _container_id(status: ContainerStatus) -> str:
    return f"kubinet://{status.pod_uid}/{status.name}/{status.attempt}"


def _terminated(status: ContainerStatus) -> Object:
    code = status.exit_code or 0
    entry: Object = {
        "exitCode": code,
        "reason": status.reason or ("Completed" if code == 0 else "Error"),
        "startedAt": timestamp(status.started_at),
        "finishedAt": timestamp(status.finished_at or status.started_at),
        "containerID": _container_id(status),
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
    if decided.finished and not pod.deleting:
        return "Succeeded" if all(succeeded(status) for status in statuses) else "Failed"
    if any(running(status) for status in statuses) or pod.phase == "Running":
        return "Running"
    ended = [status for status in statuses if status is not None and status.phase is ContainerPhase.EXITED]
    if len(ended) == len(statuses) and pod.restart_policy is not RestartPolicy.NEVER:
        return "Running"  # all ended, some come again: Kubernetes says Running between attempts
    return "Pending"


def _conditions(
    pod: Pod, actual: Actual, phase: str, main: Sequence[Object], old: Sequence[Object], now: datetime
) -> list[Object]:
    over = phase == "Succeeded"
    initialized = all(
        succeeded(actual.containers.get(c.name)) or (c.sidecar and running(actual.containers.get(c.name)))
        for c in pod.init_containers
    ) or any(actual.containers.get(c.name) is not None for c in pod.containers)
    unready = [entry["name"] for entry in main if not entry["ready"]]
    waiting_init = [c.name for c in pod.init_containers if not succeeded(actual.containers.get(c.name))]
    ready = _verdict(not unready, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]", over)
    verdicts = {
        "PodReadyToStartContainers": (actual.sandbox and actual.connected, "", ""),
        "Initialized": _verdict(
            initialized,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(waiting_init)}]",
            over,
        ),
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": (True, "", ""),
    }
    known = {entry["type"]: entry for entry in old}
    conditions = [_condition(kind, *verdicts[kind], known.get(kind), now) for kind in _CONDITIONS]
    # Conditions of others (readiness gates, say) stay.
    return conditions + [entry for kind, entry in known.items() if kind not in verdicts]


def _verdict(holds: bool, reason: str, message: str, over: bool) -> tuple[bool, str, str]:
    if over:
        return (holds, "" if holds else "PodCompleted", "")
    return (True, "", "") if holds else (False, reason, message)


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
