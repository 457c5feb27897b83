"""How a process's start ended: what it says on a socket that closes on exec, before its program runs."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from agents.runtime.loop import Loop
from kubinet.syscalls import receive_fds


@dataclass(frozen=True, slots=True)
class Start:
    """How a start ended."""

    error: str
    """Why the process did not start; empty when its program runs."""
    terminal: int | None
    """The controlling side of its terminal, for the caller to close; None without one."""


class StartChannel:
    """The runtime's end of the socket.

    It is read without blocking: the process may be in a container already, where others can stop it and a limit of
    processor time holds it up.
    """

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._text = b""
        self._terminal: int | None = None

    def when_decided(self, loop: Loop, callback: Callable[[Start], None]) -> None:
        """Call back once, when the program runs or cannot; a start with an error may still have to be killed."""

        def readable() -> None:
            start = self._read()
            if start is not None:
                loop.forget(self._channel.fileno())
                self._channel.close()
                callback(start)

        loop.watch(self._channel.fileno(), readable)

    def _read(self) -> Start | None:
        """Take what is there; None before the end."""
        try:
            data, fds = receive_fds(self._channel, 4096, 1)
        except BlockingIOError:
            return None
        except OSError as error:
            return self._failed(f"its terminal did not arrive: {error.strerror}")
        if fds:
            self._terminal = fds[0]
        self._text += data
        if data:
            return None
        return self._failed(json.loads(self._text)) if self._text.strip() else Start("", self._terminal)

    def _failed(self, reason: str) -> Start:
        if self._terminal is not None:
            os.close(self._terminal)
        return Start(reason, None)
