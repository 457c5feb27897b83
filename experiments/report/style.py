"""How every figure looks: sizes, fonts and the colours of Okabe and Ito, which colour-blind readers can tell apart."""

from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")  # no display; before pyplot or Figure draw anything

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREEN: Final = "#009E73"
GREY: Final = "#666666"
LIGHT: Final = "#DDDDDD"

COLUMN_INCHES: Final = 3.5
"""One column of a two-column paper."""

PAGE_INCHES: Final = 7.2
"""The width of a page of a two-column paper."""

SETTINGS: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "kubinet",
    "pdf.fonttype": 42,
}
"""For `matplotlib.rc_context`; fonts are embedded or drawn as paths, so that a figure looks the same everywhere."""
