"""What of a link can be changed while it runs, and how each is written."""

from collections.abc import Callable, Mapping
from typing import Any

from kubinet.units import parse_duration, parse_percent, parse_queue, parse_rate

QUANTITIES: Mapping[str, Callable[[object], Any]] = {
    "rate": parse_rate,
    "delay": parse_duration,
    "jitter": parse_duration,
    "loss": parse_percent,
    "queue": parse_queue,
}
