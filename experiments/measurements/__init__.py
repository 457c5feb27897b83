"""Measurements: plug-ins that watch while a workload runs, found by the entry points `kubinet.measurements`."""
