"""Durations as kubectl writes them (`90s`, `1m30s`, `1h`, `500ms`) and ages as it prints them."""

import re
from datetime import UTC, datetime
from typing import Final

from kubinet.errors import UsageError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(text: str, option: str) -> float:
    """The duration in seconds; a bare number means seconds. UsageError names the option."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{option} {text!r} is not a duration; write 30s, 1m30s or 500ms")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def parse_time(text: str | None) -> datetime | None:
    """A Kubernetes timestamp (RFC 3339); None for none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def age(text: str | None, now: datetime | None = None) -> str:
    """How long ago a Kubernetes timestamp was, in kubectl's short form."""
    moment = parse_time(text)
    if moment is None:
        return "<unknown>"
    return human((now or datetime.now(UTC)).timestamp() - moment.timestamp())


def human(elapsed: float) -> str:
    """`5s`, `3m20s`, `45m`, `5h30m`, `2d4h`, `20d`: at most two units, as kubectl does it."""
    total = max(0, int(elapsed))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    return f"{days}d" if days < 730 else _two(days // 365, "y", days % 365, "d")


def _two(first: int, first_unit: str, second: int, second_unit: str) -> str:
    return f"{first}{first_unit}" + (f"{second}{second_unit}" if second else "")
