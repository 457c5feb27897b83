"""DaemonSets as pure functions: where a pod is missing, which ones go, and what the status says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.workloads.podstate import ENDED, PodState
from controller.workloads.rollout import resolved

HASH_LABEL = "controller-revision-hash"


@dataclass(frozen=True, slots=True)
class Fit:
    """What a DaemonSet's pods may do on one node."""

    runs: bool
    """One shall be there."""
    stays: bool
    """One that is there may stay."""


@dataclass(frozen=True, slots=True)
class Update:
    """How pods of an older template are replaced."""

    digest: str
    """The present template's `controller-revision-hash`."""
    rolling: bool = True
    unavailable: int | str = 1
    """Nodes without an available pod meanwhile; a percentage of the nodes is rounded up."""
    min_ready_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """A DaemonSet's status."""

    desired: int = 0
    current: int = 0
    misscheduled: int = 0
    ready: int = 0
    updated: int = 0
    available: int = 0
    next_available: float | None = None
    """When the next ready pod becomes available by itself (seconds since the epoch)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do."""

    create: tuple[str, ...] = ()
    """Nodes that need a pod."""
    delete: tuple[PodState, ...] = ()
    ended: tuple[PodState, ...] = ()
    """Those among `delete` that failed or succeeded, though daemons never end."""


def by_node(pods: Iterable[PodState]) -> dict[str, list[PodState]]:
    """Pods by the node that they are on, or are meant for; the oldest first."""
    found: dict[str, list[PodState]] = {}
    for pod in sorted(pods, key=lambda pod: (pod.created, pod.name)):
        found.setdefault(pod.target, []).append(pod)
    return found


def decide(fits: Mapping[str, Fit], pods: Iterable[PodState], update: Update, now: float) -> Decision:
    """One pod on each node that shall have one, none elsewhere; old ones go as far as the update allows."""
    placed = by_node(pods)
    create: list[str] = []
    delete: list[PodState] = []
    ended: list[PodState] = []
    kept: dict[str, PodState] = {}
    for node in sorted({*fits, *placed}):
        fit = fits.get(node, Fit(False, False))
        there = placed.get(node, [])
        # A pod that still ends holds its place: its ports and names are not free yet.
        if not there and fit.runs:
            create.append(node)
        present = [pod for pod in there if not pod.terminating]
        if not fit.stays:
            delete += present
            continue
        over = [pod for pod in present if pod.phase in ENDED]
        ended += over
        alive = [pod for pod in present if pod.phase not in ENDED]
        # The one with a node goes before one that waits for it; then the oldest stays.
        alive.sort(key=lambda pod: not pod.node)
        delete += [*over, *alive[1:]]
        if alive:
            kept[node] = alive[0]
    if update.rolling:
        delete += _outdated(fits, kept, update, now)
    return Decision(tuple(create), tuple(delete), tuple(ended))


def _available(pod: PodState, update: Update, now: float) -> bool:
    since = pod.available_at(update.min_ready_seconds)
    return since is not None and since <= now


def _outdated(fits: Mapping[str, Fit], kept: Mapping[str, PodState], update: Update, now: float) -> Sequence[PodState]:
    wanted = sorted(node for node, fit in fits.items() if fit.runs)
    missing = 0
    at_once: list[PodState] = []
    candidates: list[PodState] = []
    for node in wanted:
        pod = kept.get(node)
        if pod is None or not _available(pod, update, now):
            missing += 1
            if pod is not None and pod.labels.get(HASH_LABEL) != update.digest:
                at_once.append(pod)  # nobody misses it
        elif pod.labels.get(HASH_LABEL) != update.digest:
            candidates.append(pod)
    allowed = resolved(update.unavailable, len(wanted), up=True)
    return [*at_once, *candidates[: max(0, allowed - missing)]]


def count(fits: Mapping[str, Fit], pods: Iterable[PodState], update: Update, now: float) -> Counts:
    """What the status says: per node its oldest pod that is not being deleted."""
    placed = by_node(pod for pod in pods if not pod.terminating)
    desired = [node for node, fit in fits.items() if fit.runs]
    first = [placed[node][0] for node in desired if node in placed]
    times = [since for pod in first if (since := pod.available_at(update.min_ready_seconds)) is not None]
    return Counts(
        desired=len(desired),
        current=len(first),
        misscheduled=sum(1 for node, fit in fits.items() if not fit.runs and node in placed),
        ready=sum(pod.ready for pod in first),
        updated=sum(pod.labels.get(HASH_LABEL) == update.digest for pod in first),
        available=sum(since <= now for since in times),
        next_available=min((since for since in times if since > now), default=None),
    )
