"""The runs of an experiment and their order: a full factorial design, drawn from the seed. Pure.

Nothing is shuffled: each run has a number of its own, hashed from the seed and from what the run is, and runs go by it.
So the order does not depend on the Python version or on how the file is sorted, and a level or a repetition that is
added leaves the others' seeds and their order among each other. A factor that is added is part of every run, so it
changes all of both.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from experiments.design.model import ExperimentDesign, Order, PlannedRun
from experiments.design.settings import DesignError
from experiments.stats import derived_seed

MAX_RUNS = 100_000
"""More are a slip of the pen: at ten seconds each they take eleven days."""

Levels = Mapping[str, str]


def combinations(design: ExperimentDesign) -> tuple[Levels, ...]:
    """Every combination of levels that is not excluded, in the file's order; DesignError where there is none."""
    size = math.prod(len(factor.levels) for factor in design.factors) * design.repetitions
    if size > MAX_RUNS:
        raise DesignError(
            f"{size:,} runs are more than {MAX_RUNS:,}; take fewer levels or repetitions", ("spec", "repetitions")
        )
    found = tuple(one for one in _product(design) if not any(part and within(part, one) for part in design.exclude))
    if not found:
        raise DesignError(
            "no combination of levels is left to run; exclude less, or give factors levels",
            ("spec", "exclude" if design.exclude else "factors"),
        )
    return found


def plan(design: ExperimentDesign) -> tuple[PlannedRun, ...]:
    """All runs in their order."""
    chosen = combinations(design)
    repetitions = range(design.repetitions)
    match design.order:
        case Order.SEQUENTIAL:
            order = [(repetition, levels) for repetition in repetitions for levels in chosen]
        case Order.BLOCKED:
            order = [
                (repetition, levels) for repetition in repetitions for levels in _drawn(design, repetition, chosen)
            ]
        case Order.RANDOM:
            order = sorted(product(repetitions, chosen), key=lambda one: _draw(design, "order", *one))
    return tuple(
        PlannedRun(index, repetition, levels, _draw(design, "run", repetition, levels))
        for index, (repetition, levels) in enumerate(order)
    )


def _product(design: ExperimentDesign) -> Iterator[Levels]:
    names = [factor.name for factor in design.factors]
    for levels in product(*([level.name for level in factor.levels] for factor in design.factors)):
        yield dict(zip(names, levels, strict=True))


def within(part: Levels, levels: Levels) -> bool:
    """Whether a combination has these levels."""
    return all(levels.get(factor) == level for factor, level in part.items())


def _drawn(design: ExperimentDesign, repetition: int, chosen: Iterable[Levels]) -> list[Levels]:
    return sorted(chosen, key=lambda levels: _draw(design, "order", repetition, levels))


def _draw(design: ExperimentDesign, purpose: str, repetition: int, levels: Levels) -> int:
    words = (f"{factor}={level}" for factor, level in sorted(levels.items()))
    return derived_seed(design.seed, purpose, str(repetition), *words)
