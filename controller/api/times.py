"""Timestamps as Kubernetes writes them, and ages as kubectl prints them."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def now() -> str:
    """The present in RFC 3339, whole seconds, UTC (metav1.Time)."""
    return _text(int(time.time()))


def after(seconds: float) -> str:
    """The present and so many seconds."""
    return _text(int(time.time() + seconds))


@lru_cache(maxsize=16)
def _text(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def parse(text: str) -> datetime:
    """An RFC 3339 timestamp with any number of fraction digits; ValueError where it is none."""
    return datetime.fromisoformat(text)


def age(timestamp: str) -> str:
    """How long ago, in kubectl's short form; `<unknown>` for an empty or unreadable time."""
    try:
        then = parse(timestamp)
    except ValueError:
        return "<unknown>"
    return short_duration((datetime.now(UTC) - then).total_seconds())


_MINUTE, _HOUR = 60, 3600


def short_duration(seconds: float) -> str:
    """Two units at most, the finer one while it says something (apimachinery's HumanDuration)."""
    if seconds < -1:
        return "<invalid>"
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    minutes, hours = whole // _MINUTE, whole // _HOUR
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if minutes < 3 * 60:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 8 * 24:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 2 * 365 * 24:
        return f"{hours // 24}d"
    years = hours // (365 * 24)
    return _two(years, "y", hours // 24 % 365, "d") if years < 8 else f"{years}y"


def _two(coarse: int, unit: str, fine: int, fine_unit: str) -> str:
    return f"{coarse}{unit}{fine}{fine_unit}" if fine else f"{coarse}{unit}"
