"""The pipeline's features: each a pure function `flows(state, node) -> Iterator[BridgeFlow]` that touches no switch."""
