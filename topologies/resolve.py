"""From what a user named (a preset or a file, and settings) to a checked topology and its resolved document."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubinet.documents import Path as FieldPath
from kubinet.documents import Where
from kubinet.errors import InvalidInputError, UsageError
from kubinet.manifests import Manifest, parse_manifests, read_manifests
from topologies.checks import check
from topologies.document import parse_topology, spell, to_document
from topologies.machine import require
from topologies.model import PlanError, Topology
from topologies.plan import make_plan
from topologies.presets import PRESETS
from topologies.settings import apply_settings


def resolve_topology(
    source: str,
    *,
    nodes: int | None = None,
    datapath: str = "auto",
    settings: Mapping[str, object] | None = None,
    for_this_machine: bool = False,
    field_of_text: Where | None = None,
) -> dict[str, Any]:
    """The resolved document of a preset, a file or a YAML text (with line breaks); raises before anything is created.

    `for_this_machine`: also refuse what this machine cannot honour (MissingCapabilityError). `field_of_text`: says for
    errors where a field of a text stands; by default its line of the text.
    """
    overrides = dict(settings or {})
    if nodes is not None:
        overrides["nodes"] = nodes
    if datapath != "auto":
        overrides["network.datapath"] = datapath
    topology, at = _load(source, overrides, field_of_text)
    if for_this_machine:
        require(topology, at)
    return to_document(topology)


def load_topology(source: str | Path, overrides: Mapping[str, object] | None = None) -> Topology:
    """The checked topology of a preset's name, a file or a YAML text (with line breaks).

    `overrides`: preset parameters (`nodes`, `k`, …), and dotted paths: `network.<field>`, `links.<field>` (every link),
    `links.<link name>.<field>`, `defaults.link.<field>`.
    """
    return _load(source, overrides or {})[0]


def _checked(document: Mapping[str, Any], at: Where, where: Where) -> Topology:
    """The topology of a document that can be realised; InvalidInputError otherwise.

    `at` says where a field stands; `where` says that and which field it is.
    """
    topology = check(parse_topology(document, where), at)
    try:
        make_plan(topology)
    except PlanError as error:
        raise InvalidInputError(f"{at(error.path)}: {error}") from error
    return topology


def _load(
    source: str | Path, overrides: Mapping[str, object], field_of_text: Where | None = None
) -> tuple[Topology, Where]:
    """The topology, and what says where a field of its document stands."""
    overrides = dict(overrides)
    text = str(source)
    if text in PRESETS:
        parameters = {key: overrides.pop(key) for key in list(overrides) if "." not in key}
        document = _preset(text, parameters)
        name, manifest = f"preset {text}", None
    else:
        manifest = _file(text)
        document, name = manifest.object, manifest.source
    apply_settings(document, overrides)
    if "\n" in text and field_of_text is not None:
        return _checked(document, field_of_text, field_of_text), field_of_text

    def at(path: FieldPath) -> str:
        line = f":{manifest.line_of(path)}" if manifest is not None else ""
        return f"{name}{line}"

    return _checked(document, at, lambda path: f"{at(path)}: {spell(path)}"), at


def _preset(name: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    function = PRESETS[name]
    known = inspect.signature(function).parameters
    arguments = {}
    for key, value in parameters.items():
        if key not in known:
            listing = ", ".join(f"{one.name}={one.default!r}" for one in known.values())
            raise UsageError(f"preset {name} has no parameter '{key}'; it has {listing}")
        arguments[key] = _converted(name, key, value, type(known[key].default))
    if "nodes" in arguments and int(str(arguments["nodes"])) < 1:
        raise UsageError(f"preset {name}: nodes={arguments['nodes']} must be at least 1")
    return function(**arguments)


def _converted(preset: str, key: str, value: object, kind: type) -> object:
    try:
        return kind(str(value))
    except ValueError as error:
        raise UsageError(f"preset {preset}: {key}={value!r} is no {kind.__name__}") from error


def _file(text: str) -> Manifest:
    if "\n" in text:
        name, found = "topology", parse_manifests(text, "topology")
    elif Path(text).exists():
        name, found = text, read_manifests(text)
    else:
        known = ", ".join(PRESETS)
        raise UsageError(f"'{text}' is neither a file nor a preset; presets: {known}")
    manifests = [one for one in found if one.object["kind"] == "Topology"]
    if len(manifests) != 1:
        place = _place([*manifests[1:], *found], name)
        raise InvalidInputError(f"{place}: expected exactly one document of kind Topology, found {len(manifests)}")
    return manifests[0]


def _place(manifests: Sequence[Manifest], name: str) -> str:
    """Where the first of the documents says its kind; the file's begin where it has none."""
    if not manifests:
        return f"{name}:1"
    return f"{manifests[0].source}:{manifests[0].line_of(['kind'])}"
