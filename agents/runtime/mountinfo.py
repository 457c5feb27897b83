"""Reads /proc/self/mountinfo (proc(5))."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system."""

    root: str
    """The folder of the file system that is the mount's root."""
    target: Path
    kind: str
    """The file system's type, e.g. `cgroup2`."""
    options: frozenset[str]
    """The file system's own options; for cgroup v1 the controllers."""
    read_only: bool


def parse(text: str) -> tuple[Mount, ...]:
    """The mounts in the file's order: a later one hides an earlier one of the same target."""
    return tuple(_parse_line(line) for line in text.splitlines())


def _parse_line(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    _, _, _, root, target, mount_options, *_ = before.split(" ")
    kind, _, options = after.split(" ", 2)
    return Mount(
        _unescape(root), Path(_unescape(target)), kind, frozenset(options.split(",")), "ro" in mount_options.split(",")
    )


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
