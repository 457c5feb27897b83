"""The processes of a sandbox and their memory, read from /proc on the host (proc(5))."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the sandbox, by the host's numbering."""

    pid: int
    parent: int
    command: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Proportional set sizes (shared pages divided among their users), bytes."""

    services: int
    switches: int
    workloads: int

    @property
    def total(self) -> int:
        """All of the sandbox."""
        return self.services + self.switches + self.workloads


def descendants(first: int, proc: Path = Path("/proc")) -> list[Process]:
    """The first process and everything below it; namespaces of pids do not hide children from the host."""
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        process = _read(entry)
        if process is not None:
            children.setdefault(process.parent, []).append(process)
            if process.pid == first:
                found.append(process)
    for process in found:  # grows while it is read: the tree, breadth first
        found += children.get(process.pid, ())
    return found


def _read(entry: Path) -> Process | None:
    try:
        stat = (entry / "stat").read_text()
    except OSError:
        return None  # it ended meanwhile
    head, _, rest = stat.rpartition(")")
    return Process(int(entry.name), int(rest.split()[1]), head.partition("(")[2])


def memory_of(first: int, proc: Path = Path("/proc")) -> Memory:
    """The sandbox's memory: our own services, Open vSwitch, and what runs in pods and hosts."""
    services = switches = workloads = 0
    for process in descendants(first, proc):
        size = _proportional_size(proc / str(process.pid))
        if process.command.startswith(("ovs-", "ovsdb-")):
            switches += size
        elif first in (process.pid, process.parent):
            services += size
        else:
            workloads += size
    return Memory(services, switches, workloads)


def _proportional_size(entry: Path) -> int:
    try:
        for line in (entry / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return 0  # it ended meanwhile, or is a kernel thread
    return 0
