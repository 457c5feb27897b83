"""Experiments: one question each, measured on clusters of their own, with intervals and a verdict on every number."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.engine.api import Finished, run_experiment
    from experiments.registry import find_experiment, list_experiments

__all__ = ["Finished", "find_experiment", "list_experiments", "run_experiment"]

_WHERE = {
    "Finished": "experiments.engine.api",
    "run_experiment": "experiments.engine.api",
    "find_experiment": "experiments.registry",
    "list_experiments": "experiments.registry",
}


def __getattr__(name: str) -> Any:
    """Import on use: programs of this package run inside clusters, and start with what they need only."""
    import importlib  # noqa: PLC0415

    if name not in _WHERE:
        raise AttributeError(f"module 'experiments' has no attribute '{name}'")
    return getattr(importlib.import_module(_WHERE[name]), name)
