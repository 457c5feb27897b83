"""Experiments: one question each, measured on a running cluster, with intervals and a verdict on every number."""

from experiments.registry import get_experiment, list_experiments
from experiments.runner import Results, run_experiment

__all__ = ["Results", "get_experiment", "list_experiments", "run_experiment"]
