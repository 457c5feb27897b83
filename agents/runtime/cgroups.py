"""CPU and memory limits by control groups: v2 (unified), v1, or not at all.

`Cgroups.make` tells what could not be enforced and why; nothing is dropped in silence.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.runtime.mountinfo import Mount
from kubinet.cri import ResourceLimits

PERIOD: Final = 100_000
"""Microseconds in which a CPU quota is granted; the kernel's and Kubernetes' default."""

MINIMUM_QUOTA: Final = 1_000
"""Microseconds; the kernel refuses less."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where one controller's groups are made."""

    parent: Path
    unified: bool


@dataclass(frozen=True, slots=True)
class ContainerGroup:
    """The control groups of one container; processes join by writing to `procs`."""

    folders: tuple[Path, ...] = ()
    memory: Hierarchy | None = None
    unenforced: tuple[str, ...] = ()

    @property
    def procs(self) -> tuple[Path, ...]:
        """The files to which a process writes `0` to join."""
        return tuple(folder / "cgroup.procs" for folder in self.folders)

    def oom_killed(self) -> bool:
        """Did the kernel kill one of the processes because the memory limit was reached?"""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                try:
                    lines = (folder / name).read_text().split("\n")
                except OSError:
                    continue
                if any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines):
                    return True
        return False

    def remove(self) -> None:
        """Drop the groups; their processes are gone."""
        for folder in self.folders:
            try:
                folder.rmdir()
            except OSError:  # a process of an exec still ends; the group is found again at the next start
                continue


def find_hierarchies(mounts: tuple[Mount, ...], own: str) -> Mapping[str, Hierarchy]:
    """Controller -> hierarchy, from the mounts and the text of /proc/self/cgroup (cgroups(7))."""
    paths = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    found: dict[str, Hierarchy] = {}
    for mount in mounts:
        if mount.read_only:
            continue
        if mount.kind == "cgroup":
            for controller in {"cpu", "memory"} & mount.options & paths.keys():
                found[controller] = Hierarchy(_inside(mount, paths[controller]), unified=False)
        elif mount.kind == "cgroup2" and "" in paths:
            for controller in ("cpu", "memory"):
                found.setdefault(controller, Hierarchy(_inside(mount, paths[""]), unified=True))
    return found


def _inside(mount: Mount, path: str) -> Path:
    """A group's folder below the mount; the mount's root when the group is not visible there."""
    try:
        return mount.target / Path(path).relative_to(mount.root)
    except ValueError:
        return mount.target


class Cgroups:
    """Makes one group per limited container, below a group of the cluster."""

    def __init__(self, hierarchies: Mapping[str, Hierarchy], cluster: str) -> None:
        self._hierarchies = hierarchies
        self._name = f"kubinet-{cluster}"
        self.lacking: Mapping[str, str] = {
            controller: reason for controller in ("cpu", "memory") if (reason := self._prepare(controller))
        }
        """Controller -> why its limits are not enforced."""

    def _prepare(self, controller: str) -> str:
        hierarchy = self._hierarchies.get(controller)
        if hierarchy is None:
            return f"no control group hierarchy with the {controller} controller is mounted writable"
        group = hierarchy.parent / self._name
        try:
            if hierarchy.unified:
                self._delegate(hierarchy.parent, controller)
            group.mkdir(exist_ok=True)
            for stale in group.iterdir():
                if stale.is_dir():
                    stale.rmdir()
            if hierarchy.unified:
                self._delegate(group, controller)
        except OSError as error:
            return f"{group}: {error.strerror}"
        return ""

    @staticmethod
    def _delegate(group: Path, controller: str) -> None:
        """Let the group's children use the controller (v2)."""
        control = group / "cgroup.subtree_control"
        if controller not in control.read_text().split():
            control.write_text(f"+{controller}")

    def make(self, name: str, limits: ResourceLimits) -> ContainerGroup:
        """The groups for a container's limits; none when it has no limits."""
        wanted = {"cpu": limits.cpu, "memory": limits.memory}
        folders: list[Path] = []
        unenforced: list[str] = []
        for controller, value in wanted.items():
            if value is None:
                continue
            reason = self.lacking.get(controller) or self._limit(controller, name, limits, folders)
            if reason:
                unenforced.append(f"limit {controller}={value:.15g} is not enforced: {reason}")
        return ContainerGroup(tuple(dict.fromkeys(folders)), self._hierarchies.get("memory"), tuple(unenforced))

    def _limit(self, controller: str, name: str, limits: ResourceLimits, folders: list[Path]) -> str:
        hierarchy = self._hierarchies[controller]
        folder = hierarchy.parent / self._name / name
        try:
            folder.mkdir(exist_ok=True)
            for file, value in _settings(controller, limits, unified=hierarchy.unified):
                (folder / file).write_text(value)
        except OSError as error:
            return f"{folder}: {error.strerror}"
        folders.append(folder)
        return ""

    def close(self) -> None:
        """Drop the cluster's groups."""
        for hierarchy in self._hierarchies.values():
            try:
                (hierarchy.parent / self._name).rmdir()
            except OSError:
                continue


def _settings(controller: str, limits: ResourceLimits, *, unified: bool) -> tuple[tuple[str, str], ...]:
    """The files of a group and what to write there."""
    if controller == "memory":
        return (("memory.max" if unified else "memory.limit_in_bytes", str(limits.memory)),)
    quota = max(MINIMUM_QUOTA, round((limits.cpu or 0.0) * PERIOD))
    if unified:
        return (("cpu.max", f"{quota} {PERIOD}"),)
    return (("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(quota)))


def join(files: tuple[Path, ...]) -> None:
    """Move the calling process into the groups."""
    for file in files:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, b"0")
        os.close(fd)
