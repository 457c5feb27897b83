"""The sandbox: throw-away namespaces (user when not root, mount, pid, net) in which a whole cluster lives.

`launch` starts a program as the first process (pid 1) of a new sandbox; when that process ends, however it ends, the
kernel ends every process in the sandbox and with them go the namespaces, interfaces and mounts. `inside` makes command
lines that join a running sandbox. Both work for root and for an ordinary user (user_namespaces(7), pid_namespaces(7)).
"""

import fcntl
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from kubinet import syscalls
from kubinet.errors import MissingCapabilityError

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


@dataclass(frozen=True, slots=True)
class FirstProcess:
    """The sandbox's pid 1 as the host sees it; `started` tells it from a later owner of the pid."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return process_start_time(self.pid) == self.started


def process_start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (proc_pid_stat(5)); None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def launch(
    argv: Sequence[str], *, log: Path, keep_fds: Sequence[int] = (), environment: Mapping[str, str] | None = None
) -> FirstProcess:
    """Start `argv` as the first process of a new sandbox; its output goes to `log`.

    Raises MissingCapabilityError when the kernel refuses the namespaces.
    """
    report_read, report_write = os.pipe()
    middle = os.fork()
    if middle == 0:
        _child(lambda: _enter_and_fork(argv, log, keep_fds, report_write, environment), report_write)
    os.close(report_write)
    with os.fdopen(report_read, "rb") as pipe:
        # Ends when the new program runs: exec closes the last copy of the pipe's other end.
        lines = [json.loads(line) for line in pipe]
    os.waitpid(middle, 0)
    errors = [str(line["error"]) for line in lines if "error" in line]
    if errors or not lines:
        raise MissingCapabilityError(
            f"the sandbox's namespaces cannot be made: {' '.join(errors) or 'the process that makes them died'}; "
            "`kubinet doctor` says what this machine allows (an ordinary user needs user namespaces)"
        )
    pid = int(lines[0]["pid"])
    return FirstProcess(pid, process_start_time(pid) or 0)


def _child(action: Callable[[], None], report: int) -> NoReturn:
    """Run in a forked child: never return into the caller's code."""
    try:
        action()
        os._exit(0)
    except BaseException as error:
        os.write(report, json.dumps({"error": str(error)}).encode() + b"\n")
        os._exit(1)


def _enter_and_fork(
    argv: Sequence[str],
    log: Path,
    keep_fds: Sequence[int],
    report: int,
    environment: Mapping[str, str] | None,
) -> None:
    os.setsid()
    syscalls.enter_user_namespace(
        syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS
    )
    first = os.fork()
    if first == 0:
        _child(lambda: _become_first(argv, log, keep_fds, report, environment), report)
    os.write(report, json.dumps({"pid": first}).encode() + b"\n")


def _become_first(
    argv: Sequence[str],
    log: Path,
    keep_fds: Sequence[int],
    report: int,
    environment: Mapping[str, str] | None,
) -> None:
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if fd > 2 and fd != report and fd not in keep_fds:
            _close_quietly(fd)
    for fd in keep_fds:
        os.set_inheritable(fd, True)
    os.chdir("/")
    os.execvpe(argv[0], list(argv), dict(environment if environment is not None else os.environ))  # noqa: S606


def _close_quietly(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return  # the listing's own descriptor is gone already


def bind(source: Path, target: Path) -> None:
    """Show a file or folder at another place too, in this mount namespace."""
    syscalls.mount(source, target, flags=syscalls.MS_BIND)


def furnish() -> None:
    """As a sandbox's first process: mount a private /run and a /sys of this network namespace; keep the cgroup tree."""
    syscalls.mount("tmpfs", "/run", "tmpfs", options="mode=0755")
    cgroup = Path("/run/cgroup")
    cgroup.mkdir()
    syscalls.mount("/sys/fs/cgroup", cgroup, flags=syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount("sysfs", "/sys", "sysfs")
    syscalls.mount(cgroup, "/sys/fs/cgroup", flags=syscalls.MS_MOVE)
    cgroup.rmdir()


def inside(pid: int, argv: Sequence[str], *, namespaces_of: int | None = None) -> list[str]:
    """A command line that runs `argv` in the sandbox of the first process `pid` (host's numbering).

    `namespaces_of`: a process (sandbox's numbering) whose network namespace is joined then, such as a node's.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    command = ["nsenter", f"--target={pid}", *user, "--mount", "--pid", "--net", "--uts", "--"]
    if namespaces_of is not None:
        command += ["nsenter", f"--net=/proc/{namespaces_of}/ns/net", "--"]
    return [*command, *_finding_all_programs(), *argv]


def search_path() -> str:
    """PATH inside a sandbox: the caller's, and the folders of programs for administrators.

    Debian's ordinary users do not have those in their own, but a sandbox's root needs them.
    """
    path = os.environ.get("PATH", os.defpath).split(":")
    return ":".join([*path, *(folder for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin") if folder not in path)])


def _finding_all_programs() -> list[str]:
    path = search_path()
    return ["env", f"PATH={path}"] if path != os.environ.get("PATH", os.defpath) else []


def raise_loopback() -> None:
    """Set this network namespace's `lo` up (netdevice(7): SIOCGIFFLAGS, SIOCSIFFLAGS)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        _, flags = struct.unpack("16sh14x", request)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
