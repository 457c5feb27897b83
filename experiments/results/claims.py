"""Whether an experiment's claims are borne out by its samples. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import starmap
from typing import Final

from experiments.design.model import Claim
from experiments.records import Verdict
from experiments.results.analysing import compare_groups
from experiments.results.grouping import Group, group, of_metric, unit_of, where
from experiments.results.loading import Results
from experiments.results.wording import levels_text, number, with_unit
from experiments.runstats import estimate, statistic
from experiments.stats import Estimate, derived_seed
from kubinet.errors import InvalidInputError


class Outcome(StrEnum):
    """What the samples say about a claim."""

    SHOWN = "shown"
    """The whole interval agrees with it."""
    NOT_SHOWN = "not shown"
    """The whole interval contradicts it."""
    UNCLEAR = "unclear"
    """The interval holds values of both kinds: more runs are needed."""
    NO_DATA = "no data"


RELATIONS: Final = {"<": "below", ">": "above", "~": "equal to"}


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim and what the samples say."""

    claim: Claim
    outcome: Outcome
    words: str
    """What was measured, one sentence."""
    measured: Estimate | None
    """What the claim's bound is compared with: a ratio, or a value in `unit`."""
    bound: float
    unit: str
    """Empty for a ratio."""
    verdict: Verdict
    """The worst verdict of the runs behind it."""


def evaluate(results: Results) -> tuple[ClaimResult, ...]:
    """Every claim of the design, in its order."""
    return tuple(_evaluate(results, claim) for claim in results.design.claims)


@dataclass(frozen=True, slots=True)
class ClaimAgain:
    """A claim of one folder in another one."""

    first: ClaimResult
    second: ClaimResult

    @property
    def lost(self) -> bool:
        """Whether it was shown and is not any more."""
        return self.first.outcome is Outcome.SHOWN and self.second.outcome is not Outcome.SHOWN


def evaluate_again(first: Results, second: Results) -> tuple[ClaimAgain, ...]:
    """Every claim of the first design, on the samples of both."""
    there = replace(second, design=replace(second.design, claims=first.design.claims))
    return tuple(starmap(ClaimAgain, zip(evaluate(first), evaluate(there), strict=True)))


def outcome(claim: Claim, measured: Estimate, bound: float) -> Outcome:
    """Whether value and interval are on the claimed side of the bound.

    The tolerance is the share of the bound up to which a difference counts as none: `>` is above by more than it, `<`
    below by more than it, `~` neither. One run alone settles nothing: how much the next would differ is not known.
    """
    if measured.repetitions == 1:
        return Outcome.UNCLEAR
    slack = claim.tolerance * abs(bound)

    def side(value: float) -> str:
        if value > bound + slack:
            return ">"
        return "<" if value < bound - slack else "~"

    sides = {side(measured.low), side(measured.value), side(measured.high)}
    if sides == {claim.relation}:
        return Outcome.SHOWN
    # An interval from below to above the tolerance holds equal values as well.
    between = {"~"} if {"<", ">"} <= sides else set()
    return Outcome.UNCLEAR if claim.relation in sides | between else Outcome.NOT_SHOWN


def _evaluate(results: Results, claim: Claim) -> ClaimResult:
    try:
        return _measured(results, claim)
    except InvalidInputError as error:
        return ClaimResult(claim, Outcome.NO_DATA, f"{error}.", None, 0.0, "", Verdict.VALID)


def _measured(results: Results, claim: Claim) -> ClaimResult:
    samples = of_metric(results.samples, claim.metric)
    unit = "" if claim.statistic == "count" else unit_of(samples, claim.metric)
    apart = tuple({*claim.where, *claim.against})
    condition = _group(results, claim, claim.where, apart)
    name = f"{claim.metric}, {claim.statistic}"
    seed = derived_seed(results.design.seed, "claim", claim.identity)
    wanted = statistic(claim.statistic)
    if not claim.against:
        bound = claim.value if claim.value is not None else 0.0
        found = estimate(list(condition.runs.values()), wanted, seed=seed)
        words = (
            f"{name} of {levels_text(claim.where)} is {with_unit(number(found.value), unit)} "
            f"[{number(found.low)}, {number(found.high)}]; claimed is {_bound(claim, with_unit(number(bound), unit))}."
        )
        return _result(claim, found, bound, unit, words, condition)
    baseline = _group(results, claim, claim.against, apart)
    compared = compare_groups(condition, baseline, claim.statistic, design=results.design, seed=seed)
    if compared is None:
        raise InvalidInputError(f"no run of {levels_text(claim.where)} has a partner of {levels_text(claim.against)}")
    if compared.ratio is None:
        raise InvalidInputError(f"{name} of {levels_text(claim.against)} is not above zero: there is no ratio to it")
    bound, ratio = claim.value if claim.value is not None else 1.0, compared.ratio
    medians = [with_unit(number(one.value), unit) for one in (compared.condition, compared.baseline)]
    words = (
        f"{name} of {levels_text(claim.where)} is {number(ratio.value)} times [{number(ratio.low)}, "
        f"{number(ratio.high)}] that of {levels_text(claim.against)} ({medians[0]} against "
        f"{medians[1]}); claimed is {_bound(claim, number(bound))}."
    )
    return _result(claim, ratio, bound, "", words, condition, baseline)


def _group(results: Results, claim: Claim, levels: Mapping[str, str], apart: tuple[str, ...]) -> Group:
    chosen = where(of_metric(results.samples, claim.metric), levels)
    found = group(chosen, (), results.design, apart=apart)
    if not found or not found[()].runs:
        raise InvalidInputError(f"there is no usable sample of {claim.metric} with {levels_text(levels)}")
    return found[()]


def _bound(claim: Claim, value: str) -> str:
    if claim.relation == "~":
        return f"{RELATIONS[claim.relation]} {value} within {claim.tolerance:.0%}"
    return f"{RELATIONS[claim.relation]} {value}" + (f" by more than {claim.tolerance:.0%}" if claim.tolerance else "")


def _result(claim: Claim, found: Estimate, bound: float, unit: str, words: str, *groups: Group) -> ClaimResult:
    order = list(Verdict)
    verdicts = [Verdict(name) for one in groups for name in one.verdicts.values()]
    return ClaimResult(
        claim, outcome(claim, found, bound), words, found, bound, unit, max(verdicts, key=order.index, default=order[0])
    )
