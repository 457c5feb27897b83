"""The container runtime: pod sandboxes and containers as real processes in namespaces of their own."""
