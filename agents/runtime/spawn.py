"""Starts processes in namespaces: a container's first one, and those of exec.

The runtime forks with its own pid namespace for children changed for a moment (unshare or setns, then back), so that
every process is its direct child and the first one of a container is pid 1. A socket that closes on exec tells that
the program runs, or carries the reason why not (see `starting`). A terminal is opened by the child when it has entered
the container, so that it is of the container's own devpts, and its controlling side comes back through the same socket.
"""

import errno
import fcntl
import gc
import json
import os
import signal
import socket
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agents.runtime import cgroups, rootfs
from agents.runtime.starting import StartChannel
from kubinet import syscalls


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and as what."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdio: tuple[int, int, int] | None
    """None: a new terminal of the container's (`starting.Start.terminal`)."""
    dropped_capabilities: tuple[int, ...]
    cgroup_files: tuple[Path, ...]
    call_filter: bytes
    """What to answer to calls that change users (see `oneuser`), or empty."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a container's first process lives."""

    netns: int
    hostname: str
    view: rootfs.MachineView
    scratch: str
    files: Mapping[str, str]
    links: Mapping[str, str]
    binds: tuple[rootfs.Bind, ...]


@dataclass(frozen=True, slots=True)
class Spawned:
    """A child of the runtime."""

    pid: int
    pidfd: int
    start: StartChannel


def start_container(program: Program, home: Home, own_pid_namespace: int) -> Spawned:
    """Start `program` as pid 1 of new pid, mount and UTS namespaces in the pod's network namespace."""

    def enter() -> None:
        cgroups.join(program.cgroup_files)
        syscalls.setns(home.netns, syscalls.CLONE_NEWNET)
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
        syscalls.set_hostname(home.hostname)
        rootfs.enter(home.view, home.scratch, home.files, home.links, home.binds)
        Path(program.cwd).mkdir(parents=True, exist_ok=True)

    return _spawn(program, lambda: syscalls.unshare(syscalls.CLONE_NEWPID), enter, own_pid_namespace)


def start_exec(program: Program, container_pidfd: int, own_pid_namespace: int) -> Spawned:
    """Start `program` beside a container's first process, in all its namespaces."""

    def enter() -> None:
        cgroups.join(program.cgroup_files)
        syscalls.setns(container_pidfd, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWNET)

    return _spawn(program, lambda: syscalls.setns(container_pidfd, syscalls.CLONE_NEWPID), enter, own_pid_namespace)


def _spawn(
    program: Program, change_pid_namespace: Callable[[], None], enter: Callable[[], None], own_pid_namespace: int
) -> Spawned:
    start, child_side = socket.socketpair()
    try:
        change_pid_namespace()
        try:
            pid = os.fork()
            if pid == 0:
                become(program, enter, child_side, start)
        finally:
            syscalls.setns(own_pid_namespace, syscalls.CLONE_NEWPID)
    except OSError:
        start.close()
        raise
    finally:
        child_side.close()
    return Spawned(pid, os.pidfd_open(pid), StartChannel(start))


def become(program: Program, enter: Callable[[], None], parent: socket.socket, parents_side: socket.socket) -> NoReturn:
    """The child: never returns, whatever happens. `parents_side`: its copy of the other end of `parent`."""
    try:
        gc.disable()
        parents_side.close()
        syscalls.die_with_parent(signal.SIGKILL)
        if _has_ended(parent):  # before the line above, which has no effect then
            os._exit(128)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by the interpreter, and exec would keep it so
            signal.signal(ignored, signal.SIG_DFL)
        os.setsid()
        os.umask(0o022)
        enter()
        for target, fd in enumerate(program.stdio or _open_terminal(parent)):
            os.dup2(fd, target)
        if program.stdio is None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(program.cwd)
        if program.call_filter:
            syscalls.filter_calls(program.call_filter)
        for number in program.dropped_capabilities:
            syscalls.drop_capability(number)
        _exec(program)
    except BaseException as error:  # the socket is the child's only way to speak
        parent.sendall(json.dumps(str(error) or repr(error)).encode())
    finally:
        os._exit(128)


def _has_ended(parent: socket.socket) -> bool:
    """Is its end closed? getppid(2) cannot tell: the parent is in another pid namespace, so that it is always 0."""
    try:
        return not parent.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def _open_terminal(parent: socket.socket) -> tuple[int, int, int]:
    """A terminal of the devpts that is mounted here; its controlling side is the parent's."""
    controlling, terminal = os.openpty()
    socket.send_fds(parent, [b" "], [controlling])
    return terminal, terminal, terminal


def _exec(program: Program) -> NoReturn:
    name = program.argv[0]
    try:
        os.execvpe(name, program.argv, program.env)  # noqa: S606 - no shell on purpose
    except OSError as error:
        if error.errno == errno.ENOENT and "/" not in name:
            raise OSError(f'exec: "{name}": executable file not found in $PATH') from error
        raise OSError(f'exec: "{name}": {error.strerror}') from error
