"""Command-line flags and durations in Go's form, without argparse, whose import alone costs more than the rest."""

import re
from typing import Any, Final

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
_FALSE: Final = ("0", "f", "F", "false", "FALSE", "False")


class FlagError(Exception):
    """A flag or argument is wrong; the text says which."""


def duration(text: str) -> float:
    """Seconds of a Go duration (`1h2m3.5s`, `300ms`, `0`); ValueError for anything else."""
    if text in ("0", "+0", "-0"):
        return 0.0
    match = re.fullmatch(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+)", text)
    if match is None:
        raise ValueError(f"invalid duration {text!r}")
    parts = re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", match[2])
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return -seconds if match[1] == "-" else seconds


def parse(arguments: list[str], defaults: dict[str, Any], positional: int = 0) -> tuple[dict[str, Any], list[str]]:
    """The flags' values, typed like their defaults (float: a duration in seconds), and the other arguments.

    Forms: `--name=value`, `--name value`, `--name` for booleans. FlagError when one is unknown or wrong, or when the
    number of other arguments is not `positional`.
    """
    values = dict(defaults)
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += words
        elif not word.startswith("--"):
            rest.append(word)
        else:
            name, equals, text = word[2:].partition("=")
            if name not in defaults:
                raise FlagError(f"unknown flag: --{name}")
            if not equals and not isinstance(defaults[name], bool):
                value = next(words, None)
                if value is None:
                    raise FlagError(f"flag needs an argument: --{name}")
                text = value
            values[name] = True if isinstance(defaults[name], bool) and not equals else _convert(name, text, defaults)
    if len(rest) != positional:
        raise FlagError(f"accepts {positional} arg(s), received {len(rest)}")
    return values, rest


def _convert(name: str, text: str, defaults: dict[str, Any]) -> Any:
    default = defaults[name]
    try:
        if isinstance(default, bool):
            if text not in _TRUE + _FALSE:
                raise ValueError(f"invalid boolean {text!r}")
            return text in _TRUE
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return duration(text)
    except ValueError as error:
        raise FlagError(f'invalid argument "{text}" for "--{name}" flag: {error}') from None
    return text
