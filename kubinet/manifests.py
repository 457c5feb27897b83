"""Manifests that users write: files, folders and standard input to Kubernetes objects, with lines for messages.

Scalars mean what they mean to kubectl (go-yaml's YAML 1.1: `yes` is true, `0644` is octal, dates stay text). Hostile
input is refused before it costs memory: size, nesting and the nodes that aliases expand to have limits.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from kubinet.errors import InvalidInputError
from kubinet.yamldata import Document, parse_documents

Object: TypeAlias = dict[str, Any]

MAX_BYTES: Final = 32 * 1024 * 1024
"""The largest manifest that is read, bytes."""

SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as a user wrote it, and where."""

    object: Object
    source: str
    line: int
    document: int
    """1, 2, … in the source; objects unfolded from a List share their document's number."""
    text: str = field(repr=False, default="")

    @property
    def where(self) -> str:
        """`app.yaml:12 (document 2)`, for messages."""
        return f"{self.source}:{self.line} (document {self.document})"

    @property
    def namespace(self) -> str | None:
        """The namespace that the manifest names."""
        value = self.object["metadata"].get("namespace")
        return value if isinstance(value, str) and value else None

    def line_of(self, path: Sequence[str | int]) -> int:
        """The line of the field at `path`, or of the nearest parent that exists."""
        lines: dict[tuple[str | int, ...], int] = {}
        for document in parse_documents(self.text, self.source, lines_of=self.document, lines=lines):
            if document.number == self.document:
                break
        for length in range(len(path), 0, -1):
            if tuple(path[:length]) in lines:
                return lines[tuple(path[:length])]
        return self.line


def read_manifests(path: str | Path, *, recursive: bool = False) -> list[Manifest]:
    """The objects of a file, of all manifests in a folder (by name), or of standard input (`-`).

    Raises InvalidInputError naming file, line and document.
    """
    if str(path) == "-":
        return parse_manifests(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>")
    if str(path).startswith(("http://", "https://")):
        raise InvalidInputError(
            f"{path}: manifests are read from files only; download it first: curl -sSfL {path} | kubinet apply -f -"
        )
    files = list(_files(Path(path), recursive))
    return [manifest for file in files for manifest in parse_manifests(_read(file), str(file))]


def parse_manifests(text: str | bytes, source: str = "<text>") -> list[Manifest]:
    """The objects of a multi-document text, in its order; Lists are unfolded, empty documents skipped."""
    decoded = _decode(text, source)
    return [
        manifest
        for document in parse_documents(decoded, source)
        if document.value is not None
        for manifest in _objects(document, source, decoded)
    ]


def load_manifests(source: str | Path) -> list[Object]:
    """The objects of a manifest file, of a folder of them, or of YAML text (text with a line break); for scripts."""
    if isinstance(source, str) and "\n" in source:
        return [manifest.object for manifest in parse_manifests(source)]
    return [manifest.object for manifest in read_manifests(source)]


def _objects(document: Document, source: str, text: str) -> Iterator[Manifest]:
    where = f"{source}:{document.line} (document {document.number})"
    value = document.value
    if not isinstance(value, dict):
        raise InvalidInputError(
            f"{where}: a manifest must be a mapping with apiVersion, kind and metadata, not {_type_name(value)}"
        )
    kind = value.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list):
        items = [(f"{where}, items[{index}]", item) for index, item in enumerate(value["items"])]
    else:
        items = [(where, value)]
    for item_where, item in items:
        yield Manifest(_checked(item, item_where), source, document.line, document.number, text)


def _checked(value: object, where: str) -> Object:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where}: an object must be a mapping, not {_type_name(value)}")
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            problem = "is missing" if value.get(key) is None else f"must be text, not {_type_name(value[key])}"
            raise InvalidInputError(f"{where}: field '{key}' {problem}; every object says apiVersion and kind")
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        problem = "is missing" if metadata is None else f"must be a mapping, not {_type_name(metadata)}"
        raise InvalidInputError(f"{where}: {value['kind']}: field 'metadata' {problem}; every object has a name")
    for key in ("name", "generateName", "namespace"):
        if key in metadata and not isinstance(metadata[key], str):
            raise InvalidInputError(
                f"{where}: {value['kind']}: field 'metadata.{key}' must be text, not {_type_name(metadata[key])}; "
                f'quote it: "{metadata[key]}"'
            )
    if not metadata.get("name") and not metadata.get("generateName"):
        raise InvalidInputError(f"{where}: {value['kind']}: field 'metadata.name' is missing; every object has a name")
    return value


def _files(path: Path, recursive: bool) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(path.rglob("*") if recursive else path.iterdir())
    manifests = [file for file in found if file.suffix in SUFFIXES and file.is_file()]
    if not manifests:
        raise InvalidInputError(
            f"{path}: the folder holds no manifest ({', '.join(SUFFIXES)}); -R looks in its folders"
        )
    yield from manifests


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file() and not path.is_fifo():
            raise InvalidInputError(f"{path}: not a regular file; name a file, a folder or - for standard input")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}; check the path") from error


def _decode(text: str | bytes, source: str) -> str:
    if len(text) > MAX_BYTES:
        raise InvalidInputError(f"{source}: larger than {MAX_BYTES >> 20} MiB; split it into several files")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise InvalidInputError(f"{source}:{line}: byte 0x{text[error.start]:02x} is not UTF-8 text") from error


def _type_name(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
    shown = json.dumps(value) if isinstance(value, str | bool | int | float) else ""
    return f"{names.get(type(value), 'nothing')}{f' ({shown[:40]})' if shown else ''}"
