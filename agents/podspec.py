"""A Pod object as its agent sees it: the decisions' inputs as typed values, the rest as the wire object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from agents.events import Subject

Object = Mapping[str, Any]
_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
DEFAULT_GRACE_SECONDS: Final = 30


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

    @property
    def probes(self) -> tuple[str, ...]:
        """The probes that it declares."""
        return tuple(probe for probe in _PROBES if self.wire.get(probe))


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
            Container(entry["name"], entry["image"], entry, entry.get("restartPolicy") == "Always")
            for entry in spec.get("initContainers") or ()
        ),
        containers=tuple(Container(entry["name"], entry["image"], entry) for entry in spec.get("containers") or ()),
        phase=status.get("phase") or "Pending",
        address=_address(status.get("podIP")),
        deleting=bool(metadata.get("deletionTimestamp")),
        grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else int(grace),
        wire=obj,
    )


def _address(text: str | None) -> IPv4Address | None:
    if not text:
        return None
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None  # somebody wrote something else: the agent publishes a new one
