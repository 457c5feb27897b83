"""A small agnhost: the servers and clients of Kubernetes' network tests, with the standard library only."""
