"""Reads files of the image table; errors name file, line and field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kubinet.errors import InvalidInputError

_SIZE_LIMIT: Final = 1_000_000
"""Bytes; a table of a thousand images is far smaller."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image: what runs for it. The fields are those of images.yaml."""

    about: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    """Python packages of Kubinet's own environment that the programs import."""
    requires: Mapping[str, str] = field(default_factory=dict)
    """Program -> Debian package."""
    busybox: bool = False
    tags: tuple[str, ...] = ("*",)
    fallback: "Entry | None" = None


def read_table(file: Path, folder: Path) -> dict[str, Entry | None]:
    """Repository -> entry as written; None for `null`. `folder`: what relative paths of programs are relative to."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file}: {error.strerror}; give an existing image table") from error
    if len(data) > _SIZE_LIMIT:
        raise InvalidInputError(f"{file}: {len(data)} bytes; an image table has at most {_SIZE_LIMIT}")
    try:
        document = YAML(typ="rt").load(data.decode())
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidInputError(f"{file}:1: an image table is a mapping from repositories to entries")
    entries: dict[str, Entry | None] = {}
    for name, value in document.items():
        if not isinstance(name, str):
            raise InvalidInputError(f"{_place(file, document, name)}: repository {name!r} must be a string")
        entries[name] = None if value is None else _Reader(file, folder, name).entry(document, name)
    return entries


def _place(file: Path, mapping: Any, key: object) -> str:
    """`file:line` of a key."""
    try:
        return f"{file}:{mapping.lc.key(key)[0] + 1}"
    except (AttributeError, KeyError, TypeError):
        return str(file)


class _Reader:
    """Checks and converts one entry."""

    def __init__(self, file: Path, folder: Path, path: str) -> None:
        self._file = file
        self._folder = folder
        self._path = path

    def entry(self, parent: Any, key: str) -> Entry:
        mapping = parent[key]
        if not isinstance(mapping, dict):
            raise self._error(parent, key, self._path, "must be a mapping")
        known = Entry.__dataclass_fields__
        values: dict[str, Any] = {}
        for name in mapping:
            where = f"{self._path}.{name}"
            if name not in known:
                raise self._error(mapping, name, where, f"is unknown; fields are {', '.join(known)}")
            values[name] = self._value(mapping, name, where)
        if not values.get("entrypoint") and not values.get("cmd"):
            raise self._error(parent, key, self._path, "needs entrypoint or cmd")
        return Entry(**values)

    def _value(self, mapping: Any, name: str, where: str) -> Any:
        value = mapping[name]
        match name:
            case "about":
                return self._checker(mapping, name, where, "a string")(value, str)
            case "busybox":
                return self._checker(mapping, name, where, "true or false")(value, bool)
            case "entrypoint" | "cmd" | "modules" | "tags":
                check = self._checker(mapping, name, where, "a list of strings")
                return tuple(check(item, str) for item in check(value, list))
            case "ports":
                check = self._checker(mapping, name, where, "a list of port numbers")
                return tuple(check(item, int) for item in check(value, list))
            case "env" | "requires":
                return self._strings(mapping, name, where)
            case "programs":
                return self._programs(mapping, name, where)
            case _:
                return _Reader(self._file, self._folder, where).entry(mapping, name)

    def _checker(self, mapping: Any, name: str, where: str, what: str) -> Callable[[Any, type], Any]:
        """A function that returns a value of the wanted type, and refuses others."""

        def check(value: Any, kind: type) -> Any:
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise self._error(mapping, name, where, f"must be {what}")
            return kind(value)  # the reader's own types carry positions; plain ones go on

        return check

    def _strings(self, mapping: Any, name: str, where: str) -> dict[str, str]:
        check = self._checker(mapping, name, where, "a mapping from strings to strings")
        return {check(key, str): check(value, str) for key, value in check(mapping[name], dict).items()}

    def _programs(self, mapping: Any, name: str, where: str) -> dict[str, str]:
        programs = self._strings(mapping, name, where)
        for target in programs:
            if not target.startswith("/"):
                raise self._error(mapping, name, where, f"has {target!r}, which is no absolute path")
        return {
            target: str(self._folder / Path(program).expanduser()) if "/" in program else program
            for target, program in programs.items()
        }

    def _error(self, mapping: Any, key: object, where: str, problem: str) -> InvalidInputError:
        return InvalidInputError(f"{_place(self._file, mapping, key)}: {where} {problem}")
