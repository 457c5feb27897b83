"""What an Experiment file names or holds: topology and manifests, read at once so that nothing else is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.design.model import ManifestChoice, TopologyChoice
from experiments.design.yamltext import to_yaml
from kubinet.documents import Path as FieldPath
from kubinet.documents import Where
from kubinet.errors import InvalidInputError
from kubinet.manifests import MAX_BYTES, parse_manifests
from topologies.document import parse_topology, spell
from topologies.presets import PRESETS


@dataclass(frozen=True, slots=True)
class ReadTopology:
    """A topology as an experiment names or holds it."""

    choice: TopologyChoice
    where: Where | None = None
    """Where the fields of its document stand; None for a preset, which nobody wrote."""


def read_topology(section: Mapping[str, Any], folder: Path, where: Where) -> ReadTopology:
    """The topology: exactly one of preset, file, inline.

    Of a document each field is judged here, and the whole by `experiments.design.check`: levels and options change it.
    """
    here = ("spec", "topology")
    document: Where | None = None
    given = [name for name in ("preset", "file", "inline") if name in section]
    if len(given) != 1:
        raise InvalidInputError(
            f"{where(here)}: {' and '.join(given) or 'no topology'} given; give exactly one of preset, file and inline"
        )
    match given:
        case ["preset"]:
            source = section["preset"]
            if source not in PRESETS:
                raise InvalidInputError(
                    f"{where((*here, 'preset'))}: there is no preset '{source}'; there are: {', '.join(PRESETS)}"
                )
        case ["file"]:
            source, document = _topology_file(section["file"], folder, where((*here, "file")))
        case _:
            source, document = _inline_topology(section["inline"], where)
    nodes = int(section["nodes"]) if "nodes" in section else None
    choice = TopologyChoice(source, nodes, section.get("datapath", "auto"), section.get("set", {}))
    return ReadTopology(choice, document)


def _inline_topology(document: Mapping[str, Any], where: Where) -> tuple[str, Where]:
    def place(path: FieldPath) -> str:
        return where(("spec", "topology", "inline", *path))

    parse_topology(document, place)
    return to_yaml(document), place


def _topology_file(name: str, folder: Path, where: str) -> tuple[str, Where]:
    text = _read(name, folder, where)
    found = [one for one in parse_manifests(text, name) if one.object["kind"] == "Topology"]
    if len(found) != 1:
        raise InvalidInputError(f"{where}: {name} has {len(found)} documents of kind Topology; exactly one is needed")
    [manifest] = found

    def line(path: FieldPath) -> str:
        return f"{name}:{manifest.line_of(path)}: {spell(path)}"

    parse_topology(manifest.object, line)
    return to_yaml(manifest.object), line


def read_manifest_choices(
    entries: Sequence[str | Mapping[str, Any]], folder: Path, where: Where
) -> tuple[ManifestChoice, ...]:
    """The manifests, whose YAML is checked here; their objects are the API server's to judge."""
    choices: list[ManifestChoice] = []
    for index, written in enumerate(entries):
        here: tuple[str | int, ...] = ("spec", "manifests", index)
        entry: Mapping[str, Any] = {"file": written} if isinstance(written, str) else written
        given = [name for name in ("file", "inline") if name in entry]
        if len(given) != 1:
            raise InvalidInputError(f"{where(here)}: give exactly one of file and inline")
        if "file" in entry:
            path = here if isinstance(written, str) else (*here, "file")
            text, source = _read(entry["file"], folder, where(path)), entry["file"]
        else:
            text, source = entry["inline"], where((*here, "inline"))
        name = entry.get("name", Path(entry["file"]).stem if "file" in entry else "")
        _check_name(name, [one.name for one in choices], where(here))
        parse_manifests(text, source)
        choices.append(ManifestChoice(name, text, int(entry.get("repeat", 1))))
    return tuple(choices)


def _check_name(name: str, taken: Sequence[str], where: str) -> None:
    if not name:
        raise InvalidInputError(f"{where}: an inline manifest needs a `name`")
    if not all(letter.isalnum() or letter in "_-" for letter in name):
        raise InvalidInputError(f"{where}: {name!r} is no manifest's name; use letters, digits, dashes and underscores")
    if name in taken:
        raise InvalidInputError(f"{where}: the name '{name}' is taken by another manifest; give this one a `name`")


def _read(name: str, folder: Path, where: str) -> str:
    path = folder / name
    try:
        if path.exists() and not path.is_file():
            raise InvalidInputError(f"{where}: {name} is not a regular file; name a YAML file")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{where}: {path}: cannot be read: {error.strerror}; check the path") from error
    if len(content) > MAX_BYTES:
        raise InvalidInputError(f"{where}: {name} is larger than {MAX_BYTES >> 20} MiB; split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{where}: {name} is not UTF-8 text") from error
