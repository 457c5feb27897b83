"""The planned runs: a full factorial design, its order and its seeds."""

from collections import Counter
from dataclasses import replace
from itertools import groupby, product
from pathlib import Path

import pytest
from designs import GOOD
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.document import parse_text
from experiments.design.model import ExperimentDesign, FactorDesign, Level, Order, PlannedRun
from experiments.design.plan import plan
from kubinet.errors import InvalidInputError

BASE = replace(parse_text(GOOD, "lab.yaml", Path()).design, exclude=())


def _factor(name: str, levels: int) -> FactorDesign:
    return FactorDesign(name, tuple(Level(f"{name}{index}", {}, index) for index in range(levels)), "")


@st.composite
def designs(draw: st.DrawFn) -> ExperimentDesign:
    """Designs of up to three factors, some combinations left out."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=3))
    factors = tuple(_factor(name, size) for name, size in zip("abc", sizes, strict=False))
    whole = [
        dict(zip("abc", levels, strict=False)) for levels in product(*([one.name for one in f.levels] for f in factors))
    ]
    return replace(
        BASE,
        factors=factors,
        exclude=tuple(draw(st.lists(st.sampled_from(whole), max_size=max(0, len(whole) - 1), unique_by=str)))
        if sizes
        else (),
        repetitions=draw(st.integers(1, 5)),
        seed=draw(st.integers(0, 2**64)),
        order=draw(st.sampled_from(Order)),
    )


def _without_places(runs: tuple[PlannedRun, ...]) -> list[PlannedRun]:
    return [replace(run, index=0) for run in runs]


@given(designs())
def test_every_combination_is_measured_exactly_as_often_as_asked(design: ExperimentDesign) -> None:
    """Each combination that is not excluded has one run in each repetition; excluded ones have none."""
    runs = plan(design)
    counts = Counter((run.repetition, tuple(run.levels.items())) for run in runs)
    names = [factor.name for factor in design.factors]
    every = product(*([level.name for level in factor.levels] for factor in design.factors))
    wanted = [one for one in every if dict(zip(names, one, strict=True)) not in design.exclude]
    assert counts == Counter(
        (repetition, tuple(zip(names, one, strict=True))) for repetition in range(design.repetitions) for one in wanted
    )
    assert [run.index for run in runs] == list(range(len(runs)))


@given(designs())
def test_blocks_are_complete(design: ExperimentDesign) -> None:
    """In blocked and sequential order a repetition is over before the next begins."""
    design = replace(design, order=Order.BLOCKED)
    blocks = [repetition for repetition, _ in groupby(plan(design), key=lambda run: run.repetition)]
    assert blocks == list(range(design.repetitions))


@given(designs())
def test_the_same_seed_gives_the_same_runs(design: ExperimentDesign) -> None:
    """A plan is a function of the design; the runs of another order are the same with the same seeds."""
    assert plan(design) == plan(design)
    orders = [plan(replace(design, order=order)) for order in Order]
    keyed = [sorted(_without_places(runs), key=lambda run: run.seed) for runs in orders]
    assert keyed[0] == keyed[1] == keyed[2]


@given(designs())
def test_runs_have_seeds_of_their_own(design: ExperimentDesign) -> None:
    """No two runs share a seed."""
    runs = plan(design)
    assert len({run.seed for run in runs}) == len(runs)


@given(designs(), st.randoms(use_true_random=False))
def test_how_the_file_is_sorted_does_not_matter(design: ExperimentDesign, random: object) -> None:
    """Factors and levels in another order give the same runs, in the same drawn order."""
    design = replace(design, order=Order.RANDOM)
    turned = replace(design, factors=tuple(replace(one, levels=one.levels[::-1]) for one in reversed(design.factors)))
    assert plan(turned) == plan(design)


@given(designs(), st.sampled_from([Order.BLOCKED, Order.RANDOM]))
def test_a_new_level_leaves_the_other_runs_as_they_were(design: ExperimentDesign, order: Order) -> None:
    """With a level more, the runs without it keep their seeds and their order among each other."""
    design = replace(design, factors=(_factor("a", 2), _factor("b", 3)), exclude=(), order=order)
    more = replace(design, factors=(_factor("a", 2), _factor("b", 4)))
    others = tuple(run for run in plan(more) if run.levels["b"] != "b3")
    assert _without_places(others) == _without_places(plan(design))


@given(designs())
def test_more_repetitions_leave_the_first_ones_as_they_were(design: ExperimentDesign) -> None:
    """With repetitions added, the others keep their seeds and, in blocks, their places."""
    design = replace(design, order=Order.BLOCKED)
    more = plan(replace(design, repetitions=design.repetitions + 2))
    assert more[: len(plan(design))] == plan(design)


def test_a_new_factor_changes_every_seed() -> None:
    """A factor is part of what each run is, so adding one, even of one level, draws everything anew."""
    design = replace(BASE, factors=(_factor("a", 3),))
    more = replace(design, factors=(_factor("a", 3), _factor("b", 1)))
    assert not {run.seed for run in plan(design)} & {run.seed for run in plan(more)}


def test_the_plan_is_what_it_was() -> None:
    """A seed gives the same order and the same seeds in every version: a published seed stays repeatable."""
    design = replace(BASE, factors=(_factor("a", 3),), repetitions=2, seed=7)
    assert [(run.repetition, run.levels["a"], run.seed) for run in plan(design)] == [
        (0, "a0", 5700807951236247078),
        (0, "a2", 11894189996373181470),
        (0, "a1", 8577815733005086334),
        (1, "a1", 17268268530262280956),
        (1, "a0", 9875685877338976730),
        (1, "a2", 16858216220572194387),
    ]


def test_repetitions_are_ordered_differently() -> None:
    """Blocks are drawn anew: over many repetitions every level is first about equally often."""
    design = replace(BASE, factors=(_factor("a", 4),), repetitions=400)
    first = Counter(run.levels["a"] for run in plan(design) if run.index % 4 == 0)
    assert all(70 <= count <= 130 for count in first.values())
    assert sum(first.values()) == 400


def test_an_exclusion_leaves_out_every_combination_that_it_is_part_of() -> None:
    """An entry with one of two factors excludes that level with all levels of the other."""
    design = replace(
        BASE,
        factors=(_factor("a", 2), _factor("b", 2)),
        exclude=({"a": "a0"}, {"a": "a1", "b": "b0"}),
        repetitions=1,
    )
    assert [run.levels for run in plan(design)] == [{"a": "a1", "b": "b1"}]


def test_a_design_without_factors_has_one_combination() -> None:
    """An experiment without factors measures the same thing in every repetition."""
    runs = plan(replace(BASE, factors=(), repetitions=3))
    assert [(run.index, run.repetition, run.levels) for run in runs] == [(0, 0, {}), (1, 1, {}), (2, 2, {})]


def test_too_many_runs_are_refused_at_once() -> None:
    """A billion repetitions are refused without being counted out."""
    with pytest.raises(InvalidInputError, match=r"6,000,000,000 runs are more than 100,000"):
        plan(replace(BASE, repetitions=10**9))
