"""Two results folders of one experiment against each other: what changed, and whether it became worse. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from experiments.ranktests import holm
from experiments.records import Verdict
from experiments.results.agreement import differences, expected_inside
from experiments.results.grouping import Combination, Group, group, labels_of, metrics_of, of_metric, unit_of
from experiments.results.loading import Results
from experiments.runstats import Contrast, contrast, statistic
from experiments.stats import derived_seed
from kubinet.errors import InvalidInputError

_LOWER: Final = frozenset({"s", "ms", "us", "µs", "ns", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "bytes", "errors"})
_LOWER_WORDS: Final = ("lost", "loss", "dropped", "drops", "errors", "failed", "retransmits", "leaked", "latency")
_HIGHER: Final = ("bit/s", "B/s", "/s", "bps")


class Better(StrEnum):
    """Which way a metric should go."""

    LOWER = "lower"
    HIGHER = "higher"
    UNKNOWN = "unknown"


class Change(StrEnum):
    """What became of one value."""

    SAME = "same"
    """It differs by at most the tolerance."""
    BETTER = "better"
    WORSE = "worse"
    """It differs by more, in the wrong direction, and the interval of the change does not hold zero: a regression."""
    CHANGED = "changed"
    """As `worse`, where it is not known which direction is the wrong one."""
    UNCLEAR = "unclear"
    """It differs by more, but the interval of the change holds zero: more runs are needed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One statistic of one combination in both folders."""

    levels: Mapping[str, str]
    metric: str
    statistic: str
    unit: str
    better: Better
    effect: Contrast
    """Second folder against the first."""
    p_corrected: float
    change: Change
    inside: bool
    """Whether the second's median is inside the first's interval."""
    verdict: Verdict
    """The worst verdict of the runs of both."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that two folders have in common, and what only one has."""

    changes: tuple[Changed, ...]
    only: Mapping[str, tuple[str, ...]]
    """`first` and `second`: what only this one has, in words."""
    circumstances: tuple[str, ...] = ()
    """What else differed, in words."""

    @property
    def expected_inside(self) -> float:
        """Which share of the second's medians would be inside the first's intervals if nothing had changed."""
        runs = [(one.effect.baseline.repetitions, one.effect.condition.repetitions) for one in self.changes]
        return sum(expected_inside(before, after) for before, after in runs) / len(runs)

    @property
    def regressions(self) -> tuple[Changed, ...]:
        """What became worse."""
        return tuple(one for one in self.changes if one.change is Change.WORSE)


def better_of(metric: str, unit: str, stated: Mapping[str, Better]) -> Better:
    """As stated, else by unit and name: rates should be high, times, sizes, losses and errors low."""
    if metric in stated:
        return stated[metric]
    if any(word in metric.lower() for word in _LOWER_WORDS):
        return Better.LOWER
    if unit.endswith(_HIGHER):
        return Better.HIGHER
    return Better.LOWER if unit in _LOWER else Better.UNKNOWN


def judge(effect: Contrast, better: Better, tolerance: float) -> Change:
    """What became of a value; `tolerance` is a share of the first's value."""
    difference = effect.difference
    if abs(difference.value) <= tolerance * abs(effect.baseline.value):
        return Change.SAME
    if difference.low <= 0 <= difference.high:
        return Change.UNCLEAR
    if better is Better.UNKNOWN:
        return Change.CHANGED
    return Change.WORSE if (difference.value > 0) == (better is Better.LOWER) else Change.BETTER


def compare(
    first: Results,
    second: Results,
    *,
    tolerance: float = 0.05,
    metrics: Sequence[str] = (),
    better: Mapping[str, Better] | None = None,
) -> Comparison:
    """Every metric (or those named) in every combination of levels that both have.

    Statistics are those of the first design's analyses, of other metrics the median. InvalidInputError where the two
    have nothing in common.
    """
    here, there = metrics_of(first.samples), metrics_of(second.samples)
    chosen = tuple(metrics) or tuple(metric for metric in here if metric in there)
    found: list[Changed] = []
    only: dict[str, list[str]] = {"first": [], "second": []}
    for metric in chosen:
        columns = _columns(first, second, metric)
        sides = [group(of_metric(one.samples, metric), columns, one.design) for one in (first, second)]
        for name, own, other in (("first", sides[0], sides[1]), ("second", sides[1], sides[0])):
            only[name] += [_words(metric, columns, one) for one in own if one not in other]
        pairs = [(one, before, sides[1][one]) for one, before in sides[0].items() if one in sides[1]]
        found += _changes(first, metric, columns, pairs, better or {}, tolerance)
    if not found:
        raise InvalidInputError(
            f"{first.path} and {second.path}: nothing can be compared: no metric has usable samples of the same "
            "levels in both"
        )
    if not metrics:
        only["first"] += [f"metric {metric}" for metric in here if metric not in there]
        only["second"] += [f"metric {metric}" for metric in there if metric not in here]
    corrected = holm([one.effect.p_value for one in found])
    return Comparison(
        tuple(replace(one, p_corrected=p_value) for one, p_value in zip(found, corrected, strict=True)),
        {name: tuple(words) for name, words in only.items()},
        differences(first, second),
    )


def _columns(first: Results, second: Results, metric: str) -> tuple[str, ...]:
    """Factors and labels that both have and that have several levels."""
    samples = [of_metric(one.samples, metric) for one in (first, second)]
    labels = [name for name in labels_of(samples[0], first.design) if name in labels_of(samples[1], second.design)]
    shared = [*(name for name in first.factors if name in second.factors), *labels]
    return tuple(name for name in shared if len({*samples[0][name], *samples[1][name]}) > 1)


def _changes(
    results: Results,
    metric: str,
    columns: Sequence[str],
    pairs: Sequence[tuple[Combination, Group, Group]],
    stated: Mapping[str, Better],
    tolerance: float,
) -> Iterator[Changed]:
    unit = unit_of(of_metric(results.samples, metric), metric)
    better = better_of(metric, unit, stated)
    named = [name for one in results.design.analysis if one.metric == metric for name in one.statistics]
    for name in dict.fromkeys(named or ["p50"]):
        for combination, before, after in pairs:
            seed = derived_seed(results.design.seed, "compare", metric, name, *combination)
            # Two sessions were never measured next to each other: their runs are no pairs.
            effect = contrast(after.runs, before.runs, statistic(name), paired=False, seed=seed)
            verdicts = [Verdict(one) for side in (before, after) for one in side.verdicts.values()]
            yield Changed(
                levels=dict(zip(columns, combination, strict=True)),
                metric=metric,
                statistic=name,
                unit="" if name == "count" else unit,
                better=better,
                effect=effect,
                p_corrected=effect.p_value,
                change=judge(effect, better, tolerance),
                inside=effect.baseline.covers(effect.condition.value),
                verdict=max(verdicts, key=list(Verdict).index),
            )


def _words(metric: str, columns: Sequence[str], combination: Combination) -> str:
    levels = ", ".join(f"{name}={level}" for name, level in zip(columns, combination, strict=True))
    return f"{metric} of {levels}" if levels else metric
