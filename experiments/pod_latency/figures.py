"""The experiment's figures: distributions of RTT per way, TCP throughput with every repetition."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from experiments.pod_latency.plan import BARE, NETWORKS, POD, RTT, THROUGHPUT, WIRE
from experiments.records import Figure
from experiments.report.style import BLUE, GREY, ORANGE, PAGE_INCHES, SETTINGS
from experiments.stats import ecdf, percentile

if TYPE_CHECKING:
    from experiments.pod_latency.analysis import Repetitions, Way

Grouped = Mapping[tuple[str, str, str], "Repetitions"]

_COLOURS: Final = {WIRE: GREY, BARE: BLUE, POD: ORANGE}
_LINES: Final[Mapping[str, Literal["-", "--", "-."]]] = {WIRE: "-.", BARE: "--", POD: "-"}
_MARKS: Final = {WIRE: "^", BARE: "s", POD: "o"}
_NAMES: Final = {WIRE: "wire, no Open vSwitch", BARE: "bare underlay, node to node", POD: "overlay, pod to pod"}


def figures(ways: Sequence["Way"], grouped: Grouped) -> tuple[Figure, ...]:
    """Every figure of the report."""
    with mpl.rc_context(SETTINGS):
        return (_rtt(ways, grouped), _throughput(ways, grouped))


def _rtt(ways: Sequence["Way"], grouped: Grouped) -> Figure:
    drawing = Drawing(figsize=(PAGE_INCHES, 2.7))
    panels: Sequence[Axes] = drawing.subplots(1, len(ways), sharey=True, squeeze=False)[0]
    for panel, way in zip(panels, ways, strict=True):
        highest = 0.0
        lowest = way.declared.rtt_ms or float("inf")
        for network in NETWORKS:
            repetitions = grouped.get((way.path, network, RTT))
            if not repetitions:
                continue
            values = [value for repetition in repetitions.values() for value in repetition]
            steps, shares = ecdf(values)
            panel.step(steps, shares, where="post", color=_COLOURS[network], linestyle=_LINES[network])
            highest = max(highest, percentile(values, 99.5))
            lowest = min(lowest, steps[0])
        margin = max(0.06 * (highest - lowest), 0.005)
        panel.set_xlim(lowest - margin if way.declared.rtt_ms else 0, highest + margin)
        panel.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        if way.declared.rtt_ms:
            panel.axvline(way.declared.rtt_ms, color=GREY, linestyle=":")
        panel.set_title(f"{way.path}\n{_ends(way)}")
        panel.set_xlabel("round-trip time (ms)")
        panel.set_ylim(0, 1.02)
    panels[0].set_ylabel("share of echo replies")
    handles = [
        *(Line2D([], [], color=_COLOURS[network], linestyle=_LINES[network]) for network in NETWORKS),
        Line2D([], [], color=GREY, linestyle=":"),
    ]
    labels = [*(_NAMES[network] for network in NETWORKS), "declared by the links"]
    drawing.legend(handles, labels, loc="outside lower center", ncols=2)
    caption = (
        "Distribution of round-trip times per way through the network. The horizontal axes differ and end at the "
        "99.5th percentile; what lies between the curves is the cost of Open vSwitch and of the overlay."
    )
    return Figure("rtt", caption, drawing)


def _throughput(ways: Sequence["Way"], grouped: Grouped) -> Figure:
    drawing = Drawing(figsize=(PAGE_INCHES, 0.8 + 0.8 * len(ways)))
    panel = drawing.subplots()
    highest = 0.0
    for row, way in enumerate(ways):
        for network, offset in zip(NETWORKS, (-0.27, 0.0, 0.27), strict=True):
            repetitions = grouped.get((way.path, network, THROUGHPUT))
            if not repetitions:
                continue
            y = row + offset
            points = [value for repetition in repetitions.values() for value in repetition]
            estimate = way.throughput[network]
            colour = _COLOURS[network]
            panel.barh(y, estimate.value, height=0.22, color=colour, alpha=0.25)
            panel.plot([estimate.value] * 2, [y - 0.11, y + 0.11], color=colour, linewidth=2)
            panel.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.4)
            spread = [y + 0.05 * (-1) ** number for number in range(len(points))]
            panel.plot(points, spread, _MARKS[network], color=colour, markersize=2.6, markeredgewidth=0)
            highest = max(highest, *points)
            limit = way.goodput_pod if network == POD else way.goodput_bare
            if limit is not None:
                panel.plot([limit] * 2, [y - 0.12, y + 0.12], color=GREY, linestyle=":")
                highest = max(highest, limit)
    panel.set_yticks(range(len(ways)), [f"{way.path}\n{_ends(way)}" for way in ways])
    panel.set_ylim(len(ways) - 0.5, -0.5)
    panel.set_xlim(0, 1.06 * highest)
    panel.grid(visible=False, axis="y")
    panel.set_xlabel("TCP throughput, payload (Mbit/s)")
    handles = [
        *(
            Line2D([], [], color=_COLOURS[network], marker=_MARKS[network], markersize=3, linewidth=2)
            for network in NETWORKS
        ),
        Line2D([], [], color=GREY, linestyle=":"),
    ]
    labels = [*(_NAMES[network] for network in NETWORKS), "the most that fits the declared rate"]
    drawing.legend(handles, labels, loc="outside lower center", ncols=2)
    caption = (
        "TCP throughput per way: one point a repetition, the bar ends at the median, the line is its 95 % interval. "
        "The dotted line is the payload that fits the slowest declared link after all headers."
    )
    return Figure("throughput", caption, drawing)


def _ends(way: "Way") -> str:
    same = way.declared.source == way.declared.target
    return way.declared.source if same else f"{way.declared.source} → {way.declared.target}"
