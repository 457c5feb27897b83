"""Links in tables for people: what they declare, and what was measured. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kubinet.cli.table import text_table
from kubinet.units import format_duration, format_rate

_DECLARED: Final = ("NAME", "RATE", "DELAY", "LOSS", "WIRE", "INTERFACES")
_MEASURED: Final = ("NAME", "FROM", "TO", "RATE", "DELAY", "JITTER", "LOSS", "AS DECLARED")


def declared(links: Iterable[Mapping[str, Any]]) -> str:
    """What each link declares; `links` as the underlay's service tells them (rates in bit/s, delays in seconds)."""
    rows = [
        (
            one["name"],
            format_rate(one["rate"]) if one["rate"] else "unlimited",
            format_duration(one["delay"]) if one["delay"] else "-",
            f"{one['loss'] * 100:g}%" if one["loss"] else "-",
            one["wire"],
            " ~ ".join(end["interface"] for end in one["ends"]),
        )
        for one in links
    ]
    return text_table(_DECLARED, rows)


def measured(links: Sequence[Mapping[str, Any]]) -> str:
    """What was measured in each direction, and below the table what is not as declared."""
    rows = [_direction(link, one) for link in links for one in link["directions"]]
    problems = [f"{problem}\n" for link in links for problem in link["problems"]]
    return text_table(_MEASURED, rows) + "".join(["\n", *problems] if problems else [])


def _direction(link: Mapping[str, Any], one: Mapping[str, Any]) -> tuple[str, ...]:
    kept = all(
        check["kept"]
        for check in link["checks"]
        if (check["source"], check["target"]) == (one["source"], one["target"])
    )
    return (
        link["name"],
        one["source"],
        one["target"],
        f"{one['rate'] / 1e6:.4g}mbit" if one["rate"] is not None else "-",
        f"{one['delay_median'] * 1e3:.3f}ms" if one["delay_median"] is not None else "-",
        f"{one['jitter'] * 1e3:.3f}ms",
        f"{one['loss'] * 100:.3g}%",
        "yes" if kept else "no",
    )
