"""Workloads: traffic plug-ins of experiments, found by the entry points `kubinet.workloads` (docs/workloads-and-measurements.md)."""
