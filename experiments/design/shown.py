"""Whether claims and analyses speak of combinations of levels that are run at all. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from experiments.design.model import AnalysisDesign, Claim, ExperimentDesign, Order
from experiments.design.plan import combinations, within
from experiments.design.settings import DesignError


@dataclass(frozen=True, slots=True)
class Unrun:
    """What names only combinations that are left out."""

    field: str
    """`where`, `against` or `baseline`."""
    problem: str


class Runs:
    """The combinations that a design runs."""

    def __init__(self, design: ExperimentDesign) -> None:
        """DesignError where there is none."""
        self._chosen = combinations(design)
        self._varying = [factor.name for factor in design.factors if len(factor.levels) > 1]
        self._factors = [factor.name for factor in design.factors]
        self._blocked = design.order is Order.BLOCKED

    def unrun_of_claim(self, one: Claim) -> Unrun | None:
        """What of a claim no run can show; names that nothing has are another's to find."""
        for field, levels in (("where", one.where), ("against", one.against)):
            if not self._any(levels):
                return Unrun(field, self._left_out(levels))
        if one.against and self._have_no_partners(one.where, one.against):
            where, against = (_text(self._of_factors(levels)) for levels in (one.where, one.against))
            problem = (
                f"runs are compared block by block, and no run of {where} is in a block with one of {against}; "
                "compare levels that are run beside the same others, or say `order: random`"
            )
            return Unrun("against", problem)
        return None

    def unrun_of_analysis(self, one: AnalysisDesign) -> Unrun | None:
        """What of an analysis no run can show."""
        if not self._any(one.where):
            return Unrun("where", self._left_out(one.where))
        if not self._any({**one.where, **one.baseline}):
            return Unrun("baseline", self._left_out({**one.where, **one.baseline}))
        return None

    def _of_factors(self, levels: Mapping[str, str]) -> Mapping[str, str]:
        """Without labels: what values those have is known only when it is measured."""
        return {name: level for name, level in levels.items() if name in self._factors}

    def _any(self, levels: Mapping[str, str]) -> bool:
        wanted = self._of_factors(levels)
        return any(within(wanted, one) for one in self._chosen)

    def _left_out(self, levels: Mapping[str, str]) -> str:
        named = _text(self._of_factors(levels))
        return f"no run has {named}: `exclude` leaves those out; name levels that are run together, or exclude less"

    def _have_no_partners(self, where: Mapping[str, str], against: Mapping[str, str]) -> bool:
        """As `experiments.results.analysing.compare_groups` pairs: by all other factors, where they tell runs apart."""
        others = [name for name in self._varying if name not in {*where, *against}]
        one, other = (list(self._blocks(self._of_factors(levels), others)) for levels in (where, against))
        once = len(set(one)) == len(one) and len(set(other)) == len(other)
        return self._blocked and once and not set(one) & set(other)

    def _blocks(self, levels: Mapping[str, str], others: list[str]) -> Iterator[tuple[str, ...]]:
        return (tuple(run[name] for name in others) for run in self._chosen if within(levels, run))


def without_unrun(design: ExperimentDesign, before: ExperimentDesign) -> ExperimentDesign:
    """Without the claims, analyses and baselines that `before` has runs of and `design`, with other levels, has not.

    What had none before is left for the check; so is everything where no combination is left at all.
    """
    try:
        runs, earlier = Runs(design), Runs(before)
    except DesignError:
        return design

    def analysed(one: AnalysisDesign) -> Iterator[AnalysisDesign]:
        unrun = runs.unrun_of_analysis(one)
        if unrun is None or earlier.unrun_of_analysis(one) is not None:
            yield one
        elif unrun.field == "baseline":
            yield replace(one, baseline={})

    claims = tuple(
        one for one in design.claims if runs.unrun_of_claim(one) is None or earlier.unrun_of_claim(one) is not None
    )
    kept = {one.identity for one in claims}
    gone = {one.identity for one in design.claims} - kept
    return replace(
        design,
        claims=claims,
        analysis=tuple(chain.from_iterable(map(analysed, design.analysis))),
        published=tuple(
            replace(one, claims=tuple(identity for identity in one.claims if identity not in gone))
            for one in design.published
        ),
    )


def claims_left_out(design: ExperimentDesign, before: ExperimentDesign) -> str:
    """What to say before the first run of the claims that a choice of levels leaves without data; empty for none."""
    kept = {one.identity for one in design.claims}
    gone = [one.identity for one in before.claims if one.identity not in kept]
    if not gone:
        return ""
    if len(gone) == 1:
        return f"claim {gone[0]} has no run with the levels that were chosen; the report does not judge it"
    return f"claims {', '.join(gone)} have no run with the levels that were chosen; the report does not judge them"


def _text(levels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={level}" for name, level in levels.items()) or "all levels"
