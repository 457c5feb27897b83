"""The Kubernetes API server: REST, store, watches, streams."""
