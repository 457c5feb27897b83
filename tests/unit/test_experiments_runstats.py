"""Statistics whose unit is the run: estimates, effects, rank tests, corrections, runs needed."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.ranktests import holm, rank_sum, ranks, signed_rank
from experiments.runstats import contrast, estimate, runs_needed, statistic, value_of
from experiments.stats import Estimate, percentiles
from kubinet.errors import InvalidInputError

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p50", 2.5),
        ("p0", 1),
        ("p100", 10),
        ("p75", 4.75),
        ("mean", 4),
        ("sum", 16),
        ("min", 1),
        ("max", 10),
        ("count", 4),
    ],
)
def test_statistics_of_a_run(name: str, value: float) -> None:
    """1, 2, 3 and 10 have these statistics; percentiles interpolate linearly."""
    assert value_of(array(3, 1, 10, 2), statistic(name)) == value


@pytest.mark.parametrize("name", ["p101", "median", "p", "p-1", ""])
def test_unknown_statistic_is_refused(name: str) -> None:
    """A statistic that does not exist is refused with the list of those that do."""
    with pytest.raises(InvalidInputError, match=f"statistic '{name}' does not exist; there are p0 to p100, mean, sum"):
        statistic(name)


def test_estimate_is_the_median_of_the_runs_statistics() -> None:
    """Each run counts once, whatever its number of samples."""
    runs = [array(1, 1, 1), array(2), array(*[9.0] * 500)]
    found = estimate(runs, statistic("p50"), seed=1)
    assert (found.value, found.low, found.high) == (2, 1, 9)
    assert (found.samples, found.repetitions) == (504, 3)


def test_interval_covers_the_true_median_as_often_as_it_says() -> None:
    """Of 200 experiments with 20 runs each, about 95 % of the intervals hold the true median."""
    dice = np.random.default_rng(5)
    covered = 0
    for number in range(200):
        runs = [dice.normal(10 + dice.normal(0, 1), 0.5, size=15) for _ in range(20)]
        covered += estimate(runs, statistic("p50"), seed=number, resamples=400).covers(10.0)
    assert 180 <= covered <= 199


@pytest.mark.slow
def test_quantiles_are_drawn_as_if_samples_were() -> None:
    """With one run the interval is that of the ordinary bootstrap of its samples."""
    samples = np.random.default_rng(3).exponential(1, size=60)
    for percent in (50.0, 90.0):
        drawn = percentiles([samples], [percent], seed=1, resamples=20_000)[0]
        quick = estimate([samples], statistic(f"p{percent:g}"), seed=2, resamples=20_000)
        assert (quick.low, quick.high) == pytest.approx((drawn.low, drawn.high), rel=0.06)


def test_means_are_drawn_at_both_levels() -> None:
    """With one run the interval of the mean is that of the ordinary bootstrap."""
    samples = array(*range(100))
    found = estimate([samples], statistic("mean"), seed=1, resamples=20_000)
    # The bootstrap's standard error is the standard deviation over the root of n: 2.89.
    assert (found.value, found.low, found.high) == (49.5, pytest.approx(43.9, abs=0.5), pytest.approx(55.1, abs=0.5))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(numbers, min_size=1, max_size=6), min_size=1, max_size=6), st.sampled_from(["p50", "p99", "mean"])
)
def test_intervals_stay_inside_what_was_measured(runs: list[list[float]], name: str) -> None:
    """Neither value nor interval leaves the range of the samples."""
    found = estimate([array(*run) for run in runs], statistic(name), seed=1, resamples=50)
    lowest, highest = min(map(min, runs)), max(map(max, runs))
    slack = 1e-9 * max(1.0, abs(lowest), abs(highest))
    assert lowest - slack <= found.low <= found.high <= highest + slack
    assert lowest - slack <= found.value <= highest + slack


def test_contrast_of_shifted_runs() -> None:
    """Runs that are 0.5 above the run of their block: a shift of 0.5 without doubt, paired."""
    baseline = {block: array(1.0 + block, 1.0 + block) for block in range(8)}
    condition = {block: samples + 0.5 for block, samples in baseline.items()}
    found = contrast(condition, baseline, statistic("p50"), paired=True, seed=1)
    assert (found.difference.value, found.shift.value) == (0.5, 0.5)
    assert (found.shift.low, found.shift.high) == (0.5, 0.5)
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(5.0 / 4.5)
    assert found.p_value == 2 / 2**8
    # 36 of the 64 pairs have the condition above, 28 below.
    assert found.delta.value == pytest.approx((36 - 28) / 64)


def test_contrast_without_pairs() -> None:
    """Two groups that do not overlap: Cliff's delta 1, Mann and Whitney's smallest p-value."""
    baseline = {index: array(value) for index, value in enumerate((1.0, 2.0, 3.0))}
    condition = {index: array(value) for index, value in enumerate((5.0, 6.0, 8.0))}
    found = contrast(condition, baseline, statistic("mean"), paired=False, seed=1)
    assert (found.condition.value, found.baseline.value, found.difference.value) == (6, 2, 4)
    # The median of 2 3 4, 3 4 5, 5 6 7.
    assert found.shift.value == 4
    assert (found.delta.value, found.p_value, found.paired) == (1, 0.1, False)


def test_contrast_leaves_out_blocks_without_a_partner() -> None:
    """A block whose run of one condition is missing does not count, paired."""
    found = contrast({0: array(2), 1: array(9)}, {0: array(1), 2: array(7)}, statistic("p50"), paired=True, seed=1)
    assert (found.condition.value, found.baseline.value, found.difference.repetitions) == (2, 1, 1)
    with pytest.raises(ValueError, match="at least one run"):
        contrast({0: array(2)}, {1: array(1)}, statistic("p50"), paired=True, seed=1)


def test_no_ratio_to_zero() -> None:
    """A baseline of zero has differences but no ratio."""
    found = contrast({0: array(2)}, {0: array(0)}, statistic("p50"), paired=True, seed=1)
    assert (found.difference.value, found.ratio) == (2, None)


def test_ranks_share_ties() -> None:
    """Equal values have the mean of their ranks."""
    assert ranks(array(10, 20, 10, 30, 10)).tolist() == [2, 4, 2, 5, 2]


@pytest.mark.parametrize(
    ("one", "other", "p_value"),
    [
        ((1, 2, 3), (4, 5, 6), 0.1),
        ((1, 2, 3, 4, 5), (6, 7, 8, 9, 10), 2 / 252),
        ((1, 4), (2, 3), 1.0),
        ((1,), (1,), 1.0),
    ],
)
def test_mann_and_whitney_exact(one: tuple[float, ...], other: tuple[float, ...], p_value: float) -> None:
    """Small groups have the exact two-sided p-value of the published tables."""
    assert rank_sum(array(*one), array(*other), seed=1) == pytest.approx(p_value)


def test_mann_and_whitney_drawn_is_near_the_normal_approximation() -> None:
    """Two groups of 20 with U = 130 have p = 0.06 (normal approximation: z = 1.89)."""
    one = array(*range(20))
    other = one + 3.5  # 0..19 against 3.5..22.5: 16 * 17 / 2 = 136 of 400 pairs have the first above
    expected = 0.0834  # z = (200 - 136) / sqrt(20 * 20 * 41 / 12) = 1.731
    assert rank_sum(one, other, seed=1) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [((1, 2, 3, 4, 5), 0.0625), ((0, 0), 1.0), ((1, -2, 3), 0.75), ((0, 1, 2, 3, 4, 5), 0.0625)],
)
def test_wilcoxon_exact(differences: tuple[float, ...], p_value: float) -> None:
    """The exact two-sided p-value; differences of zero are left out."""
    assert signed_rank(array(*differences), seed=1) == pytest.approx(p_value)


@given(st.lists(numbers, min_size=1, max_size=7), st.lists(numbers, min_size=1, max_size=7))
@settings(deadline=None, max_examples=60)
def test_rank_tests_do_not_care_which_side_is_which(one: list[float], other: list[float]) -> None:
    """Exchanging the groups, or turning all signs, leaves the p-value alone; it is above 0, at most 1."""
    there, back = rank_sum(array(*one), array(*other), seed=1), rank_sum(array(*other), array(*one), seed=1)
    assert there == pytest.approx(back)
    assert 0 < there <= 1
    assert signed_rank(array(*one), seed=1) == pytest.approx(signed_rank(-array(*one), seed=1))


def test_holm_corrects_for_many() -> None:
    """Holm's own procedure: the smallest times 4, the next times 3, never less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_between_the_value_and_bonferroni(p_values: list[float]) -> None:
    """A corrected p-value is never below its own and never above Bonferroni's; the order given does not matter."""
    corrected = holm(p_values)
    for own, result in zip(p_values, corrected, strict=True):
        assert own <= result <= min(1.0, len(p_values) * own) + 1e-12
    if 1 < len(p_values) <= 4:
        for order in permutations(range(len(p_values))):
            again = holm([p_values[index] for index in order])
            assert sorted(again) == pytest.approx(sorted(corrected))


@pytest.mark.parametrize(
    ("found", "needed"),
    [
        (Estimate(10, 9, 10.5, 100, 10), 40),  # reaches 10 % with 10 runs: 5 % with 4 times as many
        (Estimate(10, 9.9, 10.1, 100, 10), 6),
        (Estimate(0, -1, 1, 100, 10), None),
        (Estimate(10, 9, 11, 100, 1), None),
    ],
)
def test_runs_needed_for_a_narrower_interval(found: Estimate, needed: int | None) -> None:
    """Half the width takes four times the runs; never fewer than 6, nothing is known from one run or about zero."""
    assert runs_needed(found, 0.05) == needed
