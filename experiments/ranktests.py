"""Rank tests by permutation, and the correction for many of them. Pure; numpy only.

Exact where all permutations can be listed, else by Monte Carlo with a fixed seed. We chose these few lines over SciPy,
which would be the largest package of all: what is needed are two tests on tens of values.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_LISTED: Final = 20_000
"""Permutations that are listed at most; more are drawn, this many."""

_HAIR: Final = 1e-9


def ranks(values: Values) -> Values:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def rank_sum(one: Values, other: Values, *, seed: int) -> float:
    """The two-sided p-value of Mann and Whitney's test (1947): does one group tend to larger values?

    The share of all ways to split the ranks into groups of these sizes that are at least as far from their mean.
    """
    ranked = ranks(np.concatenate([one, other]))
    mean = len(one) * ranked.mean()
    observed = abs(ranked[: len(one)].sum() - mean)
    if comb(len(ranked), len(one)) <= _LISTED:
        chosen = np.array(list(combinations(range(len(ranked)), len(one))), dtype=np.int64)
        return float((np.abs(ranked[chosen].sum(axis=1) - mean) >= observed - _HAIR).mean())
    order = np.random.default_rng(seed).permuted(np.tile(ranked, (_LISTED, 1)), axis=1)[:, : len(one)]
    return _drawn(np.abs(order.sum(axis=1) - mean) >= observed - _HAIR)


def signed_rank(differences: Values, *, seed: int) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test (1945): do the differences tend to one side of zero?

    Differences of zero are left out, as Wilcoxon did; 1 where nothing else is left.
    """
    left = differences[differences != 0]
    if not len(left):
        return 1.0
    ranked = ranks(np.abs(left))
    observed = abs((ranked * np.sign(left)).sum())
    if 2 ** len(left) <= _LISTED:
        bits = np.arange(2 ** len(left))[:, np.newaxis] >> np.arange(len(left)) & 1
        return float((np.abs((2 * bits - 1) @ ranked) >= observed - _HAIR).mean())
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(_LISTED, len(left)))
    return _drawn(np.abs(signs @ ranked) >= observed - _HAIR)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values corrected for being many, in the order given (Holm 1979).

    Calling those below 0.05 different is wrong about any of them with a probability of at most 0.05.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return tuple(corrected)


def _drawn(reached: NDArray[np.bool_]) -> float:
    # The observed order is one of the permutations: a p-value is never zero.
    return float((reached.sum() + 1) / (len(reached) + 1))
