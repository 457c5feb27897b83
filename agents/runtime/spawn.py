"""Starts processes in namespaces: a container's first one, and those of exec.

The runtime forks with its own pid namespace for children changed for a moment (unshare or setns, then back), so that
every process is its direct child and the first one of a container is pid 1. A pipe that closes on exec tells that
the program runs, or carries the reason why not.
"""

import errno
import fcntl
import gc
import json
import os
import signal
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agents.runtime import cgroups, rootfs
from kubinet import syscalls


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and as what."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdio: tuple[int, int, int]
    tty: bool
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
    start_fd: int
    """Readable when the start is decided: at its end the program runs, else it holds the reason (`start_error`)."""


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


def start_error(start_fd: int) -> str:
    """Why a process did not start, empty when its program runs; call when `start_fd` is readable, closes it."""
    with os.fdopen(start_fd, "rb") as pipe:
        text = pipe.read().strip()
    return str(json.loads(text)) if text else ""


def _spawn(
    program: Program, change_pid_namespace: Callable[[], None], enter: Callable[[], None], own_pid_namespace: int
) -> Spawned:
    start_fd, error_fd = os.pipe()
    try:
        change_pid_namespace()
        try:
            pid = os.fork()
            if pid == 0:
                _become(program, enter, error_fd)
        finally:
            syscalls.setns(own_pid_namespace, syscalls.CLONE_NEWPID)
    except OSError:
        os.close(start_fd)
        raise
    finally:
        os.close(error_fd)
    return Spawned(pid, os.pidfd_open(pid), start_fd)


def _become(program: Program, enter: Callable[[], None], error_fd: int) -> NoReturn:
    """The child: never returns, whatever happens."""
    try:
        gc.disable()
        syscalls.die_with_parent(signal.SIGKILL)
        os.write(error_fd, b" ")  # a parent that died before the line above has closed the pipe: SIGPIPE's error
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by the interpreter, and exec would keep it so
            signal.signal(ignored, signal.SIG_DFL)
        os.setsid()
        for target, fd in enumerate(program.stdio):
            os.dup2(fd, target)
        if program.tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.umask(0o022)
        enter()
        os.chdir(program.cwd)
        if program.call_filter:
            syscalls.filter_calls(program.call_filter)
        for number in program.dropped_capabilities:
            syscalls.drop_capability(number)
        _exec(program)
    except BaseException as error:  # the pipe is the child's only way to speak
        os.write(error_fd, json.dumps(str(error) or repr(error)).encode())
    finally:
        os._exit(128)


def _exec(program: Program) -> NoReturn:
    name = program.argv[0]
    try:
        os.execvpe(name, program.argv, program.env)  # noqa: S606 - no shell on purpose
    except OSError as error:
        if error.errno == errno.ENOENT and "/" not in name:
            raise OSError(f'exec: "{name}": executable file not found in $PATH') from error
        raise OSError(f'exec: "{name}": {error.strerror}') from error
