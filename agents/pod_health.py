"""A pod's probes and hooks: what its agent declares to the engine, and what the engine says for plan and status."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final

from agents.plan import Action, Why
from agents.pod_status import container_id
from agents.podrecord import PodTools, Record
from agents.podspec import Container, Pod
from agents.probes.engine import Watched
from agents.probes.hooks import HookKey, Moment
from agents.probes.spec import Kind
from agents.probes.state import Before, Health, Outcome
from agents.probes.target import Target
from kubinet.cri import ContainerPhase, ContainerStatus
from kubinet.netns import of_process
from kubinet.state import NodeFacts

_NO_LIMIT_SECONDS: Final = 10.0 * 365 * 86400
_Essence = tuple[tuple[tuple[str, int], ...], bool]
"""What of a pod is probed: containers with their attempts; whether the pod is being deleted."""
_NOTHING: Final[_Essence] = ((), False)


class PodHealth:
    """Probes and hooks of one node's pods."""

    def __init__(self, tools: PodTools, node: NodeFacts) -> None:
        self._prober = tools.prober
        self._runtime = tools.runtime
        self._node = node
        self._watched: dict[str, _Essence] = {}

    def declare(self, record: Record, address: IPv4Address) -> None:
        """Have the engine probe the containers that run now, and only those."""
        pod = record.pod
        runs: list[tuple[Container, ContainerStatus]] = []
        if pod is not None and pod.probed:
            containers, _ = self._runtime.containers(record.uid)
            hooked = self.post_start(pod, containers)
            for container in pod.all_containers:
                status = containers.get(container.name)
                if container.probes and status is not None and _runs(status) and container.name not in hooked:
                    runs.append((container, status))
        # Asked each time that the agent looks: what is declared already must cost next to nothing.
        essence = tuple((container.name, status.attempt) for container, status in runs), bool(pod and pod.deleting)
        if essence == self._watched.get(record.uid, _NOTHING):
            return
        wanted = {}
        for container, status in runs:
            assert pod is not None
            target = self.target(pod, container, status.attempt, address)
            before = _before(pod, status)
            wanted[container.name] = Watched(target, container.probes, status.started_at, pod.deleting, before)
        self._prober.watch(record.uid, wanted)
        self._watched[record.uid] = essence
        if not wanted:
            del self._watched[record.uid]

    def inputs(self, record: Record) -> tuple[object, ...]:
        """What a plan depends on beside the containers; nothing, and cheap, for a pod without probes and hooks."""
        pod = record.pod
        if pod is None or not (pod.probed or any(one.hooks.post_start is not None for one in pod.all_containers)):
            return ()
        containers, _ = self._runtime.containers(record.uid)
        return (
            self.health(record.uid, containers),
            self.post_start(pod, containers),
            self.condemned(record, containers),
        )

    def close(self) -> None:
        """Probe nothing of this node any more; the pods live on."""
        for uid in self._watched:
            self._prober.watch(uid, {})
        self._watched.clear()

    def forget(self, uid: str) -> None:
        """The pod's sandbox is gone."""
        self._watched.pop(uid, None)
        self._prober.forget(uid)

    def run_post_start(self, record: Record, action: Action, address: IPv4Address) -> None:
        """Run the postStart hook of a container that was just started, if it has one."""
        pod = record.pod
        assert pod is not None
        status = self._runtime.containers(record.uid)[0].get(action.container)
        for container in pod.all_containers:
            hook = container.hooks.post_start
            if container.name != action.container or hook is None or not _runs(status):
                continue
            key = HookKey(record.uid, container.name, action.attempt, Moment.POST_START)
            target = self.target(pod, container, action.attempt, address)
            # Kubernetes sets no limit: a hook that hangs holds the container back until the pod is deleted.
            self._prober.hooks.start(key, target, hook, _NO_LIMIT_SECONDS)

    def target(self, pod: Pod, container: Container, attempt: int, address: IPv4Address) -> Target:
        """Where the probes and hooks of a container go."""
        namespace, subject = of_process(self._node.pid), pod.subject(container.name)
        return Target(
            self._node.name, namespace, pod.uid, container.name, attempt, address, subject, dict(container.ports)
        )

    def health(self, uid: str, containers: Mapping[str, ContainerStatus]) -> Mapping[str, Health]:
        """What the probes say of the runs that are going on."""
        return {
            name: health
            for name, (attempt, health) in self._prober.health(uid).items()
            if name in containers and _runs(containers[name]) and containers[name].attempt == attempt
        }

    def post_start(self, pod: Pod, containers: Mapping[str, ContainerStatus]) -> frozenset[str]:
        """Running containers whose postStart hook is under way."""
        return frozenset(
            container.name
            for container, status in _hooked(pod, containers)
            if self._prober.hooks.under_way(HookKey(pod.uid, container.name, status.attempt, Moment.POST_START))
        )

    def condemned(self, record: Record, containers: Mapping[str, ContainerStatus]) -> Mapping[str, Why]:
        """Containers that have to end because of a probe or hook, and those that have ended so."""
        found = {
            name: why
            for name, (attempt, why) in record.condemned.items()
            if name in containers and containers[name].attempt == attempt
        }
        for name, health in self.health(record.uid, containers).items():
            if health.failed is not None:
                found[name] = Why.STARTUP if health.failed.kind is Kind.STARTUP else Why.LIVENESS
        if record.pod is not None:
            for container, status in _hooked(record.pod, containers):
                key = HookKey(record.uid, container.name, status.attempt, Moment.POST_START)
                result = self._prober.hooks.result(key)
                if result is not None and result.outcome is not Outcome.SUCCESS:
                    found[container.name] = Why.POST_START
        return found


def _hooked(pod: Pod, containers: Mapping[str, ContainerStatus]) -> list[tuple[Container, ContainerStatus]]:
    return [
        (container, containers[container.name])
        for container in pod.all_containers
        if container.hooks.post_start is not None and _runs(containers.get(container.name))
    ]


def _runs(status: ContainerStatus | None) -> bool:
    return status is not None and status.phase is ContainerPhase.RUNNING


def _before(pod: Pod, status: ContainerStatus) -> Before | None:
    """What the API says of this very run."""
    told = pod.wire.get("status") or {}
    for entry in [*(told.get("initContainerStatuses") or ()), *(told.get("containerStatuses") or ())]:
        if entry["name"] == status.name and entry.get("containerID") == container_id(status):
            return Before(bool(entry.get("started")), bool(entry.get("ready")))
    return None
