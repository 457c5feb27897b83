"""Statistics against answers that are known without them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.stats import Estimate, derived_seed, ecdf, effects, percentile, percentiles

VALUES = st.lists(st.floats(0.001, 1000, allow_nan=False), min_size=1, max_size=30)
REPETITIONS = st.lists(VALUES, min_size=1, max_size=5)


def test_percentile_interpolates_linearly_between_order_statistics() -> None:
    """The 25th percentile of 1, 2, 3, 4 is 1.75 and the median is 2.5."""
    assert percentile([4, 1, 3, 2], 25) == 1.75
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([4, 1, 3, 2], 100) == 4


@pytest.mark.parametrize("percent", [-1, 100.1])
def test_percentile_outside_its_range_is_refused(percent: float) -> None:
    """A percentile is between 0 and 100."""
    with pytest.raises(ValueError, match="outside 0 to 100"):
        percentile([1.0], percent)


@pytest.mark.parametrize("samples", [[], [float("nan")], [float("inf")]])
def test_samples_without_a_statistic_are_refused(samples: list[float]) -> None:
    """No sample, or a sample that is no number, has no percentile."""
    with pytest.raises(ValueError, match="sample"):
        percentile(samples, 50)


def test_interval_of_constant_samples_is_that_constant() -> None:
    """Where nothing varies, the interval has no width."""
    assert percentiles([[7.0] * 10, [7.0] * 5], [50, 99], seed=3, resamples=100) == (
        Estimate(7.0, 7.0, 7.0, 15, 2),
        Estimate(7.0, 7.0, 7.0, 15, 2),
    )


def test_interval_depends_on_nothing_but_samples_and_seed() -> None:
    """The same samples and seed give the same interval, another seed gives another."""
    samples = [list(np.random.default_rng(1).normal(10, 1, 50))]
    first = percentiles(samples, [50], seed=1, resamples=200)
    assert percentiles(samples, [50], seed=1, resamples=200) == first
    assert percentiles(samples, [50], seed=2, resamples=200) != first


@pytest.mark.slow
def test_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    """95 % intervals of medians of 12 repetitions cover the true median in 88 % to 100 % of 80 trials."""
    generator = np.random.default_rng(20)
    covered = 0
    for trial in range(80):
        moods = generator.normal(0, 1, 12)
        repetitions = [5 + mood + generator.normal(0, 1, 15) for mood in moods]
        covered += percentiles(repetitions, [50], seed=trial, resamples=300)[0].covers(5)
    assert 0.88 <= covered / 80 <= 1.0


def test_repetitions_that_differ_widen_the_interval() -> None:
    """The same samples in repetitions of different moods give a far wider interval than mixed ones."""
    low, high = [1.0 + 0.01 * i for i in range(50)], [2.0 + 0.01 * i for i in range(50)]
    moody = percentiles([low, high], [50], seed=1, resamples=400)[0]
    mixed = percentiles([low[::2] + high[::2], low[1::2] + high[1::2]], [50], seed=1, resamples=400)[0]
    assert moody.value == mixed.value
    assert (moody.high - moody.low) > 1.2 * (mixed.high - mixed.low)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(REPETITIONS, st.integers(0, 2**32))
def test_estimate_lies_between_smallest_and_largest_sample(repetitions: list[list[float]], seed: int) -> None:
    """Estimate and interval never leave the range of the samples."""
    smallest = min(min(group) for group in repetitions)
    largest = max(max(group) for group in repetitions)
    for estimate in percentiles(repetitions, [50, 95], seed=seed, resamples=30):
        assert smallest - 1e-9 <= estimate.low <= estimate.high <= largest + 1e-9
        assert smallest - 1e-9 <= estimate.value <= largest + 1e-9
        assert estimate.samples == sum(map(len, repetitions))


@settings(max_examples=30, deadline=None)
@given(REPETITIONS, st.floats(0.5, 100), st.integers(0, 100))
def test_effect_of_a_constant_shift_is_that_shift(repetitions: list[list[float]], shift: float, seed: int) -> None:
    """When every sample is larger by the same amount, the observed difference is that amount."""
    moved = [[value + shift for value in group] for group in repetitions]
    effect = effects(moved, repetitions, [50], seed=seed, resamples=30)[0]
    assert effect.difference.value == pytest.approx(shift, abs=1e-6)
    assert effect.condition.value == pytest.approx(effect.baseline.value + shift)


@settings(max_examples=30, deadline=None)
@given(REPETITIONS, st.floats(0.5, 100), st.integers(0, 100))
def test_ratio_does_not_depend_on_the_unit(repetitions: list[list[float]], factor: float, seed: int) -> None:
    """Measuring both in another unit scales the difference and leaves the ratio with its interval alone."""
    doubled = [[2 * value for value in group] for group in repetitions]
    plain = effects(doubled, repetitions, [50], seed=seed, resamples=30)[0]
    scaled = effects(
        [[factor * value for value in group] for group in doubled],
        [[factor * value for value in group] for group in repetitions],
        [50],
        seed=seed,
        resamples=30,
    )[0]
    assert (scaled.ratio.value, scaled.ratio.low, scaled.ratio.high) == pytest.approx(
        (plain.ratio.value, plain.ratio.low, plain.ratio.high)
    )
    assert scaled.difference.value == pytest.approx(factor * plain.difference.value)


def test_effect_draws_the_same_repetitions_for_both() -> None:
    """A mood that condition and baseline share leaves their difference exact."""
    baseline = [[1.0] * 20, [5.0] * 20, [9.0] * 20]
    condition = [[value + 0.5 for value in group] for group in baseline]
    difference = effects(condition, baseline, [50], seed=4, resamples=500)[0].difference
    assert (difference.value, difference.low, difference.high) == (0.5, 0.5, 0.5)


def test_effect_without_a_partner_for_each_repetition_is_refused() -> None:
    """Condition and baseline have the same number of repetitions."""
    with pytest.raises(ValueError, match="2 repetitions of the condition but 1 of its baseline"):
        effects([[1.0], [2.0]], [[1.0]], [50], seed=1)


def test_ratio_to_zero_is_refused() -> None:
    """A ratio needs a baseline above zero."""
    with pytest.raises(ValueError, match="baseline above zero"):
        effects([[1.0]], [[0.0]], [50], seed=1, resamples=5)


def test_ecdf_gives_the_share_of_samples_up_to_each_value() -> None:
    """One of 4 samples is at most 1, all are at most 4."""
    values, shares = ecdf([4, 1, 3, 2])
    assert values.tolist() == [1, 2, 3, 4]
    assert shares.tolist() == [0.25, 0.5, 0.75, 1.0]


def test_derived_seed_is_a_function_of_seed_and_purpose() -> None:
    """Each purpose has its own seed, the same in every process and version."""
    assert derived_seed(1, "order") == derived_seed(1, "order") == 5834790031222913336
    assert len({derived_seed(1, "order"), derived_seed(2, "order"), derived_seed(1, "or", "der")}) == 3
