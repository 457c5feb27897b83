"""Sections of an Experiment document, whose form the schema has checked, into values of `experiments.design.model`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from experiments.design.model import (
    AnalysisDesign,
    Claim,
    FactorDesign,
    Level,
    MeasurementDesign,
    ParameterDesign,
    Precision,
    Published,
    Settings,
    StopConditions,
    WorkloadDesign,
)
from experiments.design.places import spelled
from experiments.design.quantities import read_share, read_span
from experiments.records import Value
from kubinet.documents import Where
from kubinet.errors import InvalidInputError

Entries = Sequence[Mapping[str, Any]]
_Quantity = TypeVar("_Quantity", int, float)

COLUMNS = ("run", "repetition", "verdict", "source", "target", "metric", "sequence", "time_s", "value", "unit")
"""Columns of every table of samples; a factor cannot be called so."""
COPY = "i"
"""`$(i)`: the number of a manifest's copy."""
_EXPERIMENT = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?")


def checked_name(name: str, where: str) -> str:
    """An experiment's name: a part of a folder's name."""
    if not _EXPERIMENT.fullmatch(name):
        raise InvalidInputError(
            f"{where}: {name!r} is no experiment's name; use lower-case letters, digits, inner dashes and underscores"
        )
    return name


def read_parameters(section: Mapping[str, Any], where: Where) -> tuple[dict[str, Value], dict[str, ParameterDesign]]:
    """Values, and what else is known of them."""
    values: dict[str, Value] = {}
    declared = {}
    for name, entry in section.items():
        here = where(("spec", "parameters", name))
        _substitutable(name, f"{here}: parameter", [])
        given: Mapping[str, Any] = entry if isinstance(entry, dict) else {"default": entry}
        values[name] = given["default"]
        known = ParameterDesign(given.get("meaning", ""), given.get("quick"), given.get("minimum"))
        for value in (values[name], values[name] if known.quick is None else known.quick):
            parameter_value(name, value, values[name], known, here)
        if known != ParameterDesign():
            declared[name] = known
    return values, declared


def parameter_value(name: str, value: Value, present: Value, known: ParameterDesign, where: str) -> Value:
    """The value, when its type is the present one's and it is not below the minimum."""
    kind = type(present)
    if isinstance(value, str) and "$(" in value:
        raise InvalidInputError(f"{where}: parameter '{name}': {value!r} names another; write the value itself")
    if type(value) is not kind and {type(value), kind} != {int, float}:
        raise InvalidInputError(f"{where}: parameter '{name}': {value!r} is not {_KINDS[kind]}, as its default is")
    if known.minimum is not None and not isinstance(value, str) and value < known.minimum:
        raise InvalidInputError(
            f"{where}: parameter '{name}': {value!r} is below its minimum {known.minimum:g}; raise it"
        )
    return value


_KINDS = {int: "a number", float: "a number", bool: "true or false", str: "a text"}


def read_factors(entries: Entries, parameters: Iterable[str], where: Where) -> tuple[FactorDesign, ...]:
    """The factors in their order."""
    factors: list[FactorDesign] = []
    for index, entry in enumerate(entries):
        here = where(("spec", "factors", index, "name"))
        name = entry["name"]
        _substitutable(name, f"{here}: factor", [*(one.name for one in factors), *parameters])
        if name in COLUMNS:
            raise InvalidInputError(f"{here}: factor '{name}' would hide the results' column of that name; rename it")
        paths = entry.get("sets", ())
        common = (paths,) if isinstance(paths, str) else tuple(paths)
        levels: list[Level] = []
        for number, written in enumerate(entry["levels"]):
            level = read_level(written, common)
            there = where(("spec", "factors", index, "levels", number))
            if level.name in [one.name for one in levels]:
                raise InvalidInputError(f"{there}: factor '{name}' has level '{level.name}' twice; keep one")
            if not level.name:
                raise InvalidInputError(
                    f"{there}: factor '{name}' has a level without a name; write {{name: …, value: …}}"
                )
            levels.append(level)
        if not levels:
            there = where(("spec", "factors", index, "levels"))
            raise InvalidInputError(f"{there}: factor '{name}' has no levels; write at least one, or remove the factor")
        factors.append(FactorDesign(name, tuple(levels), entry.get("meaning", ""), entry.get("unit", "")))
    return tuple(factors)


def read_level(written: Value | Mapping[str, Any], paths: Sequence[str]) -> Level:
    """A level from its value, or from a mapping; `paths` get the value too."""
    if not isinstance(written, Mapping):
        return Level(spelled(written), dict.fromkeys(paths, written), written)
    value: Value = written.get("value", written["name"])
    return Level(spelled(written["name"]), dict.fromkeys(paths, value) | written.get("set", {}), value)


def level_names(entry: Mapping[str, Value]) -> dict[str, str]:
    """Factors, or labels, to levels' names."""
    return {name: spelled(value) for name, value in entry.items()}


def read_workload(steps: Entries, where: Where) -> tuple[WorkloadDesign, ...]:
    """The workloads of all steps."""
    found: list[WorkloadDesign] = []
    for step, entry in enumerate(steps):
        here: tuple[str | int, ...] = ("spec", "workload", step)
        others = sorted(set(entry) - {"together"})
        if "together" in entry and others:
            raise InvalidInputError(
                f"{where((*here, others[0]))}: a step with `together` has no other field; move it into the workloads"
            )
        if "together" not in entry and "kind" not in entry:
            raise InvalidInputError(f"{where(here)}: a step needs `kind`, or `together` with a list of workloads")
        one_by_one = "together" not in entry
        for number, one in enumerate([entry] if one_by_one else entry["together"]):
            path = here if one_by_one else (*here, "together", number)
            name, settings = _plugin(one, path, [known.name for known in found], where)
            found.append(WorkloadDesign(name, one["kind"], settings, step))
    return tuple(found)


def read_measurements(entries: Entries, where: Where) -> tuple[MeasurementDesign, ...]:
    """The measurements."""
    found: list[MeasurementDesign] = []
    for index, entry in enumerate(entries):
        path = ("spec", "measurements", index)
        name, settings = _plugin(entry, path, [known.name for known in found], where)
        found.append(MeasurementDesign(name, entry["kind"], settings))
    return tuple(found)


def _plugin(
    entry: Mapping[str, Any], path: Sequence[str | int], taken: Sequence[str], where: Where
) -> tuple[str, Settings]:
    name = entry.get("name", entry["kind"].rpartition(":")[2])
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{where((*path, 'name'))}: {name!r} is no name; {_NAME_REMEDY}")
    if name in taken:
        raise InvalidInputError(f"{where(path)}: the name '{name}' is taken; give this one a `name` of its own")
    settings = {key: value for key, value in entry.items() if key not in ("name", "kind")}
    for key, value in settings.items():
        if key == "together":
            raise InvalidInputError(f"{where((*path, key))}: `together` holds workloads only, no further steps")
        if not isinstance(value, str | int | float | bool):
            shown = "nothing" if value is None else "a list" if isinstance(value, list) else "a mapping"
            raise InvalidInputError(f"{where((*path, key))}: a setting is a text, a number, true or false, not {shown}")
    return name, settings


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
            minimum=precision.get("minimum", 5),
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


_NAME_REMEDY = "it begins with a letter, then letters, digits, inner dashes and underscores"


def _substitutable(name: str, subject: str, taken: Sequence[str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{subject} {name!r} is no name; {_NAME_REMEDY}")
    if name == COPY:
        raise InvalidInputError(f"{subject} '{COPY}' would hide $({COPY}), the number of a manifest's copy; rename it")
    if name in taken:
        raise InvalidInputError(f"{subject} '{name}': the name is taken by another factor or parameter; rename one")
