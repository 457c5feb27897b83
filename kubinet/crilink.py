"""One connection to the container runtime (a request line, its answer, the lines after it) and what can go wrong."""

import array
import errno
import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from kubinet.errors import DeadlineError, KubinetError
from kubinet.syscalls import receive_fds


class ContainerRuntimeError(KubinetError):
    """The runtime refused a request; names the pod or container and why."""


class RuntimeUnavailableError(ContainerRuntimeError):
    """The runtime does not answer: not started yet, or just restarted; then its containers are gone: list again."""


class ContainerNotFoundError(ContainerRuntimeError):
    """No such sandbox, or no such running container in it."""


class ExecStartError(ContainerRuntimeError):
    """The program of an exec could not be started (not found in the container, not executable)."""


class Connection:
    """One request, its answer, and the lines after it."""

    def __init__(
        self, path: Path, timeout: float, request: object, fds: Sequence[int], *, awaited: bool = True
    ) -> None:
        self._path = path
        self._buffer = bytearray()
        self.fds: list[int] = []
        """Descriptors that came with the lines so far."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(timeout)
        try:
            self._send(json.dumps(request).encode() + b"\n", fds)
            self.answer: Any = self.read_answer() if awaited else None
        except BaseException:
            self.socket.close()
            raise

    def _send(self, message: bytes, fds: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.connect(str(self._path))
            sent = self.socket.sendmsg([message], rights)
            if sent < len(message):  # the runtime may have refused already, and closed
                self.socket.sendall(message[sent:])
        except OSError as error:
            raise RuntimeUnavailableError(
                f"container runtime: {self._path}: {error}; is the cluster up, and its runtime service running?"
            ) from error

    def read_answer(self) -> Any:
        """The answer to the request, or the error that it is."""
        line = self.read()
        if line is None:
            raise RuntimeUnavailableError(f"container runtime: {self._path} closed the connection without an answer")
        if "error" in line:
            raise _ERRORS[line["error"]](line["message"])
        return line["ok"]

    def read(self) -> Any:
        """The next line; None at the end of the stream.

        What comes after the line stays in the socket: whoever waits for the socket to be readable must see a second
        line that arrived together with the first (the answer and the end of a short exec).
        """
        while True:
            try:
                seen = self.socket.recv(65536, socket.MSG_PEEK)
                size = seen.find(b"\n") + 1 or len(seen)
                received, fds = receive_fds(self.socket, size, 1)
                self.fds += fds
            except TimeoutError:
                raise DeadlineError(f"container runtime: {self._path} gave no answer in time") from None
            except ConnectionError:
                return None
            except OSError as error:
                if error.errno != errno.EMFILE:  # as BlockingIOError, for whoever polls
                    raise
                raise ContainerRuntimeError(f"container runtime: {self._path}: {error.strerror}") from None
            if not received:
                return None
            self._buffer += received
            if received.endswith(b"\n"):
                line = bytes(self._buffer)
                self._buffer.clear()
                return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


_ERRORS: Mapping[str, type[ContainerRuntimeError]] = {
    kind.__name__: kind for kind in (ContainerRuntimeError, ContainerNotFoundError, ExecStartError)
}
