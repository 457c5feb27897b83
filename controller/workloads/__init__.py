"""Life cycles that run beside the API's store: scheduler, namespaces, garbage collection."""
