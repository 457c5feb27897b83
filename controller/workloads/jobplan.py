"""Jobs as pure functions: which pods count, how many more run, and when the Job is over."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from controller.workloads.podstate import ENDED, PodState

FIRST_BACKOFF: Final = 10.0
LAST_BACKOFF: Final = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Job asks for."""

    parallelism: int = 1
    completions: int | None = 1
    """None: the pods decide among themselves; the Job is complete when one succeeded and none runs."""
    backoff_limit: int = 6
    deadline: float | None = None
    """When its activeDeadlineSeconds pass (seconds since the epoch)."""
    suspended: bool = False
    restarts_in_place: bool = False
    """restartPolicy OnFailure: containers' restarts are its retries."""
    only_failed_are_replaced: bool = False
    """podReplacementPolicy Failed: a pod that still ends keeps its place."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Pods that are over, counted for good."""

    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a Job ended."""

    kind: str
    """`Complete` or `Failed`."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next."""

    tally: Tally
    counted: tuple[PodState, ...] = ()
    """Pods that the tally has from now on."""
    failures: int = 0
    """How many of `counted` failed."""
    delete: tuple[PodState, ...] = ()
    create: int = 0
    outcome: Outcome | None = None


_COMPLETE: Final = Outcome("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
_EXCEEDED: Final = Outcome("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
_LATE: Final = Outcome("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")


def backoff(failures: int) -> float:
    """Seconds that pass after so many failures in a row before another pod is made."""
    return min(FIRST_BACKOFF * float(2 ** min(failures - 1, 10)), LAST_BACKOFF) if failures else 0.0


def step(plan: Plan, tally: Tally, pods: Sequence[PodState], already: Collection[str], now: float) -> Step:
    """One step of a Job that is not over. `already`: uids of pods that the tally has though they are still tracked."""
    new = [pod for pod in pods if pod.tracked and pod.uid not in already]
    succeeded = [pod for pod in new if pod.phase == "Succeeded"]
    failed = [pod for pod in new if pod.phase != "Succeeded" and _failed(plan, pod)]
    tally = Tally(tally.succeeded + len(succeeded), tally.failed + len(failed))
    counted = (*succeeded, *failed)
    active = [pod for pod in pods if pod.active]
    outcome = _outcome(plan, tally, active, now)
    if outcome is not None:
        if outcome.kind == "Failed":
            # A failed Job's last pods count as failed, too.
            last = [pod for pod in active if pod.uid not in already]
            tally = Tally(tally.succeeded, tally.failed + len(last))
            counted = (*counted, *last)
        return Step(tally, counted, len(failed), tuple(active), 0, outcome)
    if plan.suspended:
        return Step(tally, counted, len(failed), tuple(active))
    wanted = _wanted(plan, tally, len(active))
    ending = sum(pod.terminating and pod.phase not in ENDED for pod in pods) if plan.only_failed_are_replaced else 0
    surplus = max(0, len(active) - wanted)
    return Step(
        tally,
        counted,
        len(failed),
        tuple(sorted(active, key=_worth)[:surplus]),
        max(0, wanted - len(active) - ending),
    )


def _failed(plan: Plan, pod: PodState) -> bool:
    return pod.phase == "Failed" or (pod.terminating and not plan.only_failed_are_replaced)


def _worth(pod: PodState) -> tuple[bool, bool, bool, float, str]:
    return (bool(pod.node), pod.phase == "Running", pod.ready, -pod.created, pod.name)


def _wanted(plan: Plan, tally: Tally, active: int) -> int:
    if plan.completions is None:
        return min(active, plan.parallelism) if tally.succeeded else plan.parallelism
    return min(plan.completions - tally.succeeded, plan.parallelism)


def _outcome(plan: Plan, tally: Tally, active: Sequence[PodState], now: float) -> Outcome | None:
    if plan.suspended:
        return None
    restarts = sum(pod.restarts for pod in active) if plan.restarts_in_place else 0
    if tally.failed > plan.backoff_limit or restarts > max(0, plan.backoff_limit - 1):
        return _EXCEEDED
    if plan.completions is None:
        if tally.succeeded and not active:
            return _COMPLETE
    elif tally.succeeded >= plan.completions:
        return _COMPLETE
    return _LATE if plan.deadline is not None and now >= plan.deadline else None
