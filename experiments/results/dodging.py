"""Series of one figure stand a little beside each other, so that intervals at one level do not cover each other."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

_STEP_POINTS: Final = 4.5
"""From one series to the next: an interval's cap is 4 points wide."""
_SHARE: Final = 0.6
"""The series of a level take so much of the way to the next level at most, so that it is seen whose they are."""
_LEAST_POINTS: Final = 1.5
"""Nearer than that lines cannot be told apart; levels that are so near to each other cannot be read anyhow."""
_LEAST_MARGIN: Final = 0.05
"""Matplotlib's own."""
_POINTS_AN_INCH: Final = 72.0


def shifts(series: int, places: Sequence[float], *, inches: float, log: bool = False) -> tuple[float, ...]:
    """How far right of its level each series stands, in points; together they are in the middle. Pure.

    `places`: the levels on the axis, which is so many `inches` long from the first to the last.
    """
    if series < 2:
        return (0.0,) * series
    at = sorted(math.log(one) if log else one for one in places)
    gaps = [after - before for before, after in itertools.pairwise(at) if after > before]
    nearest = _POINTS_AN_INCH * inches * (min(gaps) / (at[-1] - at[0]) if gaps else 1)
    step = min(_STEP_POINTS, max(_LEAST_POINTS, _SHARE * nearest / (series - 1)))
    return tuple((number - (series - 1) / 2) * step for number in range(series))


def moved(axes: Axes, points: float) -> Transform:
    """The transform of what stands `points` right of its place."""
    drawing = axes.get_figure(root=True)
    assert drawing is not None
    return axes.transData + ScaledTranslation(points / _POINTS_AN_INCH, 0, drawing.dpi_scale_trans)


def margin(beside: Sequence[float], *, inches: float) -> float:
    """How much of the axis' length has to be free at its ends for the outermost series."""
    return max(_LEAST_MARGIN, (max(beside) + _STEP_POINTS) / (_POINTS_AN_INCH * inches))


def make_room(axes: Axes, x: Sequence[float], *values: Sequence[float]) -> None:
    """Let the axes hold these points: what is moved does not count by itself."""
    points: list[Any] = [np.column_stack([x, one]) for one in values]
    axes.update_datalim(np.concatenate(points))
    axes.autoscale_view()
