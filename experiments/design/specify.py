"""What one planned run does: levels applied to topology, manifests, workload, every `$(name)` replaced. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from experiments.design.model import (
    ExperimentDesign,
    Level,
    ManifestChoice,
    MeasurementDesign,
    PlannedRun,
    RunSpec,
    Settings,
    TopologyChoice,
    WorkloadDesign,
)
from experiments.design.paths import Parts, parse_path, set_field, topology_setting
from experiments.design.quantities import read_span
from experiments.design.reading import COPY
from experiments.design.substitution import substitute, substitute_manifest, substitute_text
from experiments.design.yamltext import to_yaml
from experiments.records import Value
from kubinet.errors import InvalidInputError
from kubinet.manifests import Object, parse_manifests

_Kind = TypeVar("_Kind", int, str)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What one level sets."""

    path: str
    parts: Parts
    value: Value


def specify(design: ExperimentDesign, run: PlannedRun) -> RunSpec:
    """Everything that the run needs; InvalidInputError for a level or a `$(name)` that does not fit."""
    known = values_of(design, run.levels)
    settings = _settings(levels_of(design, run.levels))
    used: set[str] = set()
    spec = RunSpec(
        run=run,
        topology=_topology(design.topology, [one for one in settings if one.parts[0] == "topology"], known),
        manifests=_manifests(design.manifests, [one for one in settings if one.parts[0] == "manifests"], known),
        ready=tuple(substitute_text(one, known) for one in design.ready),
        warmup_s=_warmup(design.warmup_s, settings),
        workload=tuple(_workload(one, settings, known, used) for one in design.workload),
        measurements=tuple(_measurement(one, settings, known, used) for one in design.measurements),
        timeline=tuple(substitute_text(line, known) for line in design.timeline),
    )
    for one in settings:
        if one.parts[0] in ("workload", "measurement") and one.path not in used:
            raise InvalidInputError(f"path {one.path!r}: there is no {one.parts[0]} of that name")
    return spec


def levels_of(design: ExperimentDesign, levels: Mapping[str, str]) -> Mapping[str, Level]:
    """Factor to its level in a run."""
    return {
        factor.name: next(one for one in factor.levels if one.name == levels[factor.name]) for factor in design.factors
    }


def values_of(design: ExperimentDesign, levels: Mapping[str, str]) -> Mapping[str, Value]:
    """What `$(name)` stands for in a run: parameters, and levels' values, which may name parameters."""
    values = {name: substitute(level.value, design.parameters) for name, level in levels_of(design, levels).items()}
    return {**design.parameters, **values}


def _settings(levels: Mapping[str, Level]) -> list[_Setting]:
    """Every path with its value; two factors that set one path would leave one of them without effect."""
    owners: dict[str, str] = {}
    for factor, level in levels.items():
        for path in level.sets:
            if path in owners:
                raise InvalidInputError(
                    f"factors '{owners[path]}' and '{factor}' both set {path}; let one of them do it"
                )
            owners[path] = factor
    return [_Setting(path, parse_path(path), value) for level in levels.values() for path, value in level.sets.items()]


def _topology(choice: TopologyChoice, settings: Sequence[_Setting], known: Mapping[str, Value]) -> TopologyChoice:
    more: dict[str, Value] = {}
    for one in settings:
        name, value = topology_setting(one.path), substitute(one.value, known)
        match name:
            case "preset":
                choice = replace(choice, source=_checked(one, value, str))
            case "nodes":
                choice = replace(choice, nodes=_checked(one, value, int))
            case "datapath" | "network.datapath":
                choice = replace(choice, datapath=_checked(one, value, str))
            case _:
                more[name] = value
    given = {name: substitute(value, known) for name, value in choice.settings.items()}
    return replace(choice, settings={**given, **more})


def _warmup(seconds: float, settings: Sequence[_Setting]) -> float:
    for one in settings:
        if one.parts[0] == "warmup":
            try:
                seconds = read_span(one.value)
            except ValueError as error:
                raise InvalidInputError(f"path 'warmup': {error}") from error
    return seconds


def _workload(
    one: WorkloadDesign, settings: Sequence[_Setting], known: Mapping[str, Value], used: set[str]
) -> WorkloadDesign:
    return replace(one, settings=_fields("workload", one.name, one.settings, settings, known, used))


def _measurement(
    one: MeasurementDesign, settings: Sequence[_Setting], known: Mapping[str, Value], used: set[str]
) -> MeasurementDesign:
    return replace(one, settings=_fields("measurement", one.name, one.settings, settings, known, used))


def _fields(
    root: str, name: str, given: Settings, settings: Sequence[_Setting], known: Mapping[str, Value], used: set[str]
) -> Settings:
    mine = [one for one in settings if one.parts[:2] == (root, name)]
    used.update(one.path for one in mine)
    fields = {**given, **{str(one.parts[2]): one.value for one in mine}}
    return {field: substitute(value, known) for field, value in fields.items()}


def _manifests(
    choices: Sequence[ManifestChoice], settings: Sequence[_Setting], known: Mapping[str, Value]
) -> Mapping[str, str]:
    names = [choice.name for choice in choices]
    repeats, changes = {}, []
    for one in settings:
        value = substitute(one.value, known)
        if "/" in str(one.parts[1]):
            changes.append(replace(one, value=value))
            continue
        if one.parts[1] not in names or one.parts[2:] != ("repeat",):
            raise InvalidInputError(
                f"path {one.path!r}: write manifests.<name>.repeat with one of {', '.join(names) or 'no'} manifests, "
                "or manifests.<Kind>/<object>.<field>"
            )
        repeats[str(one.parts[1])] = _checked(one, value, int)
        if repeats[str(one.parts[1])] < 0:
            raise InvalidInputError(f"path {one.path!r}: {value!r} copies cannot be made; it must be at least 0")
    texts = {
        choice.name: "---\n".join(_copies(choice.text, repeats.get(choice.name, choice.repeat), known))
        for choice in choices
    }
    return {f"{name}.yaml": text for name, text in _changed(texts, changes).items() if text}


def _copies(text: str, count: int, known: Mapping[str, Value]) -> Iterator[str]:
    for number in range(count):
        copy = substitute_manifest(text, {**known, COPY: number})
        yield copy if copy.endswith("\n") else f"{copy}\n"


def _changed(texts: Mapping[str, str], changes: Sequence[_Setting]) -> Mapping[str, str]:
    """The manifests with fields of objects set; a text without such an object stays as it was written."""
    if not changes:
        return texts
    objects = {name: [_own(one.object) for one in parse_manifests(text, name)] for name, text in texts.items()}
    touched: set[str] = set()
    for one in changes:
        if len(one.parts) < 3:
            raise InvalidInputError(f"path {one.path!r}: name a field, such as manifests.Deployment/web.spec.replicas")
        chosen = [(name, found) for name, several in objects.items() for found in several if _is(found, one.parts[1])]
        if not chosen:
            there = sorted({_reference(found) for several in objects.values() for found in several})
            raise InvalidInputError(
                f"path {one.path!r}: no manifest has {one.parts[1]}; there are: {', '.join(there[:10]) or 'none'}"
            )
        for name, found in chosen:
            set_field(found, one.parts[2:], one.value, one.path)
            touched.add(name)
    return {
        name: "---\n".join(to_yaml(found) for found in objects[name]) if name in touched else text
        for name, text in texts.items()
    }


def _own(found: Object) -> Object:
    """A copy in which nothing is shared, as YAML's aliases do it."""
    copy: Object = json.loads(json.dumps(found))
    return copy


def _reference(found: Object) -> str:
    return f"{found['kind']}/{found['metadata'].get('name', '')}"


def _is(found: Object, reference: str | int) -> bool:
    """Whether the object is `Kind/name`, `namespace:Kind/name` or, with `*` as the name, any of the kind."""
    namespace, colon, rest = str(reference).rpartition(":")
    kind, _, name = rest.partition("/")
    metadata = found["metadata"]
    return (
        found["kind"] == kind
        and name in ("*", metadata.get("name"))
        and (not colon or metadata.get("namespace", "default") == namespace)
    )


def _checked(one: _Setting, value: Value, kind: type[_Kind]) -> _Kind:
    if type(value) is not kind:
        wanted = "a whole number" if kind is int else "a text"
        raise InvalidInputError(f"path {one.path!r}: {value!r} is not {wanted}")
    return value
