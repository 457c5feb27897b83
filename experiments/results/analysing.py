"""The generic analysis: tables with medians and intervals, and comparisons with a baseline. Pure."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from experiments.design.model import AnalysisDesign, ExperimentDesign, Order
from experiments.ranktests import holm
from experiments.records import Verdict
from experiments.results.grouping import (
    Combination,
    Group,
    check_columns,
    group,
    labels_of,
    levels_in_order,
    metrics_of,
    mixed,
    of_metric,
    samples_of,
    unit_of,
    varying,
)
from experiments.results.loading import Results
from experiments.runstats import Contrast, contrast, estimate, runs_needed, statistic
from experiments.stats import Estimate, Samples, derived_seed
from kubinet.errors import InvalidInputError

WANTED_HALF_WIDTH: Final = 0.02
"""For the report's column of runs needed: the interval reaches this share of the value to either side."""


@dataclass(frozen=True, slots=True)
class Row:
    """One statistic of one combination of levels."""

    levels: Mapping[str, str]
    metric: str
    statistic: str
    unit: str
    found: Estimate
    """Median over the runs."""
    verdicts: Mapping[str, int]
    """Verdict to the number of runs with it."""
    needed: int | None
    """Runs after which the interval reaches at most 2 % of the value to either side."""
    baseline: Mapping[str, str] | None = None
    """Levels of the row that this one is compared with; None: it is compared with none."""
    contrast: Contrast | None = None
    p_corrected: float | None = None
    """The contrast's p-value, corrected for all comparisons of the experiment (Holm 1979)."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of its runs."""
        order = list(Verdict)
        return max((Verdict(name) for name in self.verdicts), key=order.index, default=Verdict.VALID)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one analysis of the design found."""

    design: AnalysisDesign
    by: tuple[str, ...]
    unit: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def analyse(results: Results) -> tuple[Answer, ...]:
    """Every analysis of the design, in its order; without any, the median of every metric by what varies.

    An analysis whose metric has no samples, or that names what does not exist, is an Answer without rows and with a
    note: the others are still worth reading.
    """
    wanted = results.design.analysis or tuple(_plain(results, metric) for metric in metrics_of(results.samples))
    return _corrected([_answer(results, one) for one in wanted])


def _plain(results: Results, metric: str) -> AnalysisDesign:
    """The median of a metric by everything that varies, labels too, except from where to where."""
    samples = of_metric(results.samples, metric)
    labels = [name for name in labels_of(samples, results.design) if name not in ("source", "target")]
    several = [name for name in labels if samples[name].nunique() > 1]
    return AnalysisDesign(metric, by=(*varying(results.design), *several))


def columns_of(analysis: AnalysisDesign, design: ExperimentDesign) -> tuple[str, ...]:
    """What rows are made of; what `where` fixes comes last, so that rows say what they are about."""
    free = analysis.by or tuple(name for name in varying(design) if name not in analysis.where)
    return (*free, *(name for name in analysis.where if name not in free))


def _answer(results: Results, analysis: AnalysisDesign) -> Answer:
    by = columns_of(analysis, results.design)
    try:
        samples = samples_of(results.samples, analysis)
        check_columns(samples, [*by, *analysis.baseline])
        unit = unit_of(samples, analysis.metric)
        rows = tuple(_rows(results, analysis, by, unit))
    except InvalidInputError as error:
        return Answer(analysis, by, "", (), (f"Nothing can be said: {error}.",))
    notes = []
    if together := mixed(samples, by, results.design):
        notes.append(f"Samples of all levels of {' and '.join(together)} stand together in a row.")
    if lost := int((~samples["value"].apply(_is_finite)).sum()):
        notes.append(f"{lost} samples are not a number and were left out.")
    for name in analysis.baseline:
        if name not in by:
            notes.append(f"There is no comparison: the baseline's '{name}' is not among what rows are made of.")
    return Answer(analysis, by, unit, rows, (*notes, *_absent(results, analysis, by, rows)))


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def _rows(results: Results, analysis: AnalysisDesign, by: tuple[str, ...], unit: str) -> Iterator[Row]:
    samples = samples_of(results.samples, analysis)
    groups = group(samples, by, results.design, apart=tuple(analysis.baseline))
    for name in analysis.statistics:
        wanted = statistic(name)
        for combination, found in groups.items():
            levels = dict(zip(by, combination, strict=True))
            seed = derived_seed(results.design.seed, analysis.metric, name, *by, *combination)
            median = estimate(list(found.runs.values()), wanted, seed=seed)
            row = Row(
                levels=levels,
                metric=analysis.metric,
                statistic=name,
                unit="" if name == "count" else unit,
                found=median,
                verdicts=dict(Counter(found.verdicts.values())),
                needed=runs_needed(median, WANTED_HALF_WIDTH),
            )
            against = _baseline(by, combination, analysis.baseline)
            if against is not None and against != combination and against in groups:
                compared = compare_groups(found, groups[against], name, design=results.design, seed=seed)
                if compared is not None:
                    row = replace(row, baseline=dict(zip(by, against, strict=True)), contrast=compared)
            yield row


def _baseline(by: Sequence[str], combination: Combination, baseline: Mapping[str, str]) -> Combination | None:
    """The same combination with the baseline's levels; None where there is no baseline."""
    if not baseline or not set(baseline) <= set(by):
        return None
    return tuple(baseline.get(name, level) for name, level in zip(by, combination, strict=True))


def compare_groups(
    condition: Group, baseline: Group, name: str, *, design: ExperimentDesign, seed: int
) -> Contrast | None:
    """The effect of one group against another; None where no run of the one has a partner in the other.

    Runs are paired where the design is blocked: a block's runs were measured one after the other.
    """
    wanted = statistic(name)
    if design.order is not Order.BLOCKED or not _once(condition) or not _once(baseline):
        return contrast(condition.runs, baseline.runs, wanted, paired=False, seed=seed)
    one, other = _by_block(condition), _by_block(baseline)
    return contrast(one, other, wanted, paired=True, seed=seed) if one.keys() & other.keys() else None


def _once(found: Group) -> bool:
    return len(set(found.blocks.values())) == len(found.runs)


def _by_block(found: Group) -> dict[Hashable, Samples]:
    return {found.blocks[run]: samples for run, samples in found.runs.items()}


def _absent(results: Results, analysis: AnalysisDesign, by: tuple[str, ...], rows: Sequence[Row]) -> Iterator[str]:
    """Levels of factors that no row has, although the design has runs of them."""
    samples = of_metric(results.samples, analysis.metric)
    for factor in results.design.factors:
        if factor.name in by and factor.name not in analysis.where and rows:
            present = levels_in_order(samples, factor.name, results.design)
            if gone := [level.name for level in factor.levels if level.name not in present]:
                yield f"No sample of {factor.name} {', '.join(gone)} can be used; see the runs left out."


def _corrected(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    raw = [row.contrast.p_value for answer in answers for row in answer.rows if row.contrast is not None]
    corrected = iter(holm(raw))
    return tuple(
        replace(
            answer,
            rows=tuple(
                replace(row, p_corrected=next(corrected)) if row.contrast is not None else row for row in answer.rows
            ),
        )
        for answer in answers
    )
