"""When a session ends before its last run: pure rules over what has been measured."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.design.model import PlannedRun, Precision, StopConditions
from experiments.engine.run import COMPLETE, RunOutcome
from experiments.records import Verdict
from experiments.stats import Estimate, derived_seed, mean, percentiles
from kubinet.errors import InvalidInputError

FEWEST_RUNS: Final = 4
"""So many runs must have ended before the share of invalid ones says anything."""
_OF_RUN: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": lambda values: float(sum(values)),
    "min": min,
    "max": max,
    "count": lambda values: float(len(values)),
}


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a session ends early."""

    why: str
    reached: bool
    """Whether that is what was wanted (precise enough), not what was to be avoided."""


def why_stop(
    conditions: StopConditions,
    runs: Sequence[PlannedRun],
    outcomes: Mapping[int, RunOutcome],
    seconds: float,
    samples: Mapping[int, Sequence[float]],
) -> Stop | None:
    """The condition that holds now, if any.

    `seconds`: how long the experiment has taken; `samples`: of each complete run, the values of the metric that
    `precision` names.
    """
    if conditions.max_duration_s is not None and seconds >= conditions.max_duration_s:
        return Stop(f"it took {seconds:.0f} s, maxDuration is {conditions.max_duration_s:g} s", reached=False)
    if conditions.max_invalid is not None and len(outcomes) >= min(FEWEST_RUNS, len(runs)):
        bad = sum(one.state != COMPLETE or one.verdict == Verdict.INVALID for one in outcomes.values())
        if bad / len(outcomes) > conditions.max_invalid:
            allowed = f"maxInvalid is {conditions.max_invalid:.0%}"
            return Stop(f"{bad} of {len(outcomes)} runs failed or are invalid, {allowed}", reached=False)
    if conditions.precision is not None:
        return _precise(conditions.precision, runs, outcomes, samples)
    return None


def _precise(
    wanted: Precision,
    runs: Sequence[PlannedRun],
    outcomes: Mapping[int, RunOutcome],
    samples: Mapping[int, Sequence[float]],
) -> Stop | None:
    groups: dict[tuple[tuple[str, str], ...], list[Sequence[float]]] = {
        tuple(sorted(run.levels.items())): [] for run in runs
    }
    for run in runs:
        outcome = outcomes.get(run.index)
        usable = outcome is not None and outcome.state == COMPLETE and outcome.verdict != Verdict.INVALID
        if usable and samples.get(run.index):
            groups[tuple(sorted(run.levels.items()))].append(samples[run.index])
    fewest = min(len(group) for group in groups.values())
    if fewest < max(2, wanted.minimum):
        return None
    widths = [half_width(estimate(wanted.statistic, group, str(key))) for key, group in groups.items()]
    if max(widths) > wanted.half_width:
        return None
    return Stop(
        f"precise enough after {fewest} repetitions: {wanted.metric} {wanted.statistic} is known to "
        f"{max(widths):.1%} in every combination, {wanted.half_width:.1%} was wanted",
        reached=True,
    )


def estimate(statistic: str, groups: Sequence[Sequence[float]], label: str) -> Estimate:
    """A statistic of one combination's runs with its 95 % interval; the same groups give the same interval."""
    seed = derived_seed(0, "precision", label)
    if statistic == "mean":
        return mean(groups, seed=seed)
    if statistic.startswith("p") and _is_number(statistic[1:]):
        return percentiles(groups, [float(statistic[1:])], seed=seed)[0]
    if statistic not in _OF_RUN:
        raise InvalidInputError(
            f"stop.precision.statistic: '{statistic}' is none of p50 and the like, mean, {', '.join(_OF_RUN)}"
        )
    return mean([[_OF_RUN[statistic](group)] for group in groups], seed=seed)


def half_width(estimate: Estimate) -> float:
    """How far the interval goes to its wider side, as a share of the value."""
    widest = max(estimate.high - estimate.value, estimate.value - estimate.low)
    if widest == 0:
        return 0.0
    return widest / abs(estimate.value) if estimate.value else float("inf")


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def by_metric(rows: Iterable[Mapping[str, str]], metric: str) -> tuple[float, ...]:
    """The values of one metric in the rows of a run's samples.csv."""
    return tuple(float(row["value"]) for row in rows if row["metric"] == metric)
