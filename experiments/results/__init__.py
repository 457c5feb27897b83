"""Everything that is done with a results folder: load, analyse, draw, report, compare, bundle.

pandas is imported with this package; what only runs experiments does not import it.
"""

from experiments.results.analysing import analyse
from experiments.results.bundling import bundle
from experiments.results.collecting import collect
from experiments.results.comparing import Comparison, compare
from experiments.results.figures import draw
from experiments.results.finishing import finish
from experiments.results.loading import Results, load
from experiments.results.reporting import Report, report
from experiments.results.writing import svg

__all__ = [
    "Comparison",
    "Report",
    "Results",
    "analyse",
    "bundle",
    "collect",
    "compare",
    "draw",
    "finish",
    "load",
    "report",
    "svg",
]
