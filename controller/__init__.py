"""Decides: the API server, the workload controllers and the SDN controller."""
