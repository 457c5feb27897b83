"""What parts of a design say of each other: factors, levels, labels, metrics, claims by name. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from experiments.design.model import AnalysisDesign, ExperimentDesign
from experiments.design.reading import COPY
from experiments.design.settings import DesignError
from experiments.design.shown import Runs
from experiments.design.substitution import references
from experiments.records import RECORDER

COMMON = (RECORDER, "source", "target")
"""Columns of every table that say whose reading a sample is and where it was measured; they may be named as labels."""


def check_references(design: ExperimentDesign, labels: Collection[str], metrics: Collection[str]) -> None:
    """DesignError for the first name that nothing has.

    `labels`, `metrics`: of the readings that the experiment's plug-ins record.
    """
    for error in _problems(design, labels, metrics):
        raise error


def _problems(design: ExperimentDesign, labels: Collection[str], metrics: Collection[str]) -> Iterator[DesignError]:
    names = _Names(design, labels)
    yield from _unused(design)
    for index, levels in enumerate(design.exclude):
        place: tuple[str | int, ...] = ("spec", "exclude", index)
        if not levels:
            yield DesignError("the entry names no level; name those that are not to meet, or remove it", place)
        yield from names.levels(levels, place, "exclude")
    for factor, kept in design.quick.levels.items():
        place = ("spec", "quick", "factors", factor)
        if not kept:
            yield DesignError(f"factor '{factor}' has no levels left; name at least one", place)
        for level in kept:
            yield from names.levels({factor: level}, ("spec", "quick", "factors"), "quick")
    yield from _conclusions(design, names, metrics)
    identities = [claim.identity for claim in design.claims]
    for index, published in enumerate(design.published):
        for identity in published.claims:
            if identity not in identities:
                listed = ", ".join(identities) or "none"
                place = ("spec", "published", index, "claims")
                yield DesignError(f"there is no claim '{identity}'; there are: {listed}", place)
    if design.stop.precision is not None:
        yield from _metric(design.stop.precision.metric, metrics, ("spec", "stop", "precision"))


def _conclusions(design: ExperimentDesign, names: "_Names", metrics: Collection[str]) -> Iterator[DesignError]:
    runs = Runs(design)
    for index, one in enumerate(design.analysis):
        yield from _analysis(one, ("spec", "analysis", index), names, metrics)
        if unrun := runs.unrun_of_analysis(one):
            yield DesignError(f"analysis: {unrun.problem}", ("spec", "analysis", index, unrun.field))
    for claim in design.claims:
        place = ("spec", "claims", claim.identity)
        yield from _metric(claim.metric, metrics, place)
        for field, levels in (("where", claim.where), ("against", claim.against)):
            yield from names.levels(levels, (*place, field), f"claim '{claim.identity}'", labels=True)
        if unrun := runs.unrun_of_claim(claim):
            yield DesignError(f"claim '{claim.identity}': {unrun.problem}", (*place, unrun.field))


def _analysis(
    one: AnalysisDesign, place: tuple[str | int, ...], names: "_Names", metrics: Collection[str]
) -> Iterator[DesignError]:
    yield from _metric(one.metric, metrics, place)
    for name in one.by:
        yield from names.column(name, (*place, "by"), "analysis")
    yield from names.levels(one.baseline, (*place, "baseline"), "baseline")
    if one.x:
        yield from names.column(one.x, (*place, "x"), "analysis", labels=False)
    yield from names.levels(one.where, (*place, "where"), "analysis", labels=True)
    for name in one.where:
        for field, used in (("baseline", name in one.baseline), ("x", name == one.x)):
            if used:
                problem = f"`where` leaves one level of '{name}'; take it out of `where` or of `{field}`"
                yield DesignError(problem, (*place, "where", name))
    if (one.figure == "line") != bool(one.x):
        problem = "a line needs `x`, the factor that it goes over" if not one.x else f"a {one.figure} figure has no `x`"
        yield DesignError(problem, (*place, "x" if one.x else "figure"))


def _metric(metric: str, metrics: Collection[str], place: Sequence[str | int]) -> Iterator[DesignError]:
    if metric not in metrics:
        listed = ", ".join(sorted(metrics)) or "none"
        yield DesignError(
            f"nothing here records the metric '{metric}'; workloads and measurements record: {listed}",
            (*place, "metric"),
        )


def _unused(design: ExperimentDesign) -> Iterator[DesignError]:
    """Factors and parameters that change nothing: mostly a name that is spelled differently elsewhere."""
    texts = [
        *(choice.text for choice in design.manifests),
        *design.timeline,
        *design.ready,
        *(value for one in design.workload for value in one.settings.values()),
        *(value for one in design.measurements for value in one.settings.values()),
        *design.topology.settings.values(),
        *(
            value
            for factor in design.factors
            for level in factor.levels
            for value in (level.value, *level.sets.values())
        ),
    ]
    used = {name for text in texts if isinstance(text, str) for name in references(text)} - {COPY}
    for factor in design.factors:
        if factor.name not in used and not any(level.sets for level in factor.levels):
            yield DesignError(
                f"factor '{factor.name}' changes nothing: it sets no path and $({factor.name}) is used nowhere",
                ("spec", "factors", factor.name),
            )
    for parameter in design.parameters:
        if parameter not in used:
            yield DesignError(
                f"parameter '{parameter}' changes nothing: $({parameter}) is used nowhere; use it or remove it",
                ("spec", "parameters", parameter),
            )


class _Names:
    """Factors with their levels, and labels; of the label `recorder` it is known what it can be."""

    def __init__(self, design: ExperimentDesign, labels: Collection[str]) -> None:
        self._levels: Mapping[str, list[str]] = {
            factor.name: [level.name for level in factor.levels] for factor in design.factors
        }
        self._labels = sorted({*labels, *COMMON})
        self._recorders = [*(one.name for one in design.workload), *(one.name for one in design.measurements)]

    def column(
        self, name: str, place: Sequence[str | int], subject: str, *, labels: bool = True
    ) -> Iterator[DesignError]:
        """A factor, or a label where those may stand too."""
        if name in self._levels or (labels and name in self._labels):
            return
        factors = ", ".join(self._levels) or "none"
        more = f"; labels: {', '.join(self._labels)}" if labels else ""
        kind = "factor or label" if labels else "factor"
        yield DesignError(f"{subject}: there is no {kind} '{name}'; factors: {factors}{more}", place)

    def levels(
        self, given: Mapping[str, str], place: Sequence[str | int], subject: str, *, labels: bool = False
    ) -> Iterator[DesignError]:
        """Factors with one of their levels, or labels with any text."""
        for name, level in given.items():
            yield from self.column(name, (*place, name), subject, labels=labels)
            if name in self._levels and level not in self._levels[name]:
                known = ", ".join(self._levels[name])
                problem = f"{subject}: factor '{name}' has no level '{level}'; it has: {known}"
                yield DesignError(problem, (*place, name))
            if name == RECORDER and labels and level not in self._recorders:
                known = ", ".join(self._recorders)
                problem = f"{subject}: no workload or measurement is called '{level}'; there are: {known}"
                yield DesignError(problem, (*place, name))
