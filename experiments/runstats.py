"""Statistics whose unit is the run: one value of a run's samples, medians over runs, effects between conditions. Pure.

A run yields one number of each statistic (its median, its p99, its mean, …); a condition is described by the median
of these numbers over its runs. Intervals are percentile intervals of a two-level bootstrap: runs are drawn with
replacement, then samples within each drawn run (Davison and Hinkley, *Bootstrap Methods and their Application*, 1997,
section 3.8). For percentiles the second level is drawn exactly without drawing samples: the order statistics of *n*
uniform draws follow beta distributions (David and Nagaraja, *Order Statistics*, 2003, section 2.2).
"""

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.ranktests import rank_sum, signed_rank
from experiments.stats import CONFIDENCE, RESAMPLES, Estimate, Samples
from kubinet.errors import InvalidInputError

STATISTICS: Final = ("mean", "sum", "min", "max", "count")
"""Besides `p0` to `p100`."""

FEW_RUNS: Final = 6
"""With fewer runs no interval of the median between two runs reaches 95 %: 1 - 2 / 2^n."""

Key = TypeVar("Key", bound=Hashable)

_POOL: Final = 2_000_000
_PAIRS: Final = 4_000_000
"""Numbers held at once while drawing."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number of a run's samples."""

    name: str
    fraction: float | None
    """Of a percentile, 0 to 1; None for the others."""


def statistic(name: str) -> Statistic:
    """The statistic called `p50`, `p99.9`, `mean`, `sum`, `min`, `max` or `count`; InvalidInputError otherwise."""
    match = re.fullmatch(r"p(\d{1,3}(?:\.\d+)?)", name)
    if match and float(match[1]) <= 100:
        return Statistic(name, float(match[1]) / 100)
    if name in STATISTICS:
        return Statistic(name, None)
    raise InvalidInputError(f"statistic '{name}' does not exist; there are p0 to p100, {', '.join(STATISTICS)}")


def value_of(samples: Samples, wanted: Statistic) -> float:
    """The statistic of one run's samples; percentiles interpolate linearly (type 7 of Hyndman and Fan 1996)."""
    if samples.size == 0:
        raise ValueError("a statistic needs at least one sample")
    if wanted.fraction is not None:
        return float(np.quantile(samples, wanted.fraction))
    if wanted.name == "count":
        return float(samples.size)
    return float(getattr(samples, wanted.name)())


class _Runs:
    """The runs of one condition, ready to be drawn from."""

    def __init__(self, runs: Sequence[Samples], wanted: Statistic, generator: np.random.Generator) -> None:
        if not runs:
            raise ValueError("a statistic needs at least one run")
        self.sorted = [np.sort(np.asarray(run, dtype=np.float64)) for run in runs]
        self.values = np.array([value_of(run, wanted) for run in self.sorted])
        self.sizes = np.array([len(run) for run in self.sorted])
        self.samples = int(self.sizes.sum())
        self._wanted = wanted
        self._generator = generator
        self._flat = np.concatenate(self.sorted)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self._means = self._pool_of_means() if wanted.name == "mean" else None

    def choose(self, draws: int, runs: int | None = None) -> NDArray[np.int64]:
        """`draws` rows of runs drawn with replacement."""
        return self._generator.integers(len(self.sorted), size=(draws, runs or len(self.sorted)))

    def draw(self, chosen: NDArray[np.int64]) -> Samples:
        """The statistic of each chosen run, its samples drawn anew each time."""
        if self._wanted.fraction is not None:
            return self._quantiles(chosen, self._wanted.fraction)
        if self._means is not None:
            return np.asarray(self._means[chosen, self._generator.integers(self._means.shape[1], size=chosen.shape)])
        # A smallest, largest or summed sample says nothing about other samples of its run: only runs are drawn.
        return np.asarray(self.values[chosen])

    def _quantiles(self, chosen: NDArray[np.int64], fraction: float) -> Samples:
        sizes = self.sizes[chosen]
        position = (sizes - 1) * fraction
        lower = np.floor(position).astype(np.int64)
        share = position - lower
        uniform = self._generator.beta(lower + 1, sizes - lower)
        following = uniform + (1 - uniform) * self._generator.beta(1, np.maximum(sizes - lower - 1, 1))
        low, high = (
            self._flat[self._starts[chosen] + np.clip(np.ceil(one * sizes).astype(np.int64) - 1, 0, sizes - 1)]
            for one in (uniform, following)
        )
        return np.asarray(np.where(share > 0, low + share * (high - low), low))

    def _pool_of_means(self) -> Samples:
        draws = int(np.clip(_POOL // self.samples, 100, RESAMPLES))
        return np.array(
            [
                [run[self._generator.integers(len(run), size=len(run))].mean() for _ in range(draws)]
                if len(run) > 1
                else [run[0]] * draws
                for run in self.sorted
            ]
        )


def estimate(
    runs: Sequence[Samples], wanted: Statistic, *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Estimate:
    """The median over runs of a statistic of each run's samples, with its interval; ValueError without a run."""
    drawn = _Runs(runs, wanted, np.random.default_rng(seed))
    draws = np.median(drawn.draw(drawn.choose(resamples)), axis=1)
    return _estimate(float(np.median(drawn.values)), draws, drawn.samples, len(runs), confidence)


@dataclass(frozen=True, slots=True)
class Contrast:
    """One statistic under a condition and under a baseline, and what the condition changes."""

    condition: Estimate
    baseline: Estimate
    difference: Estimate
    """Median over the condition's runs less that over the baseline's."""
    ratio: Estimate | None
    """Condition over baseline; None where the baseline is not above zero."""
    shift: Estimate
    """Hodges and Lehmann's estimate (1963): the median of all differences between a run of one and a run of the other;
    of paired runs the median of all averages of two differences."""
    delta: Estimate
    """Cliff's delta (1993) of the runs' values: how much more often a run of the condition is above one of the baseline
    than below it, -1 to 1."""
    p_value: float
    """Two-sided: Mann and Whitney's test, of paired runs Wilcoxon's signed-rank test; by permutations."""
    paired: bool
    """Whether runs were compared with the run of the same block."""


def contrast(
    condition: Mapping[Key, Samples],
    baseline: Mapping[Key, Samples],
    wanted: Statistic,
    *,
    paired: bool,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Contrast:
    """Compare two conditions; keys name the block that a run belongs to, such as its repetition.

    `paired`: runs of one block were measured next to each other; blocks that only one of the two has are left out.
    ValueError where nothing is left to compare.
    """
    if paired:
        keys = [key for key in condition if key in baseline]
        condition, baseline = {key: condition[key] for key in keys}, {key: baseline[key] for key in keys}
    generator = np.random.default_rng(seed)
    one, other = (_Runs(list(runs.values()), wanted, generator) for runs in (condition, baseline))
    chosen = one.choose(resamples)
    draws = one.draw(chosen), other.draw(chosen if paired else other.choose(resamples))
    medians = np.median(draws[0], axis=1), np.median(draws[1], axis=1)
    observed = float(np.median(one.values)), float(np.median(other.values))
    samples, runs = one.samples + other.samples, min(len(one.values), len(other.values))

    def described(value: float, drawn: Samples) -> Estimate:
        return _estimate(value, drawn, samples, runs, confidence)

    shifts, deltas = _shifts(*draws, paired=paired), _deltas(*draws)
    own = one.values[np.newaxis], other.values[np.newaxis]
    can_divide = observed[1] > 0 and bool((medians[1] > 0).all())
    return Contrast(
        condition=_estimate(observed[0], medians[0], one.samples, len(one.values), confidence),
        baseline=_estimate(observed[1], medians[1], other.samples, len(other.values), confidence),
        difference=described(observed[0] - observed[1], medians[0] - medians[1]),
        ratio=described(observed[0] / observed[1], medians[0] / medians[1]) if can_divide else None,
        shift=described(float(_shifts(*own, paired=paired)[0]), shifts),
        delta=described(float(_deltas(*own)[0]), deltas),
        p_value=(
            signed_rank(one.values - other.values, seed=seed)
            if paired
            else rank_sum(one.values, other.values, seed=seed)
        ),
        paired=paired,
    )


def runs_needed(found: Estimate, half_width: float) -> int | None:
    """Runs after which the interval reaches at most `half_width` (share of the value) to either side.

    A half-width falls with the square root of the number of runs. None where the value is zero or only one run is
    known; never fewer than `FEW_RUNS`.
    """
    if found.repetitions < 2 or found.value == 0:
        return None
    reach = max(found.value - found.low, found.high - found.value) / abs(found.value)
    return max(FEW_RUNS, math.ceil(found.repetitions * (reach / half_width) ** 2))


def _estimate(value: float, draws: Samples, samples: int, runs: int, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), samples, runs, confidence)


def _shifts(one: Samples, other: Samples, *, paired: bool) -> Samples:
    if not paired:
        return _by_chunks(one, other, lambda a, b: np.median((a[:, :, None] - b[:, None, :]), axis=(1, 2)))
    first, second = np.triu_indices(one.shape[1])
    differences = one - other
    return _by_chunks(differences, differences, lambda a, _: np.median((a[:, first] + a[:, second]) / 2, axis=1))


def _deltas(one: Samples, other: Samples) -> Samples:
    return _by_chunks(one, other, lambda a, b: np.mean(np.sign(a[:, :, None] - b[:, None, :]), axis=(1, 2)))


def _by_chunks(one: Samples, other: Samples, work: Callable[[Samples, Samples], Samples]) -> Samples:
    rows = max(1, _PAIRS // (one.shape[1] * other.shape[1]))
    return np.concatenate([work(one[at : at + rows], other[at : at + rows]) for at in range(0, len(one), rows)])
