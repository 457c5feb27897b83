"""What an agent remembers of its pods, and what the pods of all nodes share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents.clusterview import ClusterView
from agents.events import EventRecorder
from agents.plan import Why
from agents.pod_network import Attached
from agents.pod_status import Problem
from agents.podresolver import ClusterDns
from agents.podspec import Pod
from agents.probes.engine import Prober
from agents.probes.hooks import HookKey
from agents.runtime_view import RuntimeView
from kubinet.liveimages import LiveTable


@dataclass(frozen=True, slots=True)
class PodTools:
    """What the pods of all nodes share."""

    runtime: RuntimeView
    events: EventRecorder
    images: LiveTable
    prober: Prober
    dns: ClusterDns
    cluster: ClusterView


@dataclass(frozen=True, slots=True)
class Stopping:
    """A container whose preStop hook runs."""

    key: HookKey
    deadline: float
    """When its grace is over (time.monotonic)."""


@dataclass(slots=True)
class Record:
    """What the agent knows of one pod beside the API and the runtime."""

    uid: str
    pod: Pod | None = None
    published: int | None = None
    attached: Attached | None = None
    restarts: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    not_before: dict[str, datetime] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    pre_stop: dict[str, Stopping] = field(default_factory=dict)
    condemned: dict[str, tuple[int, Why]] = field(default_factory=dict)
    """Attempts that were stopped because of a probe or hook."""
    blocked_until: datetime | None = None
    failures: int = 0
    network_overdue: datetime | None = None
    quiet_until: datetime | None = None
    """Until when the API need not hear that the new pod waits for its flows."""
    told: set[str] = field(default_factory=set)
    """Warnings that are said once."""
    written: Mapping[str, Any] | None = None
    """The status that we wrote last, until the API's copy is newer."""
    written_version: int = 0
    seen: tuple[object, ...] | None = None
    """What the pod was last planned by (`PodManager._inputs`); None: it has to be planned."""
    look_again: datetime | None = None
    """When it has to be planned although nothing changed."""
