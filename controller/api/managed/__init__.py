"""Which manager owns which field: server-side apply, and `metadata.managedFields` of every other write."""
