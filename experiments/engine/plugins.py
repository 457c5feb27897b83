"""Finds workloads and measurements by the kind that an experiment names.

A kind is the name of an entry point (group `kubinet.workloads`, `kubinet.measurements`), or `module:object`: a plug-in
object of the experiment's own.
"""

import importlib
from importlib.metadata import entry_points
from typing import Any

from experiments.scene import Measurement, Workload
from kubinet.errors import InvalidInputError, UsageError

WORKLOADS = "kubinet.workloads"
MEASUREMENTS = "kubinet.measurements"


def workload(kind: str) -> Workload:
    """The workload of that kind; UsageError naming those that there are."""
    found: Workload = _find(WORKLOADS, kind, "workload")
    return found


def measurement(kind: str) -> Measurement:
    """The measurement of that kind; UsageError naming those that there are."""
    found: Measurement = _find(MEASUREMENTS, kind, "measurement")
    return found


def load_object(name: str) -> Any:
    """The object `module:object`; InvalidInputError where there is none."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(f"'{name}' cannot be loaded: {error}") from error


def _find(group: str, kind: str, word: str) -> Any:
    if ":" in kind:
        return load_object(kind)
    found = entry_points(group=group)
    if kind not in found.names:
        names = ", ".join(sorted(found.names)) or "none"
        raise UsageError(f"{word} kind '{kind}' does not exist; there are: {names}")
    loaded = found[kind].load()
    return loaded() if isinstance(loaded, type) else loaded
