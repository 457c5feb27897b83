"""Workloads: traffic plug-ins of experiments, found by the entry points `kubinet.workloads`."""
