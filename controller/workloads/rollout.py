"""A Deployment's rollout as pure functions: which ReplicaSet gets how many replicas next (upstream's algorithm)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """A ReplicaSet and the replicas that it shall have."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class SetState:
    """One ReplicaSet of a Deployment."""

    name: str
    created: str
    """Its creationTimestamp: these compare as text."""
    replicas: int
    """What its spec asks for."""
    actual: int = 0
    ready: int = 0
    available: int = 0
    desired: int | None = None
    """Annotation `deployment.kubernetes.io/desired-replicas`."""
    limit: int | None = None
    """Annotation `deployment.kubernetes.io/max-replicas`."""
    revision: int = 0
    observed: bool = True
    """Whether its status is about its newest spec."""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Deployment asks for, its percentages resolved."""

    replicas: int
    rolling: bool = True
    surge: int = 0
    """Pods above `replicas` during a rolling update."""
    unavailable: int = 0
    """Pods that may be missing during a rolling update."""

    @property
    def limit(self) -> int:
        """The most pods at once."""
        return self.replicas + self.surge

    @property
    def least(self) -> int:
        """The fewest available pods."""
        return self.replicas - self.unavailable


def resolved(value: int | str, total: int, *, up: bool) -> int:
    """A number or a percentage of `total`, rounded up or down."""
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total
    return -(-share // 100) if up else share // 100


def plan(replicas: int, *, rolling: bool, surge: int | str = 0, unavailable: int | str = 0) -> Plan:
    """Resolve a strategy: surge is rounded up, unavailable down; where both are 0, one may be unavailable."""
    if not rolling or not replicas:
        return Plan(replicas, rolling, resolved(surge, replicas, up=True) if rolling else 0)
    more, fewer = resolved(surge, replicas, up=True), resolved(unavailable, replicas, up=False)
    if more == 0 and fewer == 0:
        fewer = 1
    return Plan(replicas, rolling, more, min(fewer, replicas))


def total(sets: Iterable[SetState]) -> int:
    """The replicas that the sets ask for."""
    return sum(one.replicas for one in sets)


def new_set_size(wanted: Plan, current: int, everyone: int) -> int:
    """The new set's size next: all at once, or what the surge leaves room for. `everyone`: replicas of all sets."""
    if not wanted.rolling:
        return wanted.replicas
    if everyone >= wanted.limit:
        return current
    return current + max(0, min(wanted.limit - everyone, wanted.replicas - current))


def roll(wanted: Plan, new: SetState, old: Sequence[SetState]) -> list[Scale]:
    """One step of a rolling update: the new set up when there is room, else the old ones down as far as allowed."""
    size = wanted.replicas if new.replicas > wanted.replicas else new_set_size(wanted, new.replicas, total([new, *old]))
    if size != new.replicas:
        return [Scale(new.name, size)]
    return _shrink_old(wanted, new, [one for one in old if one.replicas])


def _shrink_old(wanted: Plan, new: SetState, old: Sequence[SetState]) -> list[Scale]:
    allowance = total([new, *old]) - wanted.least - (new.replicas - new.available)
    if not old or allowance <= 0:
        return []
    by_age = sorted(old, key=lambda one: (one.created, one.name))
    sizes = {one.name: one.replicas for one in by_age}
    # Pods that are not available go first: nobody misses them, and they may be what blocks the rollout.
    for one in by_age:
        sick = min(allowance, max(0, one.replicas - one.available))
        sizes[one.name] -= sick
        allowance -= sick
    # A set that shrinks right now may still count pods that it is about to delete.
    spare = new.available + sum(min(one.available, one.replicas) for one in by_age) - wanted.least
    for one in by_age:
        healthy = max(0, min(sizes[one.name], spare))
        sizes[one.name] -= healthy
        spare -= healthy
    return [Scale(one.name, sizes[one.name]) for one in by_age if sizes[one.name] != one.replicas]


def scaling_needed(wanted: Plan, sets: Iterable[SetState]) -> bool:
    """Whether the Deployment's replicas changed since its sets were sized."""
    return any(one.replicas and one.desired is not None and one.desired != wanted.replicas for one in sets)


def rescale(wanted: Plan, new: SetState | None, old: Sequence[SetState]) -> list[Scale]:
    """The sizes after the Deployment itself was scaled, or while it is paused.

    The only active set gets all replicas; in the midst of a rollout each gets its share, the largest what is left over.
    Sets whose size stays are listed too: their annotations are brought up to date.
    """
    everyone = [*old, *([new] if new is not None else [])]
    active = [one for one in everyone if one.replicas]
    if not everyone:
        return []
    if len(active) <= 1:
        latest = new if new is not None else max(old, key=lambda one: (one.created, one.name))
        return [Scale((active[0] if active else latest).name, wanted.replicas)]
    if new is not None and _saturated(wanted, new):
        return [Scale(one.name, 0) for one in old if one.replicas]
    return _proportional(wanted, active) if wanted.rolling else []


def _saturated(wanted: Plan, new: SetState) -> bool:
    return new.replicas == new.desired == new.available == wanted.replicas


def _proportional(wanted: Plan, active: Sequence[SetState]) -> list[Scale]:
    allowed = wanted.limit if wanted.replicas else 0
    left = allowed - total(active)
    newest_first = sorted(active, key=lambda one: (one.created, one.name), reverse=left > 0)
    ordered = sorted(newest_first, key=lambda one: -one.replicas)
    sizes = {one.name: one.replicas for one in ordered}
    for one in ordered:
        share = _share(wanted, one, total(active))
        share = min(share, left) if left > 0 else max(share, left)
        sizes[one.name] += share
        left -= share
    sizes[ordered[0].name] = max(0, sizes[ordered[0].name] + left)
    return [Scale(name, size) for name, size in sizes.items()]


def _share(wanted: Plan, one: SetState, present: int) -> int:
    if not wanted.replicas:
        return -one.replicas
    # Where nobody noted the limit of the time when it was sized, the present size stands for it.
    before = one.limit or present
    return math.floor(one.replicas * wanted.limit / before + 0.5) - one.replicas


def surplus_sets(old: Sequence[SetState], history: int | None) -> list[str]:
    """Old sets beyond the history limit, by revision, that nothing uses any more."""
    kept = [one for one in old if not one.deleting]
    if history is None or len(kept) <= history:
        return []
    oldest = sorted(kept, key=lambda one: (one.revision, one.created, one.name))[: len(kept) - history]
    return [one.name for one in oldest if not one.replicas and not one.actual and one.observed]
