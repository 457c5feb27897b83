"""Benchmarks of Kubinet itself: time to ready, memory, pod start; with references measured in the same run."""
