"""Image references and the programs of this machine that stand for them (`images.yaml`).

Kubinet downloads no images. The table says which program runs for which image; a reference that is not in it is an
error that says how to add it, never a silent success.
"""

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from kubinet.containers import DEFAULT_PATH, MODULES_FOLDER
from kubinet.errors import InvalidInputError, KubinetError, MissingCapabilityError
from kubinet.imagetable import Entry, read_table

SHIPPED: Final = Path(__file__).with_name("images.yaml")
"""The table that comes with Kubinet."""

USER_TABLE: Final = Path("~/.config/kubinet/images.yaml")
"""A user's own table, read when it exists."""

Which = Callable[[str], str | None]
"""Finds a program: name -> path, or None."""


def find_program(name: str) -> str | None:
    """Find a program of the machine where containers look for it, whatever the caller's own PATH is."""
    return shutil.which(name, path=DEFAULT_PATH)


_DEFAULT_REGISTRY: Final = "docker.io"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_PATH: Final = re.compile(
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?"
)
_LENGTH_LIMIT: Final = 1024


class InvalidImageNameError(InvalidInputError):
    """A reference that no container engine would accept (Kubernetes' InvalidImageName)."""


class UnknownImageError(KubinetError):
    """An image that is not in the table (Kubernetes' ErrImagePull)."""


class MissingProgramError(MissingCapabilityError):
    """The image is in the table, its program is not on this machine; names the Debian package."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """The parts of an image's name, with the defaults that container engines fill in."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Registry and repository: what the table is searched for."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_reference(text: str) -> ImageReference:
    """Parse `[registry/]repository[:tag][@digest]`; `busybox` is `docker.io/library/busybox:latest`.

    Raises InvalidImageNameError.
    """
    registry, path = _split_registry(text)
    match = _PATH.fullmatch(path)
    if match is None or len(text) > _LENGTH_LIMIT or not _HOST.fullmatch(registry):
        raise InvalidImageNameError(
            f"image {text[:200]!r} is no valid reference; the form is [registry/]repository[:tag][@digest], "
            "repository in lower case"
        )
    repository, tag, digest = match["repository"], match["tag"], match["digest"]
    if registry == _DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return ImageReference(registry, repository, tag or (None if digest else "latest"), digest)


def _split_registry(text: str) -> tuple[str, str]:
    """The first part is a registry only when it looks like a host: a dot, a port, an upper-case letter, localhost."""
    first, slash, rest = text.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost" or first != first.lower()):
        return _DEFAULT_REGISTRY, text
    return (_DEFAULT_REGISTRY if first == "index.docker.io" else first), rest


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """A program that an image of the table lacks on this machine, for `doctor`."""

    image: str
    program: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What to start for a container."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    programs: Mapping[str, Path]
    busybox: bool
    note: str
    """What a user should know, for an event; empty when nothing stands in for something else."""


class ImageTable:
    """Which program stands for which image."""

    def __init__(self, entries: Mapping[str, Entry], files: Sequence[Path]) -> None:
        """`entries` by `ImageReference.name`; `files` are named in errors."""
        self.entries = entries
        self._files = files

    def find(self, image: str) -> Entry:
        """The entry for a reference; raises UnknownImageError or InvalidImageNameError."""
        reference = parse_reference(image)
        entry = self.entries.get(reference.name)
        if entry is None:
            raise UnknownImageError(
                f"image {image!r} is not in the image table ({', '.join(map(str, self._files))}); Kubinet runs this "
                f"machine's programs instead of downloading images: add an entry {reference.name!r} to {USER_TABLE}"
            )
        if reference.tag and not any(fnmatchcase(reference.tag, pattern) for pattern in entry.tags):
            raise UnknownImageError(
                f"image {image!r}: only tags {', '.join(entry.tags)} are in the image table; "
                f"add an entry {reference.name!r} with the tag to {USER_TABLE}"
            )
        return entry

    def resolve(
        self,
        image: str,
        command: Sequence[str] = (),
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        which: Which = find_program,
    ) -> ResolvedImage:
        """What to start for a container of a pod.

        `command` replaces the image's entrypoint and cmd, `args` its cmd. `$(NAME)` in them, and in `env` for names
        before it, is replaced by the variable; `$$(NAME)` stays as `$(NAME)`. Raises MissingProgramError too.
        """
        entry, note = self._choose(image, which)
        variables = expand_env(env or {})
        argv = [*command, *args] if command else [*entry.entrypoint, *(args or entry.cmd)]
        programs = {path: _program_path(image, program, which) for path, program in entry.programs.items()}
        programs |= {f"{MODULES_FOLDER}/{name}": _module_path(image, name) for name in entry.modules}
        return ResolvedImage(
            tuple(expand(word, variables) for word in argv), {**entry.env, **variables}, programs, entry.busybox, note
        )

    def problems(self, which: Which = find_program) -> tuple[ImageProblem, ...]:
        """Every program that an image lacks on this machine."""
        return tuple(
            ImageProblem(name, program, f"apt install {package}")
            for name, entry in sorted(self.entries.items())
            for program, package in entry.requires.items()
            if which(program) is None
        )

    def _choose(self, image: str, which: Which) -> tuple[Entry, str]:
        """The entry, or the fallback that this machine has the programs for."""
        entry = self.find(image)
        note = ""
        while True:
            missing = {name: package for name, package in entry.requires.items() if which(name) is None}
            if not missing:
                return entry, note
            remedy = f"apt install {' '.join(dict.fromkeys(missing.values()))}"
            what = f"image {image!r}: program {next(iter(missing))!r} is not installed on this machine"
            if entry.fallback is None:
                raise MissingProgramError(f"{what}; {remedy}")
            entry = entry.fallback
            note = f"{what} ({remedy}); running instead: {entry.about}"


def load_table(extra: Iterable[Path] = (), user_table: Path = USER_TABLE) -> ImageTable:
    """The shipped table, then the user's, then `extra`: a later entry replaces an earlier one as a whole.

    An entry `null` takes an image out. Raises InvalidInputError naming file, line and field.
    """
    user_table = user_table.expanduser()
    files = [SHIPPED, *([user_table] if user_table.exists() else []), *extra]
    entries: dict[str, Entry] = {}
    for file in files:
        for name, entry in read_table(file, SHIPPED.parents[1] if file == SHIPPED else file.parent).items():
            full_name = parse_reference(name).name
            if entry is None:
                entries.pop(full_name, None)
            else:
                entries[full_name] = entry
    return ImageTable(entries, files)


_VARIABLE: Final = re.compile(r"\$(\$|\(([^()]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable, `$$` by `$`; an unknown name stays as it is (Kubernetes' rules)."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _VARIABLE.sub(replacement, text)


def expand_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with references to variables defined before them replaced."""
    expanded: dict[str, str] = {}
    for name, value in env.items():
        expanded[name] = expand(value, expanded)
    return expanded


def _module_path(image: str, name: str) -> Path:
    """The folder of a Python package of our own environment."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingProgramError(f"image {image!r}: Python package {name!r} is not in Kubinet's environment")
    return Path(next(iter(spec.submodule_search_locations)))


def _program_path(image: str, program: str, which: Which) -> Path:
    if "/" in program:
        path = Path(program)
        if not path.exists():
            raise MissingProgramError(f"image {image!r}: program {program} does not exist")
        return path
    found = which(program)
    if found is None:
        raise MissingProgramError(f"image {image!r}: program {program!r} is not installed on this machine")
    return Path(found)
