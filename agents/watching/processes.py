"""CPU and memory of the sandbox's processes by group, from /proc."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PODS: Final = "pods"
MEASUREMENT: Final = "measurement"
"""What watches: this measurement itself and others."""
OTHER: Final = "other"
_WATCHES: Final = "agents.watching"
_NODE: Final = re.compile(r"/run/kubinet/nodes/([^/]+)/")
_SERVICE: Final = re.compile(r"topologies\.supervisor")
_RUNTIME: Final = "agents.runtime.main"
TICKS: Final = os.sysconf("SC_CLK_TCK")
"""Of CPU time, a second."""
_PAGE_MIB: Final = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass(frozen=True, slots=True)
class Process:
    """What groups are made of."""

    pid: int
    """In the sandbox's numbering."""
    parent: int
    command: str
    in_pod: bool
    """Whether it lives in a pid namespace of its own."""


@dataclass(frozen=True, slots=True)
class Usage:
    """From /proc/PID/stat (proc_pid_stat(5))."""

    parent: int
    ticks: int
    """User and system time."""
    pages: int
    """Resident."""


def parse_stat(text: str) -> Usage:
    """Read /proc/PID/stat; the command's name may hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    return Usage(int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[21]))


def group_of(process: Process, services: Mapping[int, str]) -> tuple[str, str]:
    """The group and the node that a process belongs to; the node is empty for what serves the whole cluster.

    `services`: the sandbox's services, pid to name.
    """
    if process.in_pod:
        return PODS, ""
    if process.pid in services:
        return services[process.pid], ""
    node = _NODE.search(process.command)
    program = process.command.partition(" ")[0].rpartition("/")[2]
    if node and program in ("ovs-vswitchd", "ovsdb-server"):
        return program, node[1]
    if _WATCHES in process.command:
        return MEASUREMENT, ""
    if _RUNTIME in process.command:
        return "runtime", ""
    if process.parent in services and _SERVICE.search(process.command):
        return services[process.parent], ""
    return OTHER, ""


def looker(_settings: Mapping[str, Any]) -> Callable[[], list[tuple[str, str, float, float]]]:
    """Looks at every process of the sandbox: group, node, CPU seconds (of ended ones too), memory in MiB."""
    known: dict[int, tuple[str, str]] = {}
    ticks: dict[int, int] = {}
    totals: dict[tuple[str, str], int] = {}
    own = str(Path("/proc/self/ns/pid").readlink())
    table = services_file(Path("/proc/1/cmdline").read_bytes())

    def look() -> list[tuple[str, str, float, float]]:
        services = _services(table)
        memory = dict.fromkeys(totals, 0.0)
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            try:
                usage = parse_stat(Path(entry.path, "stat").read_text())
                if pid not in known or usage.ticks < ticks[pid]:
                    known[pid] = group_of(_process(pid, usage.parent, own), services)
                    ticks[pid] = 0
            except (OSError, ValueError, IndexError):
                continue  # it has ended meanwhile
            key = known[pid]
            totals[key] = totals.get(key, 0) + usage.ticks - ticks[pid]
            ticks[pid] = usage.ticks
            memory[key] = memory.get(key, 0.0) + usage.pages * _PAGE_MIB
        return [(*key, totals[key] / TICKS, memory[key]) for key in sorted(totals)]

    return look


def _process(pid: int, parent: int, own: str) -> Process:
    folder = Path(f"/proc/{pid}")
    command = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return Process(pid, parent, command, str(folder.joinpath("ns/pid").readlink()) != own)


def services_file(supervisor: bytes) -> Path:
    """Where the sandbox's first process, by its command line, writes which services there are."""
    words = supervisor.decode().split("\0")
    return Path(words[words.index("topologies.supervisor") + 1], "services.json")


def _services(path: Path) -> dict[int, str]:
    """The services' pids; services that were restarted have new ones."""
    try:
        table = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}  # it is being written: the next look reads it
    return {int(entry["pid"]): name for name, entry in table.items() if entry["pid"]} | {1: "supervisor"}
