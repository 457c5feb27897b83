"""How a figure is divided: what is on the axis, what has a colour, what has a panel of its own. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.design.model import FactorDesign
from experiments.results.grouping import Combination, Group
from experiments.results.wording import levels_text

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers can tell apart; yellow is too light for lines on white."""

LINES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKS: Final = ("o", "s", "^", "D", "v", "P", "X")
MOST_PANELS: Final = 12


@dataclass(frozen=True, slots=True)
class Series:
    """What is drawn in one colour of one panel."""

    label: str
    style: int
    """Which colour, line and mark: index into the tables above, turned around at their ends."""
    groups: Mapping[str, Group]
    """Level on the axis to its runs; `""` where the axis is not a factor."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes."""

    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Division:
    """A whole figure."""

    axis: str
    """The column on the axis; empty where the axis is the value or the time."""
    colour: str
    """The column that colours tell apart; empty: there is one colour."""
    panels: tuple[Panel, ...]
    left_out: int
    """Panels that are not drawn, because there are too many."""


def divide(
    groups: Mapping[Combination, Group], by: Sequence[str], axis: str, factors: Sequence[FactorDesign] = ()
) -> Division:
    """The first column that is not on the axis has colours, combinations of the others have panels.

    A factor's levels have their colours in the order of `factors`, other values in that in which they come.
    """
    free = [name for name in by if name != axis]
    colour = free[0] if free else ""
    rest = free[1:]
    panels: dict[Combination, dict[str, dict[str, Group]]] = {}
    present = {combination[by.index(colour)] for combination in groups} if colour else set()
    known = [level.name for factor in factors if factor.name == colour for level in factor.levels]
    styles: dict[str, int] = {name: place for place, name in enumerate(name for name in known if name in present)}
    for combination, found in groups.items():
        levels = dict(zip(by, combination, strict=True))
        hue = levels[colour] if colour else ""
        styles.setdefault(hue, len(styles))
        place = panels.setdefault(tuple(levels[name] for name in rest), {})
        place.setdefault(hue, {})[levels[axis] if axis else ""] = found
    made = [
        Panel(
            levels_text(dict(zip(rest, key, strict=True))) if rest else "",
            tuple(
                Series(hue, styles[hue], one) for hue, one in sorted(panel.items(), key=lambda item: styles[item[0]])
            ),
        )
        for key, panel in panels.items()
    ]
    return Division(axis, colour, tuple(made[:MOST_PANELS]), max(0, len(made) - MOST_PANELS))


def axis_levels(division: Division) -> tuple[str, ...]:
    """The levels on the axis, in their order."""
    return tuple(dict.fromkeys(_levels(division)))


def _levels(division: Division) -> Iterator[str]:
    longest = max((list(series.groups) for panel in division.panels for series in panel.series), key=len, default=[])
    yield from longest
    for panel in division.panels:
        for series in panel.series:
            yield from series.groups


def grid(panels: int) -> tuple[int, int]:
    """Rows and columns for so many panels: up to three beside each other, four of them as two by two."""
    columns = panels if panels <= 3 else 2 if panels == 4 else 3
    return -(-panels // columns), columns


def axis_places(factors: Sequence[FactorDesign], axis: str, levels: Sequence[str]) -> dict[str, float] | None:
    """Level to its place on a numeric axis: its value, or its name (`5` for `5ms`); None where a level is no number."""
    values = {level.name: level.value for factor in factors if factor.name == axis for level in factor.levels}
    for numbers in ([values.get(level, level) for level in levels], levels):
        try:
            return {level: float(value) for level, value in zip(levels, numbers, strict=True)}
        except ValueError:
            continue
    return None
