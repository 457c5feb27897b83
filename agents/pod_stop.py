"""Stopping containers: the event, the preStop hook, then SIGTERM with what is left of the grace."""

import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from agents.events import Severity
from agents.plan import Action, Why
from agents.pod_health import PodHealth
from agents.podrecord import PodTools, Record, Stopping
from agents.podspec import Container, Pod, RestartPolicy
from agents.probes.hooks import HookKey, Moment
from agents.probes.spec import Kind
from agents.probes.state import Outcome
from kubinet.cri import ContainerPhase
from kubinet.state import NodeFacts

_LEAST_GRACE_SECONDS: Final = 2.0
"""A container gets at least this long after SIGTERM, however long its preStop hook took, as with kubelet."""
_PROBE_OF: Final = {Why.LIVENESS: Kind.LIVENESS, Why.STARTUP: Kind.STARTUP}


@dataclass(frozen=True, slots=True)
class Words:
    """The text of the event `Killing`."""

    container: str
    why: Why
    again: bool
    """Whether the container will be started again."""

    def __str__(self) -> str:
        match self.why:
            case Why.OVER:
                return f"Stopping container {self.container}"
            case Why.POST_START:
                return "FailedPostStartHook"
            case Why.LIVENESS | Why.STARTUP:
                end = ", will be restarted" if self.again else ""
                return f"Container {self.container} failed {_PROBE_OF[self.why].lower()} probe{end}"


class ContainerStopper:
    """Stops containers of one node's pods."""

    def __init__(self, tools: PodTools, health: PodHealth, node: NodeFacts) -> None:
        self._tools = tools
        self._health = health
        self._node = node

    def stop(self, record: Record, action: Action, address: IPv4Address) -> None:
        """Begin to stop a container: its preStop hook if it has one, else SIGTERM."""
        pod = record.pod
        assert pod is not None
        name = action.container
        container = next(one for one in pod.all_containers if one.name == name)
        status = self._tools.runtime.containers(record.uid)[0][name]
        if action.why is not Why.OVER:
            record.condemned[name] = (status.attempt, action.why)
        if action.why is Why.POST_START:
            self._tell(pod, name, "Warning", "FailedPostStartHook", "PostStartHook failed")
        again = pod.restart_policy is not RestartPolicy.NEVER or container.sidecar
        self._tell(pod, name, "Normal", "Killing", str(Words(name, action.why, again)))
        grace = grace_of(pod, container, action.why)
        record.stopping.add(name)
        if container.hooks.pre_stop is None or grace <= 0:
            self._tools.runtime.end(record.uid, name, max(grace, _LEAST_GRACE_SECONDS))
            return
        key = HookKey(record.uid, name, status.attempt, Moment.PRE_STOP)
        target = self._health.target(pod, container, status.attempt, address)
        self._tools.prober.hooks.start(key, target, container.hooks.pre_stop, grace)
        record.pre_stop[name] = Stopping(key, time.monotonic() + grace)

    def after_hooks(self, record: Record) -> None:
        """Send SIGTERM to containers whose preStop hook has ended."""
        containers, _ = self._tools.runtime.containers(record.uid)
        for name, stopping in list(record.pre_stop.items()):
            status = containers.get(name)
            alive = status is not None and status.phase is ContainerPhase.RUNNING
            if not alive or (status is not None and status.attempt != stopping.key.attempt):
                del record.pre_stop[name]  # it ended meanwhile
                continue
            result = self._tools.prober.hooks.result(stopping.key)
            if result is None:
                continue
            if result.outcome is not Outcome.SUCCESS and record.pod is not None:
                self._tell(record.pod, name, "Warning", "FailedPreStopHook", f"PreStopHook failed: {result.text}")
            grace = max(stopping.deadline - time.monotonic(), _LEAST_GRACE_SECONDS)
            self._tools.runtime.end(record.uid, name, grace)
            del record.pre_stop[name]

    def _tell(self, pod: Pod, container: str, severity: Severity, reason: str, message: str) -> None:
        self._tools.events.tell(pod.subject(container), self._node.name, severity, reason, message)


def grace_of(pod: Pod, container: Container, why: Why) -> float:
    """Seconds that a container has to end: the deletion's, else the failed probe's own, else the pod's."""
    if not pod.deleting and why in _PROBE_OF:
        for probe in container.probes:
            if probe.kind is _PROBE_OF[why] and probe.grace is not None:
                return float(probe.grace)
    return float(pod.grace_seconds)
