"""The commands, one module per group; importing them registers them, in the order of `kubinet --help`."""

import importlib
from typing import Final

from kubinet.cli.app import app

GROUPS: Final = (
    "clusters",
    "objects",
    "changes",
    "workloads",
    "pods",
    "server",
    "network",
    "plane",
    "trace",
    "policy",
    "policylog",
    "underlay",
    "topology",
    "experiments",
    "calibration",
    "results",
    "faults",
    "guest",
    "other",
)
"""Modules of this package, in the help's order."""

for _group in GROUPS:
    importlib.import_module(f"{__name__}.{_group}")

__all__ = ["GROUPS", "app"]
