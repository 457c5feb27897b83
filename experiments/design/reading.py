"""Sections of an Experiment document, whose form the schema has checked, into values of `experiments.design.model`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from experiments.design.model import (
    FactorDesign,
    Level,
    MeasurementDesign,
    ParameterDesign,
    Settings,
    WorkloadDesign,
)
from experiments.design.places import spelled
from experiments.records import EVENT_COLUMNS, RECORDER, MachineSecond, Value
from kubinet.documents import Where
from kubinet.errors import InvalidInputError

Entries = Sequence[Mapping[str, Any]]

COLUMNS = frozenset(
    (
        *("run", "repetition", "verdict", RECORDER, "source", "target", "metric", "sequence", "value", "unit"),
        *EVENT_COLUMNS,
    )
).union(one.name for one in fields(MachineSecond))
"""Columns of samples, events and the machine's seconds, to which every factor adds one; none can be called so."""
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
        levels: dict[str, Level] = {}
        for number, written in enumerate(entry["levels"]):
            level = read_level(written, common)
            there = where(("spec", "factors", index, "levels", number))
            if level.name in levels:
                raise InvalidInputError(f"{there}: factor '{name}' has level '{level.name}' twice; keep one")
            if not level.name:
                raise InvalidInputError(
                    f"{there}: factor '{name}' has a level without a name; write {{name: …, value: …}}"
                )
            levels[level.name] = level
        if not levels:
            there = where(("spec", "factors", index, "levels"))
            raise InvalidInputError(f"{there}: factor '{name}' has no levels; write at least one, or remove the factor")
        factors.append(FactorDesign(name, tuple(levels.values()), entry.get("meaning", ""), entry.get("unit", "")))
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


_NAME_REMEDY = "it begins with a letter, then letters, digits, inner dashes and underscores"


def _substitutable(name: str, subject: str, taken: Sequence[str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{subject} {name!r} is no name; {_NAME_REMEDY}")
    if name == COPY:
        raise InvalidInputError(f"{subject} '{COPY}' would hide $({COPY}), the number of a manifest's copy; rename it")
    if name in taken:
        raise InvalidInputError(f"{subject} '{name}': the name is taken by another factor or parameter; rename one")
