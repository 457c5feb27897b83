"""Memory of process trees, from /proc: resident (RSS) and proportional (PSS) sizes.

PSS divides shared pages among those that share them: the honest figure where many processes run the same program.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FIELD: Final = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes in MiB."""

    rss_mib: float = 0.0
    pss_mib: float = 0.0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.rss_mib + other.rss_mib, self.pss_mib + other.pss_mib)

    def __sub__(self, other: "Memory") -> "Memory":
        return Memory(self.rss_mib - other.rss_mib, self.pss_mib - other.pss_mib)

    def __truediv__(self, share: int) -> "Memory":
        return Memory(self.rss_mib / share, self.pss_mib / share)


@dataclass(frozen=True, slots=True)
class Program:
    """One process."""

    pid: int
    name: str
    """Its command name (comm)."""
    pid_namespace: str


def parse_smaps_rollup(text: str) -> Memory:
    """The two sizes of /proc/PID/smaps_rollup; zero where a line is missing (kernel threads have none)."""
    sizes = {name: int(kib) / 1024 for name, kib in _FIELD.findall(text)}
    return Memory(sizes.get("Rss", 0.0), sizes.get("Pss", 0.0))


def parse_parent(stat: str) -> int:
    """The parent's pid in /proc/PID/stat; the command name may contain spaces and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


def descendants(root: int, parents: Mapping[int, int]) -> frozenset[int]:
    """`root` and every process below it, given each process's parent."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    todo = [root]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo.extend(children.get(pid, ()))
    return frozenset(found)


def process_tree(root: int) -> tuple[Program, ...]:
    """`root` and every process below it that still runs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _text(entry / "stat")):
            parents[int(entry.name)] = parse_parent(stat)
    programs = (_program(pid) for pid in sorted(descendants(root, parents)))
    return tuple(program for program in programs if program is not None)


def memory_of(programs: Iterable[Program]) -> Memory:
    """The sum over these processes."""
    total = Memory()
    for program in programs:
        total += parse_smaps_rollup(_text(Path("/proc") / str(program.pid) / "smaps_rollup"))
    return total


def kernel_mib() -> float:
    """The whole machine's slab and kernel stacks, MiB: what namespaces and interfaces cost outside processes."""
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text(Path("/proc/meminfo")), re.MULTILINE))
    return (int(fields["Slab"]) + int(fields["KernelStack"])) / 1024


def _program(pid: int) -> Program | None:
    process = Path("/proc") / str(pid)
    try:
        namespace = str((process / "ns" / "pid").readlink())
    except OSError:
        return None
    return Program(pid, _text(process / "comm").strip(), namespace)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
