"""One exec: a process in a container, its pipes or terminal, and the client's channels, whatever carries them."""

import asyncio
import contextlib
import fcntl
import json
import os
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from controller.api.status import Object, StatusError, bad_request, internal
from kubinet.errors import KubinetError

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
ERROR: Final = 3
RESIZE: Final = 4

_BLOCK: Final = 32 * 1024
_DRAIN_SECONDS: Final = 0.5
"""After the process's end its output is read to the end; a background child that keeps it open is not waited for."""


class Process(Protocol):
    """A process that the runtime started (`kubinet.cri.ExecProcess`)."""

    terminal: int | None
    """The controlling side of its terminal, for us to close."""

    def fileno(self) -> int:
        """Readable when the process ended."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status."""

    def close(self) -> None:
        """Let go; what still runs is killed."""


class Attached(Process, Protocol):
    """A running container's streams (`kubinet.cri.Attachment`)."""

    stdin: int | None


class Runtime(Protocol):
    """What starts processes in containers (`kubinet.cri.RuntimeClient`)."""

    def network_namespace(self, pod_uid: str) -> Path:
        """The pod's network namespace."""

    def attach(
        self,
        pod_uid: str,
        container: str,
        *,
        stdout: int | None = None,
        stderr: int | None = None,
        stdin: bool = False,
        once: bool = False,
    ) -> Attached:
        """The streams of a container that runs."""

    def exec(
        self,
        pod_uid: str,
        container: str,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
    ) -> Process:
        """Start a process with these descriptors, or on a terminal of its own."""


class Channels(Protocol):
    """The client's side of an exec."""

    async def send(self, channel: int, data: bytes) -> None:
        """Bytes to the client."""

    def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        """Bytes from the client as (channel, data); None: the client closed the channel. Ends when the client left."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and which streams the client wants."""

    pod_uid: str
    container: str
    argv: tuple[str, ...]
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False
    once: bool = False
    """The container's input ends with this session (`stdinOnce`); for attaching only."""

    def check(self) -> None:
        """400 for what cannot be done."""
        if not (self.stdin or self.stdout or self.stderr):
            raise bad_request("you must specify at least one of stdin, stdout, stderr")
        if self.tty and self.stderr:
            raise bad_request("tty and stderr cannot both be true")


class Session:
    """A running process and our ends of its streams."""

    def __init__(self, process: Process, ours: dict[int, int], *, tty: bool) -> None:
        self._process = process
        self._ours = ours
        """STDIN -> descriptor to write to, STDOUT and STDERR -> to read from, RESIZE -> the terminal."""
        self._tty = tty
        self._progress = 0

    @classmethod
    async def start(cls, runtime: Runtime, command: Command) -> "Session":
        """Start the process; KubinetError from the runtime when it cannot."""
        theirs: dict[str, int] = {}
        ours: dict[int, int] = {}
        if not command.tty:
            if command.stdin:
                theirs["stdin"], ours[STDIN] = os.pipe()
            if command.stdout:
                ours[STDOUT], theirs["stdout"] = os.pipe()
            if command.stderr:
                ours[STDERR], theirs["stderr"] = os.pipe()
        try:
            process = await asyncio.to_thread(
                runtime.exec, command.pod_uid, command.container, command.argv, **theirs, tty=command.tty
            )
        except BaseException:
            for fd in ours.values():
                os.close(fd)
            raise
        finally:
            for fd in theirs.values():
                os.close(fd)
        if process.terminal is not None:
            ours = {STDOUT: process.terminal, STDIN: os.dup(process.terminal), RESIZE: os.dup(process.terminal)}
        return cls(process, ours, tty=command.tty)

    @classmethod
    async def attach(cls, runtime: Runtime, command: Command) -> "Session":
        """The streams of the container itself; KubinetError from the runtime when it does not run."""
        theirs: dict[str, int] = {}
        ours: dict[int, int] = {}
        if command.stdout:
            ours[STDOUT], theirs["stdout"] = os.pipe()
        if command.stderr:
            ours[STDERR], theirs["stderr"] = os.pipe()
        try:
            attached = await asyncio.to_thread(
                runtime.attach,
                command.pod_uid,
                command.container,
                **theirs,
                stdin=command.stdin,
                once=command.once,
            )
        except BaseException:
            for fd in ours.values():
                os.close(fd)
            raise
        finally:
            for fd in theirs.values():
                os.close(fd)
        if attached.stdin is not None:
            ours[STDIN] = attached.stdin
        if attached.terminal is not None:
            ours[RESIZE] = attached.terminal
            if command.stdin:
                ours[STDIN] = os.dup(attached.terminal)
        return cls(attached, ours, tty=attached.terminal is not None)

    async def run(self, channels: Channels) -> int | None:
        """Copy until the process ended; its exit status, or None when the client left first (the process is killed)."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def exited() -> None:
            loop.remove_reader(self._process.fileno())
            ended.set_result(None)

        loop.add_reader(self._process.fileno(), exited)
        outputs = [asyncio.create_task(self._output(channels, n)) for n in (STDOUT, STDERR) if n in self._ours]
        client = asyncio.create_task(self._input(channels))
        try:
            await asyncio.wait((ended, client), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                return None
            await self._drain(outputs)
            return self._process.wait(timeout=1.0)
        finally:
            loop.remove_reader(self._process.fileno())
            for task in (*outputs, client):
                task.cancel()
            await asyncio.gather(*outputs, client, return_exceptions=True)
            self._process.close()
            for fd in self._ours.values():
                os.close(fd)

    async def _drain(self, outputs: list["asyncio.Task[None]"]) -> None:
        pending = set(outputs)
        while pending:
            before = self._progress
            _, pending = await asyncio.wait(pending, timeout=_DRAIN_SECONDS)
            if self._progress == before:
                return

    async def _output(self, channels: Channels, channel: int) -> None:
        fd = self._ours[channel]
        os.set_blocking(fd, False)
        while True:
            await _ready(fd, write=False)
            try:
                data = os.read(fd, _BLOCK)
            except BlockingIOError:
                continue
            except OSError:
                return  # a terminal whose last process closed it
            if not data:
                return
            await channels.send(channel, data)
            self._progress += len(data)

    async def _input(self, channels: Channels) -> None:
        async for channel, data in channels.received():
            if channel == RESIZE and self._tty and data:
                self._resize(data)
            elif channel == STDIN and STDIN in self._ours:
                if data is None:
                    await self._end_input()
                else:
                    await self._write(data)

    async def _write(self, data: bytes) -> None:
        fd = self._ours.get(STDIN)
        if fd is None:
            return
        os.set_blocking(fd, False)
        view = memoryview(data)
        while view:
            await _ready(fd, write=True)
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                continue
            except OSError:
                return  # the process reads no more; the client's rest is dropped

    async def _end_input(self) -> None:
        if self._tty:
            await self._write(b"\x04")
        elif STDIN in self._ours:
            os.close(self._ours.pop(STDIN))

    def _resize(self, data: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, struct.error, OSError):
            size = json.loads(data)
            window = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
            fcntl.ioctl(self._ours[RESIZE], termios.TIOCSWINSZ, window)


async def _ready(fd: int, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(None)

    if write:
        loop.add_writer(fd, ready)
    else:
        loop.add_reader(fd, ready)
    try:
        await future
    finally:
        if write:
            loop.remove_writer(fd)
        else:
            loop.remove_reader(fd)


def exit_status(code: int) -> Object:
    """The `Status` that ends an exec."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def start_failure(error: KubinetError) -> StatusError:
    """What a client is told when the runtime refuses."""
    return internal(f"error executing command in container: {error}")
