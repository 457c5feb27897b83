"""A walk in Kubernetes' words: each flow's part in it, where it ends, whose flow that was, and what would change it."""
