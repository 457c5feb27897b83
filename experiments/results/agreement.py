"""How well the medians of two folders agree where nothing has changed, and what else differed. Pure."""

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any, Final

import pandas as pd

from experiments.results.loading import Results
from experiments.runstats import FEW_RUNS

_Z: Final = NormalDist().inv_cdf(0.975)
_IDLE_STEP: Final = 0.05
"""So much of all CPUs' time is a difference worth telling."""
_LOAD_STEP: Final = 0.5
_SPEED_STEP: Final = 0.05
"""A processor that is so much slower or faster is told."""
_DIRTY: Final = "dirty"


def expected_inside(before: int, after: int) -> float:
    """How likely a median of `after` runs is inside the 95 % interval of `before` runs when nothing has changed.

    With fewer than six runs the interval is about their range, and runs are ranks: the median is above it where more
    than half of the later runs are above all earlier ones. With more: Cumming and Maillardet, Confidence intervals and
    replication: Where will the next mean fall?, Psychological Methods 11 (2006); 83 % for equal numbers.
    """
    if before >= FEW_RUNS:
        return 2 * NormalDist().cdf(_Z * math.sqrt(after / (before + after))) - 1

    def above(count: int) -> float:
        """At least `count` of the later runs are above all earlier ones."""
        return math.comb(after, count) / math.comb(before + after, count)

    half = after // 2 + 1
    # An even number's median lies between two runs: about as often above as halfway between both.
    return 1 - 2 * (above(half) if after % 2 else (above(half) + above(half - 1)) / 2)


def differences(first: Results, second: Results) -> tuple[str, ...]:
    """What else was not the same: machine, versions, code, seed, load before, idle time, the processor's speed."""
    found = (
        *_facts(first.machine_facts, second.machine_facts),
        *_facts(first.versions, second.versions),
        *_changes(first, second),
        *_seeds(first, second),
        *_loads(first, second),
        *_seconds(first, second),
        *_speeds(first, second),
    )
    return tuple(dict.fromkeys(found))


def _facts(before: Mapping[str, Any], after: Mapping[str, Any], about: str = "") -> Iterator[str]:
    for name in (name for name in before if name in after):  # what one of them did not record says nothing
        old, new = before.get(name), after.get(name)
        words = f"{about}{name.replace('_', ' ')} "
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _facts(old, new, "" if name in ("packages", "programs") else words)
        elif old != new and name != _DIRTY:
            yield f"{words}{_said(old)} and {_said(new)}"


def _said(value: object) -> str:
    return "none" if value in (None, "", []) else str(value)


def _changes(first: Results, second: Results) -> Iterator[str]:
    """Code that differs from its commit is known by no name."""
    sides = {"first": first, "second": second}
    dirty = [name for name, side in sides.items() if (side.versions.get("git") or {}).get(_DIRTY)]
    if dirty:
        yield f"changes that are not committed ({' and '.join(dirty)})"


def _seeds(first: Results, second: Results) -> Iterator[str]:
    if first.design.seed != second.design.seed:
        yield f"seed {first.design.seed} and {second.design.seed}"


def _loads(first: Results, second: Results) -> Iterator[str]:
    loads = [
        [float(one["load_before"][0]) for one in side.session.get("sessions", ()) if one.get("load_before")]
        for side in (first, second)
    ]
    if all(loads):
        before, after = map(max, loads)
        if abs(before - after) >= _LOAD_STEP:
            yield f"load average before {before:.1f} and {after:.1f}"


def _seconds(first: Results, second: Results) -> Iterator[str]:
    for name in ("idle", "steal"):
        shares = [_column(side, name) for side in (first, second)]
        if all(len(one) for one in shares):
            before, after = (float(one.mean()) for one in shares)
            if abs(before - after) >= _IDLE_STEP:
                yield f"{name} time {100 * before:.0f} % and {100 * after:.0f} % of the CPUs"


def _speeds(first: Results, second: Results) -> Iterator[str]:
    """By the fixed piece of work that the probe does each second."""
    times = [_column(side, "work_us") for side in (first, second)]
    if all(len(one) for one in times):
        before, after = (float(one.median()) for one in times)
        if before > 0 and after > 0 and abs(after / before - 1) >= _SPEED_STEP:
            faster = "faster" if after < before else "slower"
            share = max(before, after) / min(before, after) - 1
            work = f"{before:.0f} and {after:.0f} µs for the same work"
            yield f"the second one's processor was {100 * share:.0f} % {faster} ({work})"


def _column(side: Results, name: str) -> "pd.Series[float]":
    """Empty where the folder's machine.csv has no such column."""
    return pd.to_numeric(side.machine.get(name, pd.Series(dtype=float)), errors="coerce").dropna()
