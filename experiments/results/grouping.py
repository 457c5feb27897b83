"""From a data frame of samples to the values of each run, by combination of levels. Pure."""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from experiments.design.model import AnalysisDesign, ExperimentDesign
from experiments.results.wording import levels_text
from experiments.stats import Samples
from kubinet.errors import InvalidInputError

Combination = tuple[str, ...]
"""One level for each column that rows are made of."""

_FIXED: Final = frozenset({"run", "repetition", "verdict", "metric", "sequence", "time_s", "value", "unit"})
"""Columns of samples that are neither factor nor label, source or target."""


DURATION: Final = " duration"
"""Metrics that end so say how long a part of a run took, in seconds from their time on: they are not results."""


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one combination."""

    runs: Mapping[int, Samples]
    """Run to its values, in the run order; a run without a finite value is not there."""
    blocks: Mapping[int, Hashable]
    """Run to what it shares with the run that it was measured next to: its repetition, and the levels of the factors
    that rows are not made of."""
    verdicts: Mapping[int, str]


def varying(design: ExperimentDesign) -> tuple[str, ...]:
    """The factors with more than one level."""
    return tuple(factor.name for factor in design.factors if len(factor.levels) > 1)


def labels_of(samples: pd.DataFrame, design: ExperimentDesign) -> tuple[str, ...]:
    """The columns that tell samples of one run apart: labels, source and target."""
    factors = {factor.name for factor in design.factors}
    return tuple(name for name in samples.columns if name not in _FIXED | factors)


def metrics_of(samples: pd.DataFrame) -> tuple[str, ...]:
    """The metrics that are results, in the order in which they first appear."""
    return tuple(name for name in samples["metric"].unique() if not name.endswith(DURATION))


def of_metric(samples: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The samples of one metric; InvalidInputError naming those that there are."""
    found = samples[samples["metric"] == metric]
    if found.empty:
        there = ", ".join(f"'{name}'" for name in sorted(samples["metric"].unique())) or "none at all"
        raise InvalidInputError(f"metric '{metric}' has no samples here; there are samples of {there}")
    return found


def samples_of(samples: pd.DataFrame, analysis: AnalysisDesign) -> pd.DataFrame:
    """The samples that an analysis is about; InvalidInputError where there is none."""
    found = where(of_metric(samples, analysis.metric), analysis.where)
    if found.empty:
        raise InvalidInputError(f"metric '{analysis.metric}' has no samples with {levels_text(analysis.where)}")
    return found


def unit_of(samples: pd.DataFrame, metric: str) -> str:
    """The unit of a metric's samples; InvalidInputError where they have several."""
    units = list(samples["unit"].unique())
    if len(units) > 1:
        raise InvalidInputError(f"metric '{metric}' has samples in {' and '.join(map(str, units))}; give it one unit")
    return str(units[0]) if units else ""


def check_columns(samples: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse what is no factor or label (InvalidInputError)."""
    there = [name for name in samples.columns if name not in _FIXED]
    for name in columns:
        if name not in there:
            raise InvalidInputError(f"'{name}' is no factor or label of the samples; there are {', '.join(there)}")


def group(
    samples: pd.DataFrame, by: Sequence[str], design: ExperimentDesign, *, apart: Sequence[str] = ()
) -> dict[Combination, Group]:
    """Combination to its runs, in the order of the design's levels.

    `apart`: columns that comparisons are made over, which do not belong to a block.
    """
    check_columns(samples, by)
    others = [name for name in varying(design) if name not in {*by, *apart}]
    found: dict[Combination, Group] = {}
    finite = samples[np.isfinite(samples["value"])]
    parts = finite.groupby(list(by), sort=False) if by else [((), finite)]
    for key, frame in parts:
        by_run = frame.groupby("run", sort=True)
        first = by_run.first()
        found[tuple(map(str, key if isinstance(key, tuple) else (key,)))] = Group(
            runs={int(run): part["value"].to_numpy(dtype=np.float64) for run, part in by_run},
            blocks={
                int(run): (int(row["repetition"]), *(row[name] for name in others)) for run, row in first.iterrows()
            },
            verdicts={int(run): str(row["verdict"]) for run, row in first.iterrows()},
        )
    return {combination: found[combination] for combination in sorted(found, key=_order(by, design))}


def levels_in_order(samples: pd.DataFrame, column: str, design: ExperimentDesign) -> list[str]:
    """The levels of one column that have samples, in the design's order, of a label in their natural order."""
    present = [str(level) for level in samples[column].unique()]
    return [one for (one,) in sorted(((level,) for level in present), key=_order([column], design))]


def where(samples: pd.DataFrame, levels: Mapping[str, str]) -> pd.DataFrame:
    """The samples with these levels and labels."""
    check_columns(samples, list(levels))
    for name, level in levels.items():
        samples = samples[samples[name] == level]
    return samples


def mixed(samples: pd.DataFrame, by: Sequence[str], design: ExperimentDesign) -> tuple[str, ...]:
    """Columns of which a row has several levels: their samples stand together."""
    columns = [name for name in (*varying(design), *labels_of(samples, design)) if name not in by]
    most = samples.groupby(list(by))[columns].nunique().max() if by else samples[columns].nunique()
    return tuple(name for name in columns if most[name] > 1)


def _order(by: Sequence[str], design: ExperimentDesign) -> Callable[[Combination], tuple[object, ...]]:
    places = {factor.name: {level.name: at for at, level in enumerate(factor.levels)} for factor in design.factors}

    def order(combination: Combination) -> tuple[object, ...]:
        return tuple(
            (places.get(name, {}).get(level, len(places.get(name, {}))), *natural(level))
            for name, level in zip(by, combination, strict=True)
        )

    return order


def natural(text: str) -> Iterator[tuple[int, float, str]]:
    """A key under which `n2` is before `n10`."""
    for part in re.findall(r"\d+(?:\.\d+)?|\D+", text):
        yield (0, float(part), "") if part[0].isdigit() else (1, 0.0, part)
