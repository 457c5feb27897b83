"""Everything that is done with a results folder: load, analyse, draw, report, compare, bundle.

pandas is imported with this package; what only runs experiments does not import it.
"""

from experiments.results.collecting import collect
from experiments.results.loading import Results, load
from experiments.results.reporting import Report, report

__all__ = ["Report", "Results", "collect", "load", "report"]
