"""The experiment's figures: distribution and disruption, request times and balance of work, connection rate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from experiments.records import Figure
from experiments.report.style import BLUE, GREEN, GREY, ORANGE, PAGE_INCHES, SETTINGS
from experiments.service_load_balancing.plan import Design
from experiments.stats import Estimate, ecdf
from kubinet.state import Algorithm

if TYPE_CHECKING:
    from experiments.service_load_balancing.analysis import Outcome

_STYLES: Final = {
    Algorithm.HASH: (BLUE, "-"),
    Algorithm.RANDOM: ("#56B4E9", "--"),
    Algorithm.ROUND_ROBIN: (GREEN, "-"),
    Algorithm.WEIGHTED: ("#CC79A7", "-"),
    Algorithm.MAGLEV: (GREY, "-."),
    Algorithm.LEAST_CONNECTIONS: (ORANGE, "-"),
    Algorithm.SOURCE_HASH: ("#000000", ":"),
}
"""Colours of Okabe and Ito; the line's form tells neighbours apart without colour."""


def figures(
    made: Design, found: Sequence["Outcome"], direct: Estimate | None, times: Mapping[str, Sequence[float]]
) -> tuple[Figure, ...]:
    """Every figure of the report."""
    with mpl.rc_context(SETTINGS):
        drawn = [_connections(made, found)]
        if times:
            drawn.append(_requests(made, found, times))
        if any(one.rate for one in found):
            drawn.append(_rate(found, direct))
    return tuple(drawn)


def _connections(made: Design, found: Sequence["Outcome"]) -> Figure:
    drawing = Drawing(figsize=(PAGE_INCHES, 0.8 + 0.32 * len(found)))
    left, right = drawing.subplots(1, 2, sharey=True)
    for place, one in enumerate(found):
        spread = [place + 0.12 * (number - (len(one.shares) - 1) / 2) for number in range(len(one.shares))]
        for y, (name, share) in zip(spread, one.shares.items(), strict=True):
            ideal = one.ideal[name]
            low, value, high = (number / ideal for number in (share.low, share.value, share.high))
            left.plot([low, high], [y, y], color=BLUE, linewidth=1)
            left.plot([value], [y], "s" if name == made.slow else "o", color=BLUE, markersize=3)
        if one.disruption is not None:
            moved, must = one.disruption.moved, one.disruption.least
            right.barh(place, must.value, height=0.55, color=GREY, alpha=0.45)
            right.barh(place, one.disruption.needless.value, left=must.value, height=0.55, color=ORANGE, alpha=0.7)
            right.plot([moved.low, moved.high], [place, place], color="#000000", linewidth=1)
    left.axvline(1, color=GREY, linestyle=":")
    left.set_xlim(left=0)
    left.set_xlabel("share of connections, 1 = ideal")
    left.set_title("Distribution: one point an endpoint")
    right.axvline(1 / made.endpoints, color=GREY, linestyle=":")
    right.set_xlim(0, 1)
    right.set_xlabel("share of connections that moved")
    right.set_title(f"Disruption: 1 of {made.endpoints} endpoints leaves")
    _names(left, found)
    handles = [
        Line2D([], [], color=GREY, alpha=0.45, linewidth=6),
        Line2D([], [], color=ORANGE, alpha=0.7, linewidth=6),
        Line2D([], [], color=GREY, linestyle=":"),
    ]
    labels = ["its endpoint left", "its endpoint stayed: needless", "ideal"]
    drawing.legend(handles, labels, loc="outside lower center", ncols=3)
    caption = (
        f"Left: share of connections per endpoint, relative to the ideal (even; for weighted its weights), with 95 % "
        f"intervals; the square is the slow endpoint. source-hash places {made.clients} clients, not connections. "
        "Right: share of the same clients and source ports whose endpoint changed when one left, with its interval."
    )
    return Figure("connections", caption, drawing)


def _requests(made: Design, found: Sequence["Outcome"], times: Mapping[str, Sequence[float]]) -> Figure:
    drawing = Drawing(figsize=(PAGE_INCHES, 2.9))
    left, right = drawing.subplots(1, 2, width_ratios=(3, 2))
    for one in found:
        values = times.get(one.algorithm)
        if not values:
            continue
        colour, line = _STYLES[Algorithm(one.algorithm)]
        steps, shares = ecdf(values)
        left.step(steps, 1 - shares + 1 / len(values), where="post", color=colour, linestyle=line, label=one.algorithm)
    left.set_xscale("log")
    left.set_yscale("log")
    left.axhline(0.01, color=GREY, linestyle=":", linewidth=0.8)
    left.text(left.get_xlim()[0], 0.01, " p99", color=GREY, fontsize=7, ha="left", va="bottom")
    left.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    left.set_xlabel("request time (ms)")
    left.set_ylabel("share of requests that took longer")
    left.set_title(f"{made.requests_per_s:g} requests/s, one endpoint {made.slow_factor:g} times slower")
    able = (1 / made.slow_factor) / (made.endpoints - 1 + 1 / made.slow_factor)
    for place, one in enumerate(found):
        if not one.work:
            continue
        share = one.work[made.slow]
        right.barh(place, share.value, height=0.55, color=_STYLES[Algorithm(one.algorithm)][0], alpha=0.6)
        right.plot([share.low, share.high], [place, place], color="#000000", linewidth=1)
    right.axvline(1 / made.endpoints, color=GREY, linestyle=":")
    right.axvline(able, color=GREY, linestyle="--")
    right.set_xlim(left=0)
    right.set_xlabel("share of requests")
    right.set_title("To the slow endpoint")
    _names(right, found)
    drawing.legend(loc="outside lower center", ncols=4)
    caption = (
        "Left: how many requests took longer than a time, from when they were to start until their answer; both axes "
        "logarithmic, so the tail is on the right. Right: the slow endpoint's share of the requests with its 95 % "
        f"interval; dotted an even share, dashed its share of what all endpoints can do ({able:.1%})."
    )
    return Figure("requests", caption, drawing)


def _rate(found: Sequence["Outcome"], direct: Estimate | None) -> Figure:
    drawing = Drawing(figsize=(PAGE_INCHES, 0.6 + 0.26 * len(found)))
    panel = drawing.subplots()
    for place, one in enumerate(found):
        if one.rate is not None:
            panel.barh(place, one.rate.value, height=0.55, color=_STYLES[Algorithm(one.algorithm)][0], alpha=0.6)
            panel.plot([one.rate.low, one.rate.high], [place, place], color="#000000", linewidth=1)
    if direct is not None:
        panel.axvline(direct.value, color=GREY, linestyle=":")
    panel.set_xlim(left=0)
    panel.set_xlabel("connections per second from one client (dotted: to the endpoints in turn, without a Service)")
    _names(panel, found)
    caption = "Connection rate through each Service, with 95 % intervals; every connection is a new one."
    return Figure("rate", caption, drawing)


def _names(panel: Axes, found: Sequence["Outcome"]) -> None:
    panel.set_yticks(range(len(found)), [one.algorithm for one in found])
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
