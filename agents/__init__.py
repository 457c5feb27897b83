"""Does: node agents, container runtime."""
