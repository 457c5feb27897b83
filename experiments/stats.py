"""Percentiles, bootstrap intervals and the effect of one condition against another. Pure; numpy only.

Every interval is a percentile interval of a **two-level bootstrap**: repetitions are drawn with replacement, then
samples within each drawn repetition (Davison and Hinkley, *Bootstrap Methods and their Application*, 1997, section
3.8). Samples of one repetition share the machine's mood of that moment; a bootstrap that ignores this gives
intervals that are far too narrow. We chose the percentile interval over BCa (Efron 1987) because the acceleration
that BCa needs is not defined for two levels and is unstable for p99, where the jackknife sees one sample in a hundred.

Condition and baseline are measured in the same repetitions, so a comparison draws the same repetitions for both.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic of all samples with its interval; in the samples' unit, a ratio has none."""

    value: float
    low: float
    high: float
    samples: int
    """Samples behind it, over all repetitions."""
    repetitions: int
    confidence: float = CONFIDENCE

    def covers(self, value: float) -> bool:
        """Whether `value` is inside the interval, borders included."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Effect:
    """One statistic under a condition and under its baseline, and what the condition changes."""

    condition: Estimate
    baseline: Estimate
    difference: Estimate
    """Condition less baseline."""
    ratio: Estimate
    """Condition over baseline."""


def derived_seed(seed: int, *labels: str) -> int:
    """A seed for one purpose: a function of the run's seed and what it is for, independent of call order."""
    digest = hashlib.sha256("\x1f".join((str(seed), *labels)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def percentile(samples: Sequence[float] | Samples, percent: float) -> float:
    """The percentile with linear interpolation between order statistics (type 7 of Hyndman and Fan 1996)."""
    values = _samples(samples)
    return float(np.quantile(values, _fraction(percent)))


def percentiles(
    repetitions: Sequence[Sequence[float] | Samples],
    percents: Sequence[float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[Estimate, ...]:
    """Percentiles of all samples together, each with its two-level bootstrap interval.

    `repetitions` holds the samples of each repetition; empty repetitions are refused (ValueError).
    """
    groups = _groups(repetitions)
    fractions = _fractions(percents)
    generator = np.random.default_rng(seed)
    draws = np.empty((resamples, len(fractions)))
    for index in range(resamples):
        chosen = generator.integers(len(groups), size=len(groups))
        draws[index] = _draw_quantiles(groups, chosen, fractions, generator)
    observed = np.quantile(np.concatenate(groups), fractions)
    return _estimates(observed, draws, _size(groups), len(groups), confidence)


def mean(
    repetitions: Sequence[Sequence[float] | Samples],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The mean of all samples together with its two-level bootstrap interval; of 0 and 1 it is a share.

    `repetitions` holds the samples of each repetition; empty repetitions are refused (ValueError).
    """
    groups = _groups(repetitions)
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(groups), size=(resamples, len(groups)))
    if all(((group == 0) | (group == 1)).all() for group in groups):
        # The number of ones among n draws from a group is binomial: the same distribution in far less time.
        sizes, shares = np.array([len(group) for group in groups]), np.array([group.mean() for group in groups])
        draws = generator.binomial(sizes[chosen], shares[chosen]).sum(axis=1) / sizes[chosen].sum(axis=1)
    else:
        draws = np.array([_drawn(groups, row, generator).mean() for row in chosen])
    observed = np.array([np.concatenate(groups).mean()])
    return _estimates(observed, draws[:, np.newaxis], _size(groups), len(groups), confidence)[0]


def chi_square(counts: Sequence[int], shares: Sequence[float], *, seed: int, draws: int = 20_000) -> float:
    """The p-value of Pearson's chi-square test of counts against shares, by Monte Carlo (Hope, 1968).

    The share of multinomial draws whose statistic is at least the observed one; exact for small counts as well.
    ValueError where a share is not above zero, shares and counts differ in number, or nothing was counted.
    """
    observed, ideal = np.asarray(counts, dtype=np.int64), np.asarray(shares, dtype=np.float64)
    if observed.shape != ideal.shape or not (ideal > 0).all() or observed.sum() == 0:
        raise ValueError("a chi-square test needs counts, and a share above zero for each")
    expected = observed.sum() * ideal / ideal.sum()
    drawn = np.random.default_rng(seed).multinomial(int(observed.sum()), ideal / ideal.sum(), size=draws)
    statistics = ((drawn - expected) ** 2 / expected).sum(axis=1)
    # A hair less than observed: a draw with the same counts must count, whatever the order of additions.
    reached = statistics >= float(((observed - expected) ** 2 / expected).sum()) * (1 - 1e-12)
    return float((reached.sum() + 1) / (draws + 1))


def effects(
    condition: Sequence[Sequence[float] | Samples],
    baseline: Sequence[Sequence[float] | Samples],
    percents: Sequence[float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[Effect, ...]:
    """Per percentile: condition, baseline, their difference and ratio, with intervals.

    Repetition *i* of both were measured next to each other, so both lists are equally long; ValueError otherwise.
    """
    with_condition, without = _groups(condition), _groups(baseline)
    if len(with_condition) != len(without):
        raise ValueError(f"{len(with_condition)} repetitions of the condition but {len(without)} of its baseline")
    fractions = _fractions(percents)
    generator = np.random.default_rng(seed)
    draws = np.empty((2, resamples, len(fractions)))
    for index in range(resamples):
        chosen = generator.integers(len(without), size=len(without))
        draws[0, index] = _draw_quantiles(with_condition, chosen, fractions, generator)
        draws[1, index] = _draw_quantiles(without, chosen, fractions, generator)
    observed = [np.quantile(np.concatenate(groups), fractions) for groups in (with_condition, without)]
    sizes = [_size(with_condition), _size(without)]
    repetitions = len(without)
    return tuple(
        Effect(*row)
        for row in zip(
            _estimates(observed[0], draws[0], sizes[0], repetitions, confidence),
            _estimates(observed[1], draws[1], sizes[1], repetitions, confidence),
            _estimates(observed[0] - observed[1], draws[0] - draws[1], sum(sizes), repetitions, confidence),
            _estimates(
                _ratio(observed[0], observed[1]), _ratio(draws[0], draws[1]), sum(sizes), repetitions, confidence
            ),
            strict=True,
        )
    )


def ecdf(samples: Sequence[float] | Samples) -> tuple[Samples, Samples]:
    """The empirical distribution as steps: sorted values, and the share of samples that are at most that value."""
    values = np.sort(_samples(samples))
    return values, np.arange(1, len(values) + 1) / len(values)


def _samples(samples: Sequence[float] | Samples) -> Samples:
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError("a statistic needs at least one sample")
    if not np.isfinite(values).all():
        raise ValueError("a sample is not a finite number")
    return values


def _groups(repetitions: Sequence[Sequence[float] | Samples]) -> list[Samples]:
    if not repetitions:
        raise ValueError("a statistic needs at least one repetition")
    return [_samples(group) for group in repetitions]


def _size(groups: Sequence[Samples]) -> int:
    return sum(len(group) for group in groups)


def _fraction(percent: float) -> float:
    if not 0 <= percent <= 100:
        raise ValueError(f"percentile {percent:g} is outside 0 to 100")
    return percent / 100


def _fractions(percents: Sequence[float]) -> list[float]:
    return [_fraction(percent) for percent in percents]


def _draw_quantiles(
    groups: Sequence[Samples], chosen: NDArray[np.int64], fractions: Sequence[float], generator: np.random.Generator
) -> Samples:
    return np.asarray(np.quantile(_drawn(groups, chosen, generator), fractions))


def _drawn(groups: Sequence[Samples], chosen: NDArray[np.int64], generator: np.random.Generator) -> Samples:
    """As many samples of each chosen repetition as it has, with replacement."""
    return np.concatenate([groups[one][generator.integers(len(groups[one]), size=len(groups[one]))] for one in chosen])


def _ratio(condition: Samples, baseline: Samples) -> Samples:
    if not (baseline > 0).all():
        raise ValueError("a ratio needs a baseline above zero")
    return condition / baseline


def _estimates(
    observed: Samples, draws: Samples, samples: int, repetitions: int, confidence: float
) -> tuple[Estimate, ...]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return tuple(
        Estimate(float(value), float(lower), float(upper), samples, repetitions, confidence)
        for value, lower, upper in zip(observed, low, high, strict=True)
    )
