"""Quantities as people write them in topologies: `100mbit`, `2ms`, `0.1%`, `100 packets`, `64kb`."""

import math
import re
from dataclasses import dataclass

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%/]*)\s*")
_RATES = {"bit": 1.0, "bps": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "kbps": 1e3, "mbps": 1e6, "gbps": 1e9}
_TIMES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_SPANS = _TIMES | {"m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1024.0, "mib": 1024.0**2, "gib": 1024.0**3}
_SIZES = {"b": 1, "kb": 1000, "mb": 1_000_000, "kib": 1024, "mib": 1 << 20}
_PACKETS = {"packet", "packets", "p"}


@dataclass(frozen=True, slots=True)
class Queue:
    """The capacity of a link's queue: packets or bytes, exactly one of them."""

    packets: int | None = None
    bytes: int | None = None

    def __str__(self) -> str:
        return f"{self.packets} packets" if self.packets is not None else f"{self.bytes}b"


def parse_rate(text: object) -> float:
    """Bits per second; units bit, kbit, mbit, gbit (or bps, kbps, mbps, gbps: bits, powers of 1000)."""
    return _scaled(text, _RATES, "a rate such as 100mbit or 1gbit", positive=True)


def parse_duration(text: object) -> float:
    """Seconds; units ns, us, ms, s."""
    return _scaled(text, _TIMES, "a time such as 500us or 2ms", positive=False)


def parse_span(text: object) -> float:
    """Seconds; units ns, us, ms, s, m (or min), h: for what people wait for."""
    return _scaled(text, _SPANS, "a time such as 500ms, 30s or 20m", positive=False)


def parse_bytes(text: object) -> int:
    """Bytes; units B, kB, MB, GB (powers of 1000), KiB, MiB, GiB."""
    return round(_scaled(text, _BYTES, "a size such as 200kB or 1GiB", positive=False))


def parse_percent(text: object) -> float:
    """A fraction from 0 to 1, written as a percentage."""
    value = _scaled(text, {"%": 0.01}, "a percentage such as 0.1%", positive=False)
    if value > 1:
        raise ValueError(f"{text!r} is more than 100%")
    return value


def parse_queue(text: object) -> Queue:
    """A queue's capacity: `100 packets`, `64kb`, `1mib`."""
    wanted = "a queue size such as 100 packets or 64kb"
    number, unit = _split(text, wanted)
    if number != int(number) or number < 1:
        raise ValueError(f"{text!r} is not {wanted}: it must be a whole number of at least 1")
    if unit.lower() in _PACKETS:
        return Queue(packets=int(number))
    if unit.lower() in _SIZES:
        return Queue(bytes=int(number) * _SIZES[unit.lower()])
    raise ValueError(f"{text!r} is not {wanted}; known units: packets, {', '.join(_SIZES)}")


def format_rate(bits_per_second: float) -> str:
    """The shortest text that `parse_rate` reads back: 1gbit, 100mbit, 1.5mbit."""
    for unit, factor in (("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3)):
        if bits_per_second >= factor:
            return f"{format_plain(bits_per_second / factor)}{unit}"
    return f"{format_plain(bits_per_second)}bit"


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back: 2ms, 500us, 1s."""
    if seconds >= 1:
        return f"{format_plain(seconds)}s"
    if seconds >= 1e-3:
        return f"{format_plain(seconds * 1e3)}ms"
    return f"{format_plain(seconds * 1e6)}us"


def format_percent(share: float) -> str:
    """The text that `parse_percent` reads back: 0.1%."""
    return f"{format_plain(share * 100)}%"


def format_plain(number: float) -> str:
    """A number without exponent, with nine decimals at most and no needless zeros."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _scaled(text: object, units: dict[str, float], wanted: str, *, positive: bool) -> float:
    number, unit = _split(text, wanted)
    if unit.lower() not in units:
        known = ", ".join(units)
        raise ValueError(f"{text!r} is not {wanted}; known units: {known}")
    value = number * units[unit.lower()]
    if not math.isfinite(value) or (positive and value <= 0):
        raise ValueError(f"{text!r} is not {wanted}: it must be greater than 0")
    return value


def _split(text: object, wanted: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text) if isinstance(text, str) and len(text) <= 40 else None
    if match is None:
        raise ValueError(f"{text!r} is not {wanted}")
    return float(match[1]), match[2]
