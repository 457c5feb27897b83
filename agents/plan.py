"""What to do next for one pod: a pure function of what the API wants and what exists.

The agent carries out the actions of all its pods together, kind by kind, and plans again until nothing is left to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, IntEnum, auto
from typing import Final

from agents.podspec import Container, Pod, RestartPolicy
from agents.probes.spec import Kind
from agents.probes.state import Health
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


class Why(Enum):
    """Why a container is stopped."""

    OVER = auto()
    """The pod ends, or no longer needs it."""
    LIVENESS = auto()
    STARTUP = auto()
    POST_START = auto()
    """Its postStart hook failed."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do for a pod; `container` and `attempt` for START, `container` and `why` for STOP."""

    do: Do
    container: str = ""
    attempt: int = 0
    why: Why = Why.OVER


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
    health: Mapping[str, Health] = field(default_factory=dict)
    """What probes say of running containers; those without probes may be missing."""
    post_start: frozenset[str] = frozenset()
    """Running containers whose postStart hook has not ended yet: they do not count as running for others."""
    condemned: Mapping[str, Why] = field(default_factory=dict)
    """Containers that have to end, or have ended, because of a probe or hook: a failure, whatever their status."""
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
    overdue: bool = False
    """The pod was active for longer than its `activeDeadlineSeconds`: finished, it has failed."""


def plan(pod: Pod | None, actual: Actual, realised: int, now: datetime) -> Plan:
    """The next step. `pod` is None when the API has it no more; `realised`: the node's generation."""
    decided = _plan(pod, actual, realised, now)
    if pod is None or pod.deadline is None or pod.deleting or pod.ended or now >= pod.deadline:
        return decided
    return replace(decided, look_again=min(decided.look_again or pod.deadline, pod.deadline))


def _plan(pod: Pod | None, actual: Actual, realised: int, now: datetime) -> Plan:
    if actual.blocked_until is not None and now < actual.blocked_until:
        return Plan(look_again=actual.blocked_until)
    exists = actual.sandbox or actual.connected
    if pod is None:
        return Plan((Action(Do.TEAR_DOWN if exists else Do.FORGET),))
    if pod.deleting:
        return _delete(pod, actual, exists)
    if pod.ended:
        return Plan((Action(Do.TEAR_DOWN),) if exists else (), finished=True)
    if pod.deadline is not None and now >= pod.deadline:
        return replace(_Step(pod, actual, now).finish(), overdue=True)
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


def started(container: Container, actual: Actual) -> bool:
    """Whether it runs and has passed its postStart hook and startup probe, as far as it has them."""
    name = container.name
    if not running(actual.containers.get(name)) or name in actual.post_start:
        return False
    health = actual.health.get(name)
    return health.started if health is not None else not container.has(Kind.STARTUP)


def ready(container: Container, actual: Actual) -> bool:
    """Whether it has started and its readiness probe, if any, has passed."""
    health = actual.health.get(container.name)
    passed = health.ready if health is not None else not container.has(Kind.READINESS)
    return started(container, actual) and passed


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
    step.stop_condemned()
    if all(step.over(container) for container in pod.containers):
        return step.finish()
    begun = any(statuses[container.name] is not None for container in pod.containers)
    for container in pod.init_containers:
        status = statuses[container.name]
        if container.sidecar:
            if not running(status):
                step.start(container)
            if not begun and not started(container, actual):
                return step.result()
        elif not begun and not succeeded(status):
            if running(status):
                return step.result()
            if status is not None and pod.restart_policy is RestartPolicy.NEVER:
                return step.finish()
            step.start(container)
            return step.result()
    for container in pod.containers:
        if not running(statuses[container.name]) and not step.over(container):
            waits = step.start(container) and container.hooks.post_start is not None
        else:
            waits = container.name in actual.post_start
        if waits:
            break  # containers are started in order, and a postStart hook belongs to the start
    return step.result()


class _Step:
    """Collects what the containers of one pod need."""

    def __init__(self, pod: Pod, actual: Actual, now: datetime) -> None:
        self._pod = pod
        self._actual = actual
        self._now = now
        self._actions: list[Action] = []
        self._again: list[datetime] = []
        self._backing_off: set[str] = set()

    def over(self, container: Container) -> bool:
        """Whether the container ended and is not started again."""
        policy, status = self._pod.restart_policy, self._actual.containers.get(container.name)
        if status is None or running(status) or policy is RestartPolicy.ALWAYS:
            return False
        return policy is RestartPolicy.NEVER or (succeeded(status) and container.name not in self._actual.condemned)

    def stop_condemned(self) -> None:
        """Stop what a probe or a hook says has to end."""
        for container in self._pod.all_containers:
            why = self._actual.condemned.get(container.name)
            alive = running(self._actual.containers.get(container.name))
            if why is not None and alive and container.name not in self._actual.stopping:
                self._actions.append(Action(Do.STOP, container.name, why=why))

    def start(self, container: Container) -> bool:
        """Start it, or note when its back-off ends; whether it is started."""
        name = container.name
        status = self._actual.containers.get(name)
        due = self._actual.not_before.get(name, self._now)
        if status is not None and status.finished_at is not None:
            delay = restart_delay(self._actual.restarts.get(name, 0))
            due = max(due, status.finished_at + timedelta(seconds=delay))
        if due > self._now:
            self._again.append(due)
            self._backing_off.add(name)
            return False
        attempt = status.attempt + 1 if status is not None else self._actual.attempts.get(name, 0)
        self._actions.append(Action(Do.START, name, attempt))
        return True

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
