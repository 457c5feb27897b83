"""Starting containers: the specs of all that are due, one call to the runtime, and what to tell people about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from agents.clusterview import ROOT_CA
from agents.machine import read_machine
from agents.plan import Action, restart_delay
from agents.pod_status import Problem
from agents.podcontainers import container_spec
from agents.podrecord import PodTools, Record
from agents.podsources import ContainerConfigError, Surroundings
from agents.podspec import Container, Pod
from kubinet.client import Client
from kubinet.cri import ContainerPhase, ContainerSpec, ContainerStatus
from kubinet.errors import ApiError, KubinetError
from kubinet.images import InvalidImageNameError, MissingProgramError, UnknownImageError
from kubinet.state import NodeFacts


@dataclass(frozen=True, slots=True)
class _Due:
    record: Record
    pod: Pod
    container: Container
    spec: ContainerSpec


class ContainerStarter:
    """Starts containers of one node's pods."""

    def __init__(self, tools: PodTools, client: Client, node: NodeFacts) -> None:
        self._tools = tools
        self._client = client
        self._node = node
        self._machine = read_machine()

    def start(self, entries: Sequence[tuple[Record, Action]], addresses: Mapping[str, IPv4Address]) -> None:
        """Start what can be started; what cannot is a problem of its record, with an event and a time to try again."""
        due: list[_Due] = []
        around: dict[str, Surroundings] = {}
        for record, action in entries:
            pod = record.pod
            assert pod is not None
            container = next(one for one in pod.all_containers if one.name == action.container)
            if record.uid not in around:
                around[record.uid] = self._surroundings(addresses[record.uid])
            try:
                spec, note = container_spec(pod, container, action.attempt, self._tools.images, around[record.uid])
            except KubinetError as error:
                self._failed(record, pod, container, error)
                continue
            self._mention(record, pod, container, note)
            due.append(_Due(record, pod, container, spec))
        if due:
            for one, status in zip(due, self._tools.runtime.begin([one.spec for one in due]), strict=True):
                self._begun(one, status)

    def _surroundings(self, address: IPv4Address) -> Surroundings:
        return Surroundings(
            self._node.name,
            self._node.underlay.ip,
            address,
            self._lookup,
            self._machine.cpus,
            self._machine.memory,
            token=self._token,
            services=lambda namespace, links: self._tools.cluster.variables(namespace, links=links),
        )

    def _token(self, pod: Pod, source: Mapping[str, Any]) -> str:
        return self._client.request_token(
            pod.wire["spec"]["serviceAccountName"],
            pod.namespace,
            audiences=[source["audience"]] if source.get("audience") else [],
            seconds=int(source.get("expirationSeconds") or 3600),
            pod=(pod.name, pod.uid),
        )

    def _lookup(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        if (kind, name) == ("ConfigMap", ROOT_CA) and (known := self._tools.cluster.authority(namespace)) is not None:
            return known  # every pod mounts it: no request for each
        try:
            return self._client.get(kind, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _failed(self, record: Record, pod: Pod, container: Container, error: KubinetError) -> None:
        name = container.name
        tried = name in record.problems
        image = isinstance(error, UnknownImageError | MissingProgramError)
        if isinstance(error, InvalidImageNameError):
            reason, message = "InvalidImageName", str(error)
        elif image:
            reason = "ImagePullBackOff" if tried else "ErrImagePull"
            message = str(error)
        elif isinstance(error, ContainerConfigError):
            reason, message = "CreateContainerConfigError", str(error)
        else:
            reason, message = "CreateContainerError", str(error)
        text = f'Failed to pull image "{container.image}": {message}' if image else f"Error: {message}"
        self._tell(pod, "Warning", "BackOff" if image and tried else "Failed", text, name)
        record.problems[name] = Problem(reason, message)
        # Tried again: the ConfigMap may come, the program may be installed.
        record.failures += 1
        seconds = restart_delay(record.failures)
        record.not_before[name] = datetime.now(UTC) + timedelta(seconds=seconds)

    def _begun(self, one: _Due, status: ContainerStatus) -> None:
        name = one.container.name
        one.record.problems.pop(name, None)
        one.record.not_before.pop(name, None)
        image = one.container.image
        self._tell(one.pod, "Normal", "Pulled", f'Container image "{image}" already present on machine', name)
        if status.phase is ContainerPhase.EXITED and status.reason == "StartError":
            self._tell(one.pod, "Warning", "Failed", f"Error: {status.message}", name)
            return
        self._tell(one.pod, "Normal", "Created", f"Created container {name}", name)
        self._tell(one.pod, "Normal", "Started", f"Started container {name}", name)
        for sentence in status.unenforced:
            self._once(one.record, one.pod, "LimitNotEnforced", sentence, name)
        last = one.record.restarts.get(name, 0)
        if last > 1:
            delay = restart_delay(last - 1)
            text = f"Back-off of {delay} s restarting failed container {name} in pod {one.pod.key}"
            self._tell(one.pod, "Warning", "BackOff", text, name)

    def _mention(self, record: Record, pod: Pod, container: Container, note: str) -> None:
        if note:
            self._once(record, pod, "ImageSubstituted", note, container.name)

    def _once(self, record: Record, pod: Pod, reason: str, message: str, container: str) -> None:
        if message not in record.told:
            record.told.add(message)
            self._tell(pod, "Warning", reason, message, container)

    def _tell(self, pod: Pod, severity: Any, reason: str, message: str, container: str) -> None:
        self._tools.events.tell(pod.subject(container), self._node.name, severity, reason, message)
