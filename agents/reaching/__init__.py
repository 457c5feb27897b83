"""Real probes between places of a cluster: one process opens sockets in their network namespaces and sends."""
