"""What one cluster has on this machine, found by what it is and not by comparing the whole machine.

Others may run clusters of their own at the same time: their processes, mounts and links are none of a test's business.
"""

import json
import os
import re
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kubinet.cluster import Cluster
from kubinet.sandbox import process_start_time

_NAMESPACES = ("mnt", "net", "pid", "uts", "user")
_NAMESPACE_LINK = re.compile(r"(?:mnt|net|pid|uts|user):\[\d+\]")


@dataclass(frozen=True)
class Traces:
    """What a running cluster has: all of this is to be gone after its end."""

    processes: frozenset[tuple[int, int]]
    """(pid, start time) on the host of every process in the sandbox."""
    namespaces: frozenset[str]
    """`net:[4026532000]` …, without those that the host shares."""
    links: frozenset[str]
    """Names of interfaces in any of its network namespaces that the host had not before."""
    run_files: frozenset[str]
    """Names under the sandbox's /run that the host had not before."""
    state_dir: Path

    @classmethod
    def of(cls, cluster: Cluster, before: "Host") -> Self:
        """The traces of a running cluster on a host that was `before` without it."""
        first = cluster.info.pid
        own = _namespace(first, "pid")
        members = [pid for pid in _pids() if _namespace(pid, "pid") == own]
        namespaces = {_namespace(pid, kind) for pid in members for kind in _NAMESPACES}
        namespaces -= {None, *(_namespace(os.getpid(), kind) for kind in _NAMESPACES)}
        places = {_namespace(pid, "net"): pid for pid in members}
        links = {name for pid in places.values() for name in _links(pid)}
        return cls(
            frozenset((pid, started) for pid in members if (started := process_start_time(pid)) is not None),
            frozenset(filter(None, namespaces)),
            frozenset(links) - before.links,
            frozenset(cluster.run(["ls", "/run"]).text.split()) - before.run_files,
            cluster.info.state_dir,
        )

    def left(self) -> list[str]:
        """What of it is still on this machine, in words."""
        host = Host.now()
        found = [f"process {pid}" for pid, started in sorted(self.processes) if process_start_time(pid) == started]
        found += [f"process {pid} uses {self.state_dir}" for pid in _pids() if str(self.state_dir) in _arguments(pid)]
        found += [f"link {name}" for name in sorted(self.links & host.links)]
        found += [f"/run/{name}" for name in sorted(self.run_files & host.run_files)]
        for mount in host.mounts:
            if str(self.state_dir) in mount or set(_NAMESPACE_LINK.findall(mount)) & self.namespaces:
                found.append(f"mount {mount}")
        return found


@dataclass(frozen=True)
class Host:
    """What the host itself shows, outside every sandbox."""

    links: frozenset[str]
    run_files: frozenset[str]
    mounts: tuple[str, ...]

    @classmethod
    def now(cls) -> Self:
        """As it is."""
        listed = subprocess.run(["ip", "-json", "link"], capture_output=True, check=True, text=True).stdout
        return cls(
            frozenset(link["ifname"] for link in json.loads(listed)),
            frozenset(path.name for path in Path("/run").iterdir()),
            tuple(Path("/proc/self/mountinfo").read_text().splitlines()),
        )


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _namespace(pid: int, kind: str) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return None  # it ended, or is another user's


def _links(pid: int) -> list[str]:
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return []  # it ended
    return [line.partition(":")[0].strip() for line in lines]


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill_inside(cluster: Cluster, pid: int) -> None:
    """SIGKILL a process by its pid in the sandbox, and return when it is gone."""
    own = _namespace(cluster.info.pid, "pid")
    for outer in _pids():
        status = Path(f"/proc/{outer}/status")
        if _namespace(outer, "pid") == own and f"\nNSpid:\t{outer}\t{pid}\n" in status.read_text():
            handle = os.pidfd_open(outer)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            assert select.select([handle], [], [], 10)[0]
            os.close(handle)
            return
    raise AssertionError(f"no process {pid} in cluster {cluster.name}")
