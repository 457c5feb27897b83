"""What an agent needs to know of a Pod object to decide about its life. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Any

Object = Mapping[str, Any]


class RestartPolicy(StrEnum):
    """`spec.restartPolicy`."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container of a pod."""

    name: str
    sidecar: bool = False
    """An init container with `restartPolicy: Always`: the next one starts as soon as it runs, and it stays."""


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod of the node."""

    uid: str
    namespace: str
    name: str
    resource_version: int
    init: tuple[ContainerView, ...]
    containers: tuple[ContainerView, ...]
    restart_policy: RestartPolicy = RestartPolicy.ALWAYS
    host_network: bool = False
    address: IPv4Address | None = None
    """`status.podIP`."""
    finished: bool = False
    """Phase Succeeded or Failed: it never runs again."""
    deletion: datetime | None = None
    """`metadata.deletionTimestamp`: when its grace is over."""
    started: Mapping[str, int] = field(default_factory=dict)
    """By container that was started before, as its status says: the restart count."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def view_pod(pod: Object) -> PodView:
    """The view of a Pod object."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    deletion = metadata.get("deletionTimestamp")
    address = status.get("podIP")
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return PodView(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        resource_version=int(metadata["resourceVersion"]),
        init=tuple(
            ContainerView(entry["name"], sidecar=entry.get("restartPolicy") == "Always")
            for entry in spec.get("initContainers") or ()
        ),
        containers=tuple(ContainerView(entry["name"]) for entry in spec["containers"]),
        restart_policy=RestartPolicy(spec.get("restartPolicy") or "Always"),
        host_network=bool(spec.get("hostNetwork")),
        address=IPv4Address(address) if address else None,
        finished=status.get("phase") in ("Succeeded", "Failed"),
        deletion=datetime.fromisoformat(deletion) if deletion else None,
        started={entry["name"]: entry.get("restartCount", 0) for entry in statuses if entry.get("containerID")},
    )
