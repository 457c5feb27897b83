"""StatefulSets as pure functions: which ordinal is made, ended or replaced next, and what the status says."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.workloads.daemons import HASH_LABEL
from controller.workloads.podstate import ENDED, PodState

_NAME: Final = re.compile(r"(.*)-(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a StatefulSet asks for."""

    name: str
    replicas: int
    start: int = 0
    """The first ordinal."""
    ordered: bool = True
    """OrderedReady: one after the other, each ready before the next; else all at once (Parallel)."""
    rolling: bool = True
    partition: int = 0
    """Ordinals from here on get the new template."""
    min_ready_seconds: int = 0
    current: str = ""
    """The hash of the template that all pods had at the end of the last rollout."""
    update: str = ""
    """The hash of the present template."""


@dataclass(frozen=True, slots=True)
class Create:
    """A pod to make."""

    ordinal: int
    digest: str
    """Which template it gets."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do."""

    create: tuple[Create, ...] = ()
    delete: tuple[PodState, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """A StatefulSet's status."""

    replicas: int = 0
    ready: int = 0
    available: int = 0
    current: int = 0
    updated: int = 0
    complete: bool = False
    """Whether the rollout is over: the present template is the current one from now on."""
    next_available: float | None = None


def ordinal_of(name: str, pod: str) -> int | None:
    """The ordinal of a pod of the set `name`; None for a pod of another name."""
    found = _NAME.fullmatch(pod)
    return int(found[2]) if found is not None and found[1] == name else None


def _available(plan: Plan, pod: PodState, now: float) -> bool:
    since = pod.available_at(plan.min_ready_seconds)
    return pod.phase == "Running" and not pod.terminating and since is not None and since <= now


def _digest(plan: Plan, ordinal: int) -> str:
    """Which template a new pod gets: below the partition, and with OnDelete never, the new one has no say."""
    if plan.rolling and ordinal >= plan.start + plan.partition:
        return plan.update
    return (plan.current if plan.rolling else plan.update) or plan.update


def decide(plan: Plan, pods: Iterable[PodState], now: float) -> Decision:
    """The next step: fill gaps upwards, end superfluous ones downwards, then replace outdated ones downwards."""
    known = {number: pod for pod in pods if (number := ordinal_of(plan.name, pod.name)) is not None}
    wanted = range(plan.start, plan.start + plan.replicas)
    condemned = [known[number] for number in sorted(known, reverse=True) if number not in wanted]
    create: list[Create] = []
    delete: list[PodState] = []
    for number in wanted:
        pod = known.get(number)
        if pod is None:
            create.append(Create(number, _digest(plan, number)))
        elif pod.phase in ENDED and not pod.terminating:
            delete.append(pod)  # its name must be free before it can be made anew
        elif _available(plan, pod, now):
            continue
        if plan.ordered:
            return Decision(tuple(create), tuple(delete))
    if plan.ordered:
        delete += _one_down(condemned)
        if condemned:
            return Decision(tuple(create), tuple(delete))
    else:
        delete += [pod for pod in condemned if not pod.terminating]
    if not plan.rolling or create or delete:
        return Decision(tuple(create), tuple(delete))
    return Decision((), tuple(_outdated(plan, known, now)))


def _one_down(condemned: Sequence[PodState]) -> list[PodState]:
    if any(pod.terminating for pod in condemned):
        return []
    return list(condemned[:1])


def _outdated(plan: Plan, known: dict[int, PodState], now: float) -> list[PodState]:
    for number in range(plan.start + plan.replicas - 1, plan.start + plan.partition - 1, -1):
        pod = known.get(number)
        if pod is None:
            return []
        if pod.labels.get(HASH_LABEL) != plan.update and not pod.terminating:
            return [pod]
        if not _available(plan, pod, now):
            return []
    return []


def count(plan: Plan, pods: Iterable[PodState], now: float) -> Counts:
    """What the status says."""
    known = [pod for pod in pods if ordinal_of(plan.name, pod.name) is not None and not pod.terminating]
    ready = [pod for pod in known if pod.ready and pod.phase == "Running"]
    times = [since for pod in ready if (since := pod.available_at(plan.min_ready_seconds)) is not None]
    updated = sum(pod.labels.get(HASH_LABEL) == plan.update for pod in known)
    complete = plan.rolling and updated == len(known) == len(ready) == plan.replicas
    current = plan.update if complete else plan.current
    return Counts(
        replicas=len(known),
        ready=len(ready),
        available=sum(since <= now for since in times),
        current=sum(pod.labels.get(HASH_LABEL) == current for pod in known),
        updated=updated,
        complete=complete,
        next_available=min((since for since in times if since > now), default=None),
    )
