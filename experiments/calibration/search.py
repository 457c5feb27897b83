"""Finding the highest level that holds, by halving a ladder of levels. Pure but for the trial that it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """How far up the ladder the machine came."""

    value: float
    """The highest level that held; 0: none."""
    failed: float | None
    """The lowest level that failed; None: none did."""
    reason: str


def highest(
    ladder: Sequence[float], trial: Callable[[float], str], may_go_on: Callable[[], bool], *, attempts: int = 2
) -> Found:
    """The highest level of a rising ladder for which `trial` has nothing to say against it.

    A level that fails is tried again, `attempts` times in all, as other work may have disturbed it. Every level is
    taken to be harder than those below. The search ends early, with what it knows, when `may_go_on()` is false.
    """
    low, high = -1, len(ladder)
    reason = ""
    step = 0
    while high - low > 1:
        if not may_go_on():
            return _found(ladder, low, high, reason or "the time for trying was over")
        # Up in jumps from the bottom, as a level that holds costs little, then halving.
        middle = min(2**step - 1, high - 1) if high == len(ladder) else (low + high) // 2
        middle = max(middle, low + 1)
        step += 1
        said = _tried(ladder[middle], trial, attempts, may_go_on)
        if said:
            high, reason = middle, said
        else:
            low = middle
    return _found(ladder, low, high, reason or "the highest level that is tried")


def _tried(level: float, trial: Callable[[float], str], attempts: int, may_go_on: Callable[[], bool]) -> str:
    said = ""
    for number in range(attempts):
        said = trial(level)
        if not said or (number + 1 < attempts and not may_go_on()):
            break
    return said


def _found(ladder: Sequence[float], low: int, high: int, reason: str) -> Found:
    return Found(ladder[low] if low >= 0 else 0.0, ladder[high] if high < len(ladder) else None, reason)
