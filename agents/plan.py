"""What an agent does next for one pod: a pure function of the Pod object, its sandbox and the node's flows.

One call gives the next steps only. The agent takes them and asks again, so an agent that was interrupted anywhere
goes on from what it finds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agents.pod_view import ContainerView, PodView, RestartPolicy
from kubinet.cri import ContainerPhase, ContainerStatus

_FIRST_DELAY: Final = timedelta(seconds=10)
_LONGEST_DELAY: Final = timedelta(seconds=300)
_GOOD_RUN: Final = timedelta(minutes=10)
"""A container that ran so long starts again without delay (kubelet's rules)."""


@dataclass(frozen=True, slots=True)
class Setback:
    """Why a container could not be started, and when to try again."""

    reason: str
    message: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """`state.waiting` of a container."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the next steps depend on."""

    pod: PodView
    now: datetime
    sandbox: bool = False
    attached: bool = False
    """The pod's interface is a configured port of the node's bridge (always so with hostNetwork)."""
    flows: bool = False
    """The node's flows include the pod (always so with hostNetwork)."""
    containers: Mapping[str, ContainerStatus] = field(default_factory=dict)
    """The last attempts in the sandbox."""
    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    good_runs: Mapping[str, int] = field(default_factory=dict)
    """By container: the last attempt that ran long; back-off counts from there."""
    stopping: frozenset[str] = frozenset()
    """Containers that were told to stop already."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start this attempt of a container."""

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do now; fields are independent except that `delete` comes after `remove_sandbox`."""

    assign_address: bool = False
    make_sandbox: bool = False
    attach: bool = False
    await_flows: bool = False
    start: tuple[Start, ...] = ()
    stop: tuple[str, ...] = ()
    grace: float = 0.0
    """Seconds that the containers in `stop` have."""
    remove_sandbox: bool = False
    delete: bool = False
    """The object may go: nothing of the pod is left."""
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    """Containers that wait for something that people should know of."""
    look_again: datetime | None = None


def next_steps(now: Situation) -> Steps:
    """The next steps for a pod."""
    pod = now.pod
    if pod.deletion is not None:
        return _end(now, max(0.0, (pod.deletion - now.now).total_seconds()), delete=True)
    if pod.finished:
        return _end(now, 0.0, delete=False)
    if pod.address is None:
        return Steps(assign_address=True)
    if not now.sandbox:
        return Steps(make_sandbox=True)
    if not now.attached:
        return Steps(attach=True)
    if not now.flows:
        return Steps(await_flows=True)
    return _run(now)


def is_over(pod: PodView, status: ContainerStatus | None) -> bool:
    """Whether the container ended and its pod's restart policy leaves it so."""
    if status is None or status.phase is not ContainerPhase.EXITED:
        return False
    return not _restarts(pod.restart_policy, status)


def init_failed(pod: PodView, containers: Mapping[str, ContainerStatus]) -> bool:
    """Whether an init container failed for good: the pod never starts."""
    if pod.restart_policy is not RestartPolicy.NEVER:
        return False
    ended = (containers.get(init.name) for init in pod.init if not init.sidecar)
    return any(s is not None and s.phase is ContainerPhase.EXITED and s.exit_code != 0 for s in ended)


def ran_well(status: ContainerStatus) -> bool:
    """Whether this attempt ran so long that earlier failures are forgotten."""
    return status.finished_at is not None and status.finished_at - status.started_at >= _GOOD_RUN


def restart_delay(restarts: int) -> timedelta:
    """The delay before the `restarts`-th restart in a row: none for the first, then 10 s, doubling up to 5 minutes."""
    if restarts <= 1:
        return timedelta(0)
    factor: int = 2 ** min(restarts - 2, 8)
    return min(_LONGEST_DELAY, _FIRST_DELAY * factor)


def _restarts(policy: RestartPolicy, status: ContainerStatus) -> bool:
    return policy is RestartPolicy.ALWAYS or (policy is RestartPolicy.ON_FAILURE and status.exit_code != 0)


def _end(now: Situation, grace: float, *, delete: bool) -> Steps:
    running = [name for name, status in now.containers.items() if status.phase is ContainerPhase.RUNNING]
    if running:
        stop = tuple(name for name in running if name not in now.stopping)
        return Steps(stop=stop, grace=grace)
    left = now.sandbox or (now.attached and not now.pod.host_network)
    return Steps(remove_sandbox=left, delete=delete)


class _Run:
    """Collects the steps of a pod that shall run."""

    def __init__(self, now: Situation) -> None:
        self.now = now
        self.start: list[Start] = []
        self.waiting: dict[str, Waiting] = {}
        self.look_again: datetime | None = None

    def launch(self, name: str) -> None:
        """Start the container's next attempt, unless it must wait."""
        status = self.now.containers.get(name)
        setback = self.now.setbacks.get(name)
        if setback is not None and self.now.now < setback.retry_at:
            self._wait(name, Waiting(setback.reason, setback.message), setback.retry_at)
            return
        if status is None:
            started = self.now.pod.started.get(name)
            self.start.append(Start(name, 0 if started is None else started + 1))
            return
        attempt = status.attempt + 1
        delay = restart_delay(attempt - self.now.good_runs.get(name, 0))
        due = (status.finished_at or self.now.now) + delay
        if self.now.now < due:
            pod = self.now.pod
            whose = f"container={name} pod={pod.name}_{pod.namespace}({pod.uid})"
            told = f"back-off {delay.seconds}s restarting failed {whose}"
            self._wait(name, Waiting("CrashLoopBackOff", told), due)
        else:
            self.start.append(Start(name, attempt))

    def _wait(self, name: str, waiting: Waiting, until: datetime) -> None:
        self.waiting[name] = waiting
        self.look_again = until if self.look_again is None else min(self.look_again, until)

    def steps(self, stop: tuple[str, ...] = ()) -> Steps:
        return Steps(start=tuple(self.start), waiting=self.waiting, look_again=self.look_again, stop=stop)


def _run(now: Situation) -> Steps:
    run = _Run(now)
    if init_failed(now.pod, now.containers):
        return run.steps(_running_sidecars(now))
    if all(is_over(now.pod, now.containers.get(container.name)) for container in now.pod.containers):
        return run.steps(_running_sidecars(now))
    for init in now.pod.init:
        if not _init_done(run, init):
            return run.steps()
    for container in now.pod.containers:
        status = now.containers.get(container.name)
        if status is None or (status.phase is ContainerPhase.EXITED and not is_over(now.pod, status)):
            run.launch(container.name)
    return run.steps()


def _init_done(run: _Run, init: ContainerView) -> bool:
    """Whether the next container may start; starts this one where needed."""
    status = run.now.containers.get(init.name)
    if status is not None and status.phase is ContainerPhase.RUNNING:
        return init.sidecar
    if status is not None and status.exit_code == 0 and not init.sidecar:
        return True
    run.launch(init.name)
    # A sidecar that ended later does not hold up the containers that run already.
    return init.sidecar and any(container.name in run.now.containers for container in run.now.pod.containers)


def _running_sidecars(now: Situation) -> tuple[str, ...]:
    names = {init.name for init in now.pod.init}
    return tuple(
        name
        for name, status in now.containers.items()
        if name in names and status.phase is ContainerPhase.RUNNING and name not in now.stopping
    )
