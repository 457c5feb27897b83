"""What an Experiment document says of its end: stop conditions, analyses, claims, published results."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from experiments.design.model import AnalysisDesign, Claim, Precision, Published, StopConditions
from experiments.design.quantities import read_share, read_span
from experiments.design.reading import Entries, level_names
from kubinet.documents import Where
from kubinet.errors import InvalidInputError

_Quantity = TypeVar("_Quantity", int, float)


def read_stop(section: Mapping[str, Any], where: Where) -> StopConditions:
    """When to end early."""
    here = ("spec", "stop")
    precision = section.get("precision")
    return StopConditions(
        max_duration_s=_optional(section, "maxDuration", read_span, where, *here),
        max_invalid=_optional(section, "maxInvalid", read_share, where, *here),
        precision=None
        if precision is None
        else Precision(
            metric=precision["metric"],
            statistic=precision.get("statistic", "p50"),
            half_width=quantity(precision, "halfWidth", read_share, 0.0, where, *here, "precision"),
            minimum=int(precision.get("minimum", 5)),
        ),
    )


def read_analysis(entries: Entries) -> tuple[AnalysisDesign, ...]:
    """Tables and figures."""
    return tuple(
        AnalysisDesign(
            metric=entry["metric"],
            statistics=tuple(entry.get("statistics", ("p50",))),
            by=tuple(entry.get("by", ())),
            baseline=level_names(entry.get("baseline", {})),
            figure=entry.get("figure", "box"),
            x=entry.get("x", ""),
            log_x=entry.get("logX", False),
            log_y=entry.get("logY", False),
            title=entry.get("title", ""),
            where=level_names(entry.get("where", {})),
        )
        for entry in entries
    )


def read_claims(entries: Entries, where: Where) -> tuple[Claim, ...]:
    """Claims, each with an identity of its own."""
    claims: list[Claim] = []
    for index, entry in enumerate(entries):
        if entry["id"] in [one.identity for one in claims]:
            raise InvalidInputError(
                f"{where(('spec', 'claims', index, 'id'))}: the identity '{entry['id']}' is taken; choose another"
            )
        claims.append(
            Claim(
                identity=entry["id"],
                text=entry["text"],
                metric=entry["metric"],
                statistic=entry.get("statistic", "p50"),
                where=level_names(entry.get("where", {})),
                against=level_names(entry.get("against", {})),
                relation=entry["relation"],
                value=float(entry["value"]) if "value" in entry else None,
                tolerance=quantity(entry, "tolerance", read_share, 0.0, where, "spec", "claims", index),
            )
        )
        if not claims[-1].against and claims[-1].value is None:
            raise InvalidInputError(
                f"{where(('spec', 'claims', index))}: claim '{entry['id']}' compares with nothing; "
                "give `against` (levels) or `value` (a number)"
            )
    return tuple(claims)


def read_published(entries: Entries) -> tuple[Published, ...]:
    """Published results."""
    return tuple(
        Published(entry["source"], entry["says"], tuple(entry.get("claims", ())), entry.get("whyNot", ""))
        for entry in entries
    )


def quantity(
    section: Mapping[str, Any],
    name: str,
    read: Callable[[Any], _Quantity],
    default: _Quantity,
    where: Where,
    *path: str | int,
) -> _Quantity:
    """A field with a unit; InvalidInputError where it cannot be read."""
    if name not in section:
        return default
    try:
        return read(section[name])
    except ValueError as error:
        raise InvalidInputError(f"{where((*path, name))}: {error}") from error


def _optional(
    section: Mapping[str, Any], name: str, read: Callable[[Any], float], where: Where, *path: str | int
) -> float | None:
    return quantity(section, name, read, 0.0, where, *path) if name in section else None
