"""ReplicaSet as pure functions: which pods go first, how many are missing, what the status says."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.workloads.podstate import PodState

_PHASES: Final = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class Replicas:
    """What a ReplicaSet's status counts."""

    replicas: int = 0
    fully_labeled: int = 0
    ready: int = 0
    available: int = 0
    next_available: float | None = None
    """When the next ready pod becomes available by itself (seconds since the epoch)."""


def count(pods: Iterable[PodState], template_labels: dict[str, str], min_ready_seconds: int, now: float) -> Replicas:
    """Count a set's active pods."""
    replicas = labeled = ready = available = 0
    upcoming: float | None = None
    wanted = template_labels.items()
    for pod in pods:
        if not pod.active:
            continue
        replicas += 1
        labeled += wanted <= pod.labels.items()
        ready += pod.ready
        since = pod.available_at(min_ready_seconds)
        if since is None:
            continue
        if since <= now:
            available += 1
        else:
            upcoming = since if upcoming is None else min(since, upcoming)
    return Replicas(replicas, labeled, ready, available, upcoming)


def _recency(since: float | None, now: float) -> float:
    """The power of two of an age: pods of about the same age are not told apart by it (upstream's log scale)."""
    if since is None:
        return -1.0
    age = now - since
    return math.floor(math.log2(age)) if age >= 1 else 0.0


def _priority(pod: PodState, neighbours: Counter[str], now: float) -> tuple[Any, ...]:
    ready = _recency(pod.ready_since, now) if pod.ready else 0.0
    return (
        bool(pod.node),
        _PHASES.get(pod.phase, 0),
        pod.ready,
        pod.cost,
        -neighbours[pod.node],
        ready,
        -pod.restarts,
        _recency(pod.created, now),
        pod.uid,
    )


def victims(pods: Sequence[PodState], surplus: int, related: Iterable[PodState], now: float) -> list[PodState]:
    """Which active pods to delete: those whose loss costs least.

    Unassigned before assigned, pending before running, not ready before ready, low deletion cost before high, pods
    that share their node with more pods of `related` (all active pods of the same owner's sets), ready for a shorter
    time, with more restarts, younger.
    """
    if surplus >= len(pods):
        return list(pods)
    neighbours = Counter(pod.node for pod in related if pod.active)
    return sorted(pods, key=lambda pod: _priority(pod, neighbours, now))[:surplus]
