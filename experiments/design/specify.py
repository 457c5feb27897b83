"""What one planned run does: levels applied to topology, manifests, workload, every `$(name)` replaced. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from experiments.design.model import (
    ExperimentDesign,
    PlannedRun,
    RunSpec,
    Settings,
    TopologyChoice,
)
from experiments.design.objects import manifests_of
from experiments.design.paths import topology_setting
from experiments.design.quantities import read_span
from experiments.design.settings import Setting, at, settings_of, values_of
from experiments.design.substitution import substitute, substitute_text
from experiments.records import Value
from topologies.presets import PRESETS

MAX_NODES = 5000
"""As in the schema: Kubernetes' own limit, and already the check of a larger network would take minutes."""


def specify(design: ExperimentDesign, run: PlannedRun) -> RunSpec:
    """Everything that the run needs; DesignError (InvalidInputError) for a level or a `$(name)` that does not fit."""
    known = values_of(design, run.levels)
    settings = settings_of(design, run.levels, known)
    _check_names(design, settings)
    return RunSpec(
        run=run,
        topology=topology_of(design.topology, _of("topology", settings), known),
        manifests=manifests_of(design.manifests, _of("manifests", settings), known),
        ready=_texts("ready", design.ready, known),
        warmup_s=_warmup(design.warmup_s, _of("warmup", settings)),
        workload=tuple(
            replace(one, settings=_fields("workload", one.name, one.settings, settings, known))
            for one in design.workload
        ),
        measurements=tuple(
            replace(one, settings=_fields("measurement", one.name, one.settings, settings, known))
            for one in design.measurements
        ),
        timeline=_texts("timeline", design.timeline, known),
        files=design.files,
    )


def section_of(root: str) -> str:
    """The file's section that a path's first part speaks of."""
    return "measurements" if root == "measurement" else root


def _of(root: str, settings: Sequence[Setting]) -> list[Setting]:
    return [one for one in settings if one.parts[0] == root]


def _check_names(design: ExperimentDesign, settings: Sequence[Setting]) -> None:
    names = {
        "workload": [one.name for one in design.workload],
        "measurement": [one.name for one in design.measurements],
    }
    for one in settings:
        root = str(one.parts[0])
        if root in names and one.parts[1] not in names[root]:
            raise one.error(f"there is no {root} '{one.parts[1]}'; there are: {', '.join(names[root]) or 'none'}")


def topology_of(choice: TopologyChoice, settings: Sequence[Setting], known: Mapping[str, Value]) -> TopologyChoice:
    """The choice with its settings' `$(name)` replaced and with what levels set, `settings`, applied."""
    given = dict(choice.settings)
    for name, value in given.items():
        with at("spec", "topology", "set", name):
            given[name] = substitute(value, known)
    for one in settings:
        name = topology_setting(one.path)
        match name:
            case "preset":
                choice = replace(choice, source=_preset(one))
            case "nodes":
                choice = replace(choice, nodes=_nodes(one))
            case "datapath" | "network.datapath":
                choice = replace(choice, datapath=one.checked(str))
            case _:
                given[name] = one.value
    return replace(choice, settings=given)


def _preset(one: Setting) -> str:
    name = one.checked(str)
    if name not in PRESETS:
        raise one.error(f"there is no preset '{name}'; there are: {', '.join(PRESETS)}")
    return name


def _nodes(one: Setting) -> int:
    nodes = one.checked(int)
    if not 1 <= nodes <= MAX_NODES:
        raise one.error(f"{nodes} nodes cannot be made; it must be 1 to {MAX_NODES}")
    return nodes


def _warmup(seconds: float, settings: Sequence[Setting]) -> float:
    for one in settings:
        if isinstance(one.value, bool):
            raise one.error(f"{one.value!r} is not a time; write 500ms or 2s")
        try:
            seconds = read_span(one.value)
        except ValueError as error:
            raise one.error(str(error)) from error
    return seconds


def _fields(root: str, name: str, given: Settings, settings: Sequence[Setting], known: Mapping[str, Value]) -> Settings:
    fields = {}
    for field, value in given.items():
        with at("spec", section_of(root), name, field):
            fields[field] = substitute(value, known)
    return fields | {str(one.parts[2]): one.value for one in settings if one.parts[:2] == (root, name)}


def _texts(section: str, texts: Sequence[str], known: Mapping[str, Value]) -> tuple[str, ...]:
    found = []
    for index, text in enumerate(texts):
        with at("spec", section, index):
            found.append(substitute_text(text, known))
    return tuple(found)
