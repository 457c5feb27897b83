"""When a path's delay is what its links declare."""

from typing import Final

DELAY_TOLERANCE_MS: Final = 1.0
DELAY_TOLERANCE: Final = 0.05
"""A delay may be off by `DELAY_TOLERANCE_MS` and this share of the declared delay."""


def delay_is_close(declared_ms: float, measured_ms: float) -> bool:
    """Whether a measured delay is what was declared, within 1 ms and 5 %."""
    return abs(measured_ms - declared_ms) <= DELAY_TOLERANCE_MS + DELAY_TOLERANCE * declared_ms
