"""Writes figures and report.html into a results folder."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from experiments.design.model import ExperimentDesign
from experiments.folder import write_text
from experiments.records import Analysis, Figure, Recording
from experiments.report.html import Picture, page
from experiments.report.style import SETTINGS

_FORMATS: Final[dict[str, dict[str, Any]]] = {
    "png": {"dpi": 200},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Without dates: the same samples give the same files."""


def write_report(directory: Path, design: ExperimentDesign, recording: Recording, analysis: Analysis) -> None:
    """Write every figure as PNG, SVG and PDF, and the page with the figures inside it."""
    pictures = [_save(directory / "figures", figure) for figure in analysis.figures]
    write_text(directory / "report.html", page(directory, design, recording, analysis, pictures))


def _save(directory: Path, figure: Figure) -> Picture:
    with mpl.rc_context(SETTINGS):
        for suffix, options in _FORMATS.items():
            figure.drawing.savefig(directory / f"{figure.name}.{suffix}", **options)
    return Picture(figure.caption, (directory / f"{figure.name}.svg").read_bytes(), "image/svg+xml")
