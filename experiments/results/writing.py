"""Files of a results folder, each put in place at once."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from experiments.records import Figure
from experiments.report.style import SETTINGS
from experiments.results import layout

_DPI: Final = 200
_FORMATS: Final[Mapping[str, Mapping[str, Any]]] = {
    "png": {"dpi": _DPI, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Without dates: the same samples give the same files."""


def put(path: Path, content: bytes | str) -> Path:
    """Write beside the file, then rename: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


def put_json(path: Path, document: object) -> Path:
    """A JSON file; keys stay in the order given."""
    return put(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def put_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Path:
    """A CSV file; a row without a column has nothing there."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return put(path, stream.getvalue())


def svg(figure: Figure) -> str:
    """A figure as SVG text, for a notebook: `IPython.display.SVG(svg(figure))`."""
    return _rendered(figure, ("svg",))["svg"].decode()


def put_figure(directory: Path, figure: Figure) -> bytes:
    """A figure as PNG, SVG and PDF under figures/; returns the SVG."""
    folder = directory / layout.FIGURES
    folder.mkdir(exist_ok=True)
    written = _rendered(figure, tuple(_FORMATS))
    for suffix, content in written.items():
        put(folder / f"{figure.name}.{suffix}", content)
    return written["svg"]


def _lay_out(drawing: Drawing) -> None:
    """Place everything once: the formats look the same, and take a third of the time.

    A text's width depends on the resolution, as each letter begins at a whole pixel: at matplotlib's own 100 dots per
    inch a long label is measured so much too short that it ends beyond the edge.
    """
    dpi = drawing.dpi
    drawing.set_dpi(_DPI)
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")
    drawing.set_dpi(dpi)


def _rendered(figure: Figure, formats: Sequence[str]) -> dict[str, bytes]:
    written = {}
    # A figure that was placed by hand keeps its places: saving would lay it out again, if the settings said so.
    with mpl.rc_context({**SETTINGS, "figure.constrained_layout.use": False}):
        if figure.drawing.get_layout_engine() is not None:
            _lay_out(figure.drawing)
        for suffix in formats:
            stream = io.BytesIO()
            figure.drawing.savefig(stream, format=suffix, **_FORMATS[suffix])
            written[suffix] = stream.getvalue()
    return written
