"""One run of one container: its process, its output, its end."""

import errno
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from agents.runtime import spawn
from agents.runtime.attaching import Attached
from agents.runtime.cgroups import ContainerGroup
from agents.runtime.logs import LineSplitter, LogFile
from agents.runtime.loop import Loop
from agents.runtime.starting import Start
from kubinet.cri import ContainerExit, ContainerPhase, ContainerSpec, ContainerStatus
from kubinet.crilink import ContainerRuntimeError

CANNOT_START: Final = 128
"""Exit code of a container whose program could not be started."""

_READ_SIZE: Final = 64 * 1024


class Stdio:
    """A container's three streams: what the program gets, and what the runtime keeps."""

    def __init__(self, spec: ContainerSpec) -> None:
        self.readers: dict[int, str] = {}
        """The runtime's ends, each with its stream's name in the log."""
        self._kept: tuple[int, ...] = ()
        self._terminal: int | None = None
        self.child: tuple[int, int, int] | None = None
        """None: a terminal, which the program's start makes."""
        if spec.tty:
            return
        out, child_out = os.pipe()
        err, child_err = os.pipe()
        if spec.stdin:
            child_in, kept = os.pipe()
            self._kept = (kept,)
        else:
            child_in = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.child = (child_in, child_out, child_err)
        self._read_from({out: "stdout", err: "stderr"})

    def _read_from(self, readers: dict[int, str]) -> None:
        self.readers = readers
        for fd in readers:
            os.set_blocking(fd, False)

    def take_terminal(self, controlling: int) -> None:
        """The terminal that the program's start has made, now ours to close."""
        self._terminal = controlling
        self._read_from({controlling: "stdout"})

    def close_child_side(self) -> None:
        """The program has its copies."""
        for fd in self.child or ():
            os.close(fd)

    def take_stdin(self, *, once: bool) -> int | None:
        """Our end of the input, or with a terminal its controlling side; None when there is none (any more)."""
        if self._terminal is not None:
            return os.dup(self._terminal)
        if not self._kept:
            return None
        if not once:
            return os.dup(self._kept[0])
        (kept,), self._kept = self._kept, ()
        return kept

    def close(self) -> None:
        """Close the runtime's ends."""
        for fd in (*self.readers, *self._kept):
            os.close(fd)
        self.readers = {}
        self._kept = ()
        self._terminal = None


class Container:
    """Started once by `Runtime`; owns the process's descriptors and log."""

    def __init__(self, spec: ContainerSpec, log_path: Path, loop: Loop, group: ContainerGroup) -> None:
        self.spec = spec
        self.group = group
        self.pidfd = -1
        self.pid = 0
        self.started = False
        """Does its program run, or did it?"""
        self.exit: ContainerExit | None = None
        self._loop = loop
        self._log_path = log_path
        self._log = LogFile(log_path)
        self._started_at = datetime.now(UTC)
        self._stdio: Stdio | None = None
        self._splitters: dict[int, LineSplitter] = {}
        self._start_message = ""
        self._attached: list[Attached] = []
        self._on_exit: list[Callable[[Container], None]] = []

    @property
    def running(self) -> bool:
        """Has its end not been seen yet?"""
        return self.exit is None

    def start(
        self,
        run: Callable[[tuple[int, int, int] | None], spawn.Spawned],
        on_started: Callable[[], None],
        on_exit: Callable[["Container"], None],
    ) -> None:
        """Have `run` start the program with these streams; `on_started` is called when it runs or failed to."""
        self.when_exited(on_exit)
        self._stdio = stdio = Stdio(self.spec)
        try:
            spawned = run(stdio.child)
        except OSError as error:
            stdio.close_child_side()
            self._start_message = str(error)
            self._finish(CANNOT_START)
            on_started()
            return
        stdio.close_child_side()
        self.pid, self.pidfd = spawned.pid, spawned.pidfd

        def failed() -> None:
            self._reap()
            on_started()

        def decided(start: Start) -> None:
            self._start_message = start.error
            if start.terminal is not None:
                stdio.take_terminal(start.terminal)
            for fd in stdio.readers:
                self._splitters[fd] = LineSplitter()
                self._loop.watch(fd, partial(self._read, fd))
            if start.error:
                self.kill()  # it ends by itself, unless only its terminal is missing
                self._loop.watch(self.pidfd, failed)
                return
            self.started = True
            self._loop.watch(self.pidfd, self._reap)
            on_started()

        spawned.start.when_decided(self._loop, decided)

    def attach(self, attached: Attached) -> None:
        """Give it, too, what the container writes from now on."""
        self._attached = [other for other in self._attached if other.open] + [attached]

    def take_stdin(self, *, once: bool) -> int:
        """A descriptor to write the container's input to; with `once` ours, so that closing it ends the input.

        ContainerRuntimeError when the container has no input, or somebody took it.
        """
        assert self._stdio is not None
        found = self._stdio.take_stdin(once=once and not self.spec.tty)
        if found is None:
            raise ContainerRuntimeError(f"container {self.spec.name!r}: its standard input is closed (spec.stdin)")
        return found

    def when_exited(self, callback: Callable[["Container"], None]) -> None:
        """Call back when the process ended and its output is in the log."""
        self._on_exit.append(callback)

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        if not self.running:
            return
        if grace_seconds <= 0:
            self.kill()
            return
        signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        self._loop.after(grace_seconds, self.kill)

    def kill(self) -> None:
        """SIGKILL to the first process; the kernel ends the others of its pid namespace."""
        if self.running and self.pidfd >= 0:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def status(self) -> ContainerStatus:
        """What clients see of it."""
        return ContainerStatus(
            pod_uid=self.spec.pod_uid,
            name=self.spec.name,
            attempt=self.spec.attempt,
            phase=ContainerPhase.EXITED if self.exit else ContainerPhase.RUNNING,
            pid=self.pid,
            started_at=self._started_at,
            log_path=self._log_path,
            exit_code=self.exit.exit_code if self.exit else None,
            finished_at=self.exit.finished_at if self.exit else None,
            reason=self.exit.reason if self.exit else "",
            message=self.exit.message if self.exit else "",
            unenforced=self.group.unenforced,
            log_bytes_lost=self._log.lost,
        )

    def _read(self, fd: int) -> bool:
        """Take what is there, at most one buffer; False when there is nothing more."""
        assert self._stdio is not None
        try:
            data = os.read(fd, _READ_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal whose last user has gone
                raise
            data = b""
        if not data:
            self._loop.forget(fd)
            return False
        stream = self._stdio.readers[fd]
        for attached in self._attached:
            attached.write(stream, data)
        self._log.write(time.time_ns(), stream, self._splitters[fd].feed(data))
        return True

    def _reap(self) -> None:
        _, wait_status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(wait_status)
        self._finish(CANNOT_START if self._start_message else code if code >= 0 else 128 - code)

    def _finish(self, exit_code: int) -> None:
        assert self._stdio is not None
        for fd, splitter in self._splitters.items():
            while self._read(fd):
                pass
            self._log.write(time.time_ns(), self._stdio.readers[fd], splitter.finish())
            self._loop.forget(fd)
        self._stdio.close()
        for attached in self._attached:
            attached.finish()
        self._log.close()
        if self.pidfd >= 0:
            self._loop.forget(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1
        self.exit = ContainerExit(
            self.spec.pod_uid,
            self.spec.name,
            self.spec.attempt,
            exit_code,
            datetime.now(UTC),
            self._reason(exit_code),
            self._start_message,
        )
        self.group.remove()
        for callback in self._on_exit:
            callback(self)

    def _reason(self, exit_code: int) -> str:
        if self._start_message:
            return "StartError"
        if exit_code == 0:
            return "Completed"
        return "OOMKilled" if exit_code == 128 + signal.SIGKILL and self.group.oom_killed() else "Error"
