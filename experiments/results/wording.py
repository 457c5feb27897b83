"""Numbers, levels and p-values as people read them. Pure."""

import math
from collections.abc import Mapping
from typing import Final

from experiments.stats import Estimate

DIGITS: Final = 4
"""Significant digits."""


def number(value: float) -> str:
    """Four significant digits without an exponent between 0.0001 and 10 million."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 7:
        return f"{value:.{DIGITS - 1}e}"
    places = max(0, DIGITS - 1 - magnitude)
    return f"{value:,.{places}f}".replace(",", "\N{NARROW NO-BREAK SPACE}" if abs(value) >= 10_000 else "")


def with_unit(text: str, unit: str) -> str:
    """The number followed by its unit."""
    return f"{text} {unit}" if unit else text


def signed(value: float) -> str:
    """The number with its sign."""
    return f"{'+' if value >= 0 else ''}{number(value)}"


def interval(found: Estimate) -> str:
    """Both ends in brackets."""
    return f"[{number(found.low)}, {number(found.high)}]"


def change(ratio: Estimate) -> str:
    """A ratio as a change in percent with its interval."""
    return f"{percent(ratio.value - 1)} [{percent(ratio.low - 1)}, {percent(ratio.high - 1)}]"


def percent(share: float) -> str:
    """A signed change in percent."""
    places = 0 if abs(share) >= 0.1 else 1
    return f"{share:+.{places}%}"


def levels_text(levels: Mapping[str, str]) -> str:
    """`overlay=vxlan, load=full`; all runs where nothing is said."""
    return ", ".join(f"{name}={level}" for name, level in levels.items()) or "all runs"


def p_text(p_value: float) -> str:
    """A p-value with two digits; below 0.001 only that it is."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as long as it takes."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def size(byte_count: int) -> str:
    """Bytes in the unit that fits."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if byte_count >= factor:
            return f"{byte_count / factor:.3g} {unit}"
    return f"{byte_count} B"
