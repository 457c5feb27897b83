"""Probes and life-cycle hooks of containers, run from the node."""
