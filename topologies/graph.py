"""Pictures of a topology: Mermaid text, and SVG, PDF or PNG of publication quality."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch

from kubinet.errors import UsageError
from kubinet.units import format_percent, format_plain
from topologies.layout import Layout, lay_out
from topologies.model import Link, Role, Topology, Vertex

FORMATS = ("svg", "pdf", "png")
_WIDTH, _HEIGHT = 1.0, 0.52
# Okabe and Ito's colours, light for faces: distinct for colour-blind readers and in grey.
_FACES = {Role.NODE: "#cfe5f5", Role.ROUTER: "#fbe3c3", Role.SWITCH: "#d2eee4", Role.OUTSIDE: "#eeeeee"}
_EDGES = {Role.NODE: "#0072b2", Role.ROUTER: "#b86e00", Role.SWITCH: "#009e73", Role.OUTSIDE: "#666666"}
_WORDS = {Role.NODE: "node", Role.ROUTER: "router", Role.SWITCH: "switch", Role.OUTSIDE: "outside host"}
_SHAPES = {
    Role.NODE: "round,pad=0,rounding_size=0.08",
    Role.ROUTER: f"round,pad=0,rounding_size={_HEIGHT / 2}",
    Role.SWITCH: "square,pad=0",
    Role.OUTSIDE: "round,pad=0,rounding_size=0.08",
}
_MERMAID = {Role.NODE: '["{}"]', Role.ROUTER: '(["{}"])', Role.SWITCH: '[["{}"]]', Role.OUTSIDE: '>"{}"]'}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "kubinet",
    "pdf.fonttype": 42,
}
_CROWD = 2
"""As many links with one label between two layers get it once, at the side."""
CITY = "kubinet.dev/city"
"""The label that preset wan gives its routers: shown below the name."""


def describe(link: Link) -> str:
    """What a link declares, in a few words: `100 Mbit/s, 2 ms ± 0.1 ms, 1%`; empty for a plain one."""
    words = []
    if link.rate is not None:
        scale, unit = next((s, u) for s, u in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")) if link.rate >= s)
        words.append(f"{format_plain(link.rate / scale)} {unit}")
    if link.delay:
        jitter = f" ± {format_plain(round(link.jitter * 1e3, 3))}" if link.jitter else ""
        words.append(f"{format_plain(round(link.delay * 1e3, 3))}{jitter} ms")
    if link.loss:
        words.append(f"{format_percent(link.loss)} loss")
    return ", ".join(words)


def mermaid(topology: Topology) -> str:
    """A Mermaid flowchart, for Markdown pages."""
    names = {vertex.name: f"v{index}" for index, vertex in enumerate(topology.vertices)}
    lines = ["graph BT"]
    for vertex in topology.vertices:
        lines.append(f"  {names[vertex.name]}{_MERMAID[vertex.role].format(vertex.name)}:::{vertex.role}")
    for link in topology.links:
        label = describe(link)
        lines.append(f"  {names[link.a]} ---{f'|{label}|' if label else ''} {names[link.b]}")
    for role in dict.fromkeys(vertex.role for vertex in topology.vertices):
        lines.append(f"  classDef {role} fill:{_FACES[role]},stroke:{_EDGES[role]},color:#000")
    return "\n".join(lines) + "\n"


def render(topology: Topology, path: str | Path) -> None:
    """Draw the topology to a file; the suffix chooses svg, pdf or png (UsageError for others)."""
    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise UsageError(
            f"{path}: a picture is {', '.join(f'.{one}' for one in FORMATS)}; choose one of these suffixes"
        )
    # Without a date, the same topology gives the same bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with mpl.rc_context(_STYLE):
        draw(topology).savefig(path, format=kind, dpi=200, metadata=metadata, bbox_inches="tight", pad_inches=0.05)


def draw(topology: Topology) -> Figure:
    """The picture as a matplotlib figure."""
    layout = lay_out(topology)
    xs = [x for x, _ in layout.positions.values()]
    ys = [y for _, y in layout.positions.values()]
    scale = min(0.62, 10.5 / (max(xs) - min(xs) + 3))
    size = ((max(xs) - min(xs) + 3) * scale, (max(ys) - min(ys) + 2) * scale)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout=None)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(min(xs) - 1.5, max(xs) + 1.5)
        axes.set_ylim(min(ys) - 1.2, max(ys) + 0.8)
        axes.set_aspect("equal")
        axes.axis("off")
        font = min(8.0, 8.0 * scale / 0.5)
        _draw_links(axes, topology, layout, font)
        for vertex in topology.vertices:
            _draw_box(axes, layout.positions[vertex.name], vertex, font)
        _legend(axes, topology, font)
    return figure


def _draw_links(axes: Axes, topology: Topology, layout: Layout, font: float) -> None:
    shared = dict(_shared_labels(topology, layout))
    pairs = Counter(frozenset((link.a, link.b)) for link in topology.links)
    drawn: Counter[frozenset[str]] = Counter()
    for link in topology.links:
        (x1, y1), (x2, y2) = layout.positions[link.a], layout.positions[link.b]
        pair = frozenset((link.a, link.b))
        bow = 0.25 * (drawn[pair] - (pairs[pair] - 1) / 2)
        drawn[pair] += 1
        length = max(1e-9, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        dx, dy = -(y2 - y1) / length * bow, (x2 - x1) / length * bow
        axes.add_line(Line2D((x1 + dx, x2 + dx), (y1 + dy, y2 + dy), color="#555555", linewidth=0.9, zorder=1))
        common = shared.get(_group(link, layout), "")
        # A plain link among many that are shaped says so.
        label = describe(link) or (common and "unlimited")
        if label != common:
            _label(axes, ((x1 + x2) / 2 + dx, (y1 + y2) / 2 + dy), label, font)
    left = min(x for x, _ in layout.positions.values()) - 0.75
    for (low, high), label in shared.items():
        heights = [
            (layout.positions[link.a][1] + layout.positions[link.b][1]) / 2
            for link in topology.links
            if _group(link, layout) == (low, high)
        ]
        axes.text(
            left, heights[0], f"each\n{label.replace(', ', chr(10))}", fontsize=font * 0.8, ha="right", va="center"
        )


def _label(axes: Axes, at: tuple[float, float], text: str, font: float) -> None:
    axes.text(
        *at,
        text.replace(", ", "\n"),
        fontsize=font * 0.72,
        ha="center",
        va="center",
        linespacing=1.0,
        zorder=2,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
    )


def _group(link: Link, layout: Layout) -> tuple[int, int]:
    layers = sorted((layout.layers[link.a], layout.layers[link.b]))
    return layers[0], layers[1]


def _shared_labels(topology: Topology, layout: Layout) -> Iterator[tuple[tuple[int, int], str]]:
    """The label that most of several links between two layers have in common."""
    if not layout.layered:
        return
    groups: dict[tuple[int, int], Counter[str]] = {}
    for link in topology.links:
        label = describe(link)
        low, high = _group(link, layout)
        if label and low != high:
            groups.setdefault((low, high), Counter())[label] += 1
    for group, labels in groups.items():
        label, count = labels.most_common(1)[0]
        if count >= _CROWD and count > sum(labels.values()) / 2:
            yield group, label


def _draw_box(axes: Axes, at: tuple[float, float], vertex: Vertex, font: float) -> None:
    x, y = at
    role, city = vertex.role, vertex.labels.get(CITY)
    words = f"{vertex.name}\n{city}" if city else vertex.name
    width = max(_WIDTH, 0.115 * max(map(len, words.splitlines())) + 0.2)
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - _HEIGHT / 2),
            width,
            _HEIGHT,
            boxstyle=_SHAPES[role],
            facecolor=_FACES[role],
            edgecolor=_EDGES[role],
            linewidth=1.0,
            linestyle="--" if role is Role.OUTSIDE else "-",
            zorder=3,
        )
    )
    axes.text(x, y, words, ha="center", va="center", fontsize=font * (0.8 if city else 1.0), zorder=4)


def _legend(axes: Axes, topology: Topology, font: float) -> None:
    roles: Mapping[Role, None] = dict.fromkeys(vertex.role for vertex in topology.vertices)
    handles = [Patch(facecolor=_FACES[role], edgecolor=_EDGES[role], label=_WORDS[role]) for role in roles]
    axes.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=font * 0.85,
        handlelength=1.2,
        borderaxespad=0.0,
    )
