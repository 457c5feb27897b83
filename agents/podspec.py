"""A Pod object as its agent sees it: the decisions' inputs as typed values, the rest as the wire object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from agents.events import Subject
from agents.probes.spec import Hooks, Kind, Probe, hooks_of, ports_of, probes_of

Object = Mapping[str, Any]
DEFAULT_GRACE_SECONDS: Final = 30
_NO_HOOKS: Final = Hooks()


class RestartPolicy(StrEnum):
    """When an ended container is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class Container:
    """One container, or init container."""

    name: str
    image: str
    wire: Object
    sidecar: bool = False
    """An init container with restartPolicy Always: it runs beside the others and does not hold up the end."""
    probes: tuple[Probe, ...] = ()
    hooks: Hooks = _NO_HOOKS

    @property
    def ports(self) -> Mapping[str, int]:
        """Its named ports."""
        return ports_of(self.wire)

    def has(self, kind: Kind) -> bool:
        """Whether it declares such a probe."""
        return any(probe.kind is kind for probe in self.probes)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod that is bound to the agent's node."""

    uid: str
    namespace: str
    name: str
    version: int
    """The object's resourceVersion."""
    host_network: bool
    restart_policy: RestartPolicy
    init_containers: tuple[Container, ...]
    containers: tuple[Container, ...]
    phase: str
    address: IPv4Address | None
    """`status.podIP`."""
    deleting: bool
    grace_seconds: int
    """Of the deletion when it has begun, else `terminationGracePeriodSeconds`."""
    wire: Object
    deadline: datetime | None = None
    """When it has been active for `activeDeadlineSeconds`; None without them, and before its start."""
    readiness_gates: tuple[str, ...] = ()
    """Types of conditions that others write and that Ready needs."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def ended(self) -> bool:
        """Whether its phase is final."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def all_containers(self) -> tuple[Container, ...]:
        """Init containers, then containers."""
        return self.init_containers + self.containers

    @property
    def probed(self) -> bool:
        """Whether a container has probes."""
        return any(container.probes for container in self.all_containers)

    def subject(self, container: str = "") -> Subject:
        """For events about the pod or one of its containers."""
        kind = "initContainers" if any(c.name == container for c in self.init_containers) else "containers"
        path = f"spec.{kind}{{{container}}}" if container else ""
        return Subject("Pod", self.name, self.uid, self.namespace, path)


def pod_from_object(obj: Object) -> Pod:
    """Decode a Pod object; the API server has validated and defaulted it."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    grace = spec.get("terminationGracePeriodSeconds")
    if metadata.get("deletionTimestamp"):
        grace = metadata.get("deletionGracePeriodSeconds", grace)
    host_network = bool(spec.get("hostNetwork"))
    return Pod(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        host_network=host_network,
        restart_policy=RestartPolicy(spec.get("restartPolicy") or "Always"),
        init_containers=tuple(
            _container(entry, sidecar=entry.get("restartPolicy") == "Always")
            for entry in spec.get("initContainers") or ()
        ),
        containers=tuple(_container(entry) for entry in spec.get("containers") or ()),
        phase=status.get("phase") or "Pending",
        address=_address(status.get("podIP")),
        deleting=bool(metadata.get("deletionTimestamp")),
        grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else int(grace),
        wire=obj,
        deadline=_deadline(spec.get("activeDeadlineSeconds"), status.get("startTime")),
        readiness_gates=tuple(gate["conditionType"] for gate in spec.get("readinessGates") or ()),
    )


def _container(entry: Object, *, sidecar: bool = False) -> Container:
    return Container(entry["name"], entry["image"], entry, sidecar, probes_of(entry), hooks_of(entry))


def _deadline(seconds: int | None, start: str | None) -> datetime | None:
    if seconds is None or not start:
        return None
    return datetime.fromisoformat(start) + timedelta(seconds=int(seconds))


def _address(text: str | None) -> IPv4Address | None:
    if not text:
        return None
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None  # somebody wrote something else: the agent publishes a new one
