"""Times, shares and sizes of an experiment's file: as people write them, or bare numbers; and back, exactly."""

from collections.abc import Callable

from kubinet.units import format_percent, format_plain, parse_bytes, parse_percent, parse_span


def read_span(value: str | float) -> float:
    """Seconds of `500ms`, `20m` or a bare number; ValueError."""
    return parse_span(value) if isinstance(value, str) else _number(value, "a time in seconds")


def read_share(value: str | float) -> float:
    """0 to 1 of `5%` or a bare number; ValueError."""
    if isinstance(value, str):
        return parse_percent(value)
    if _number(value, "a share") > 1:
        raise ValueError(f"{value!r} is not a share, which goes from 0 to 1; write 5% or 0.05")
    return float(value)


def read_bytes(value: str | float) -> int:
    """Bytes of `200kB` or a bare whole number; ValueError."""
    return parse_bytes(value) if isinstance(value, str) else int(_number(value, "a number of bytes"))


def write_span(seconds: float) -> str | float:
    """What `read_span` reads back."""
    for unit, factor in (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= factor:
            return _exact(f"{format_plain(seconds / factor)}{unit}", seconds, read_span)
    return _exact("0s", seconds, read_span)


def write_share(share: float) -> str | float:
    """What `read_share` reads back."""
    return _exact(format_percent(share), share, read_share)


def write_bytes(size: int) -> str | int:
    """What `read_bytes` reads back."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return size


def _exact(text: str, value: float, read: Callable[[str], float]) -> str | float:
    return text if read(text) == value else value


def _number(value: float, wanted: str) -> float:
    if isinstance(value, bool) or not value >= 0:
        raise ValueError(f"{value!r} is not {wanted}; it must be at least 0")
    return float(value)
