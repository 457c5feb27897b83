"""What to do next for one pod: a pure function of what the API wants and what exists.

The agent carries out the actions of all its pods together, kind by kind, and plans again until nothing is left to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from agents.podspec import Container, Pod, RestartPolicy
from kubinet.cri import ContainerPhase, ContainerStatus

BACKOFF_FIRST_SECONDS: Final = 10
BACKOFF_LIMIT_SECONDS: Final = 300
BACKOFF_RESET_SECONDS: Final = 600
"""As Kubernetes: restarts wait 10 s, doubled up to 5 min, and from the start again after 10 min of running."""


class Do(IntEnum):
    """What can be done; carried out in this order."""

    TEAR_DOWN = 1
    """Remove port, address, sandbox with whatever runs in it."""
    FORGET = 2
    """Nothing is left: delete the API object when it waits for that, and drop the record."""
    PUBLISH = 3
    """Allocate the address and write it into the status."""
    CREATE = 4
    """Have the runtime make the sandbox."""
    CONNECT = 5
    """Give the sandbox its interface."""
    START = 6
    STOP = 7


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do for a pod; `container` and `attempt` for START, `container` for STOP."""

    do: Do
    container: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Actual:
    """What exists of a pod."""

    published: int | None = None
    """The resourceVersion that has the pod's address; None before the address is in the API."""
    sandbox: bool = False
    connected: bool = False
    containers: Mapping[str, ContainerStatus] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)
    """Restarts since the container last ran for long, by container: what the back-off counts."""
    attempts: Mapping[str, int] = field(default_factory=dict)
    """The next attempt's number by container, where the runtime does not know an earlier one any more."""
    not_before: Mapping[str, datetime] = field(default_factory=dict)
    """When a container that could not be started may be tried again."""
    stopping: frozenset[str] = frozenset()
    """Containers that were told to end."""
    blocked_until: datetime | None = None
    """After a failure: nothing is tried before."""
    predecessor: bool = False
    """An older pod of the same name is not torn down yet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again although nothing happened."""

    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None
    waits_for_network: bool = False
    """Everything is there but the flows."""
    backing_off: frozenset[str] = frozenset()
    """Containers that wait for their back-off."""
    finished: bool = False
    """All containers ended for good: the phase is Succeeded or Failed."""


def plan(pod: Pod | None, actual: Actual, realised: int, now: datetime) -> Plan:
    """The next step. `pod` is None when the API has it no more; `realised`: the node's generation."""
    if actual.blocked_until is not None and now < actual.blocked_until:
        return Plan(look_again=actual.blocked_until)
    exists = actual.sandbox or actual.connected
    if pod is None:
        return Plan((Action(Do.TEAR_DOWN if exists else Do.FORGET),))
    if pod.deleting:
        return _delete(pod, actual, exists)
    if pod.ended:
        return Plan((Action(Do.TEAR_DOWN),) if exists else (), finished=True)
    if actual.predecessor:
        return Plan()
    if actual.published is None:
        return Plan((Action(Do.PUBLISH),))
    if not actual.sandbox:
        return Plan((Action(Do.CREATE),))
    if not actual.connected:
        return Plan((Action(Do.CONNECT),))
    if not pod.host_network and realised < actual.published and not actual.containers:
        return Plan(waits_for_network=True)
    return _containers(pod, actual, now)


def restart_delay(restarts: int) -> int:
    """Seconds between a container's end and its next start: 0, 10, 20, 40, … 300."""
    if restarts == 0:
        return 0
    return min(BACKOFF_LIMIT_SECONDS, BACKOFF_FIRST_SECONDS << min(restarts - 1, 10))


def running(status: ContainerStatus | None) -> bool:
    """Whether the container runs."""
    return status is not None and status.phase is ContainerPhase.RUNNING


def succeeded(status: ContainerStatus | None) -> bool:
    """Whether the container ended with status 0."""
    return status is not None and status.phase is ContainerPhase.EXITED and status.exit_code == 0


def _delete(pod: Pod, actual: Actual, exists: bool) -> Plan:
    alive = [container for container in pod.all_containers if running(actual.containers.get(container.name))]
    if alive and pod.grace_seconds > 0:
        # Sidecars serve the others to the end.
        now_due = [container for container in alive if not container.sidecar] or alive
        return Plan(tuple(_stops(now_due, actual)))
    return Plan((Action(Do.TEAR_DOWN if exists else Do.FORGET),))


def _stops(containers: Sequence[Container], actual: Actual) -> list[Action]:
    return [Action(Do.STOP, container.name) for container in containers if container.name not in actual.stopping]


def _containers(pod: Pod, actual: Actual, now: datetime) -> Plan:
    step = _Step(pod, actual, now)
    statuses = {container.name: actual.containers.get(container.name) for container in pod.all_containers}
    if all(_over(pod.restart_policy, statuses[container.name]) for container in pod.containers):
        return step.finish()
    begun = any(statuses[container.name] is not None for container in pod.containers)
    for container in pod.init_containers:
        status = statuses[container.name]
        if container.sidecar:
            if not running(status):
                step.start(container)
                if not begun:
                    return step.result()
        elif not begun and not succeeded(status):
            if running(status):
                return step.result()
            if status is not None and pod.restart_policy is RestartPolicy.NEVER:
                return step.finish()
            step.start(container)
            return step.result()
    for container in pod.containers:
        status = statuses[container.name]
        if not running(status) and not _over(pod.restart_policy, status):
            step.start(container)
    return step.result()


def _over(policy: RestartPolicy, status: ContainerStatus | None) -> bool:
    """Whether the container ended and is not started again."""
    if status is None or running(status) or policy is RestartPolicy.ALWAYS:
        return False
    return policy is RestartPolicy.NEVER or succeeded(status)


class _Step:
    """Collects what the containers of one pod need."""

    def __init__(self, pod: Pod, actual: Actual, now: datetime) -> None:
        self._pod = pod
        self._actual = actual
        self._now = now
        self._actions: list[Action] = []
        self._again: list[datetime] = []
        self._backing_off: set[str] = set()

    def start(self, container: Container) -> None:
        """Start it, or note when its back-off ends."""
        name = container.name
        status = self._actual.containers.get(name)
        due = self._actual.not_before.get(name, self._now)
        if status is not None and status.finished_at is not None:
            delay = restart_delay(self._actual.restarts.get(name, 0))
            due = max(due, status.finished_at + timedelta(seconds=delay))
        if due > self._now:
            self._again.append(due)
            self._backing_off.add(name)
            return
        attempt = status.attempt + 1 if status is not None else self._actual.attempts.get(name, 0)
        self._actions.append(Action(Do.START, name, attempt))

    def finish(self) -> Plan:
        """Containers ended for good: sidecars are no longer needed, and after them nothing is."""
        alive = [c for c in self._pod.all_containers if running(self._actual.containers.get(c.name))]
        if alive:
            return Plan(tuple(_stops(alive, self._actual)))
        return Plan(finished=True)

    def result(self) -> Plan:
        return Plan(
            tuple(self._actions),
            look_again=min(self._again, default=None),
            backing_off=frozenset(self._backing_off),
        )
