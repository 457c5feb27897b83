"""New connections as fast as they are answered, some at a time: how long the handshake and one exchange take.

TCP connections end by a reset, so that no port rests; a UDP "connection" is one exchange from a port of its own.
"""

import errno
import select
import socket
import struct
import time
from itertools import cycle
from typing import Any

from experiments.programs.frame import end_with_input, say

_REQUEST = struct.Struct("!QQQ")
_ANSWER = struct.Struct("!QQ")
_RESET = struct.pack("ii", 1, 0)
_REST_SECONDS = 0.01


class Attempt:
    """One connection in the making."""

    def __init__(self, target: tuple[str, int], tcp: bool) -> None:
        self.began = time.monotonic()
        self.connected = 0.0
        self.got = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        if tcp:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        code = self.socket.connect_ex(target)
        if code not in (0, errno.EINPROGRESS):
            self.socket.close()
            raise OSError(code, errno.errorcode.get(code, ""))

    def write(self) -> None:
        """It is connected: ask."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "")
        self.connected = time.monotonic()
        self.socket.send(_REQUEST.pack(0, 0, 0))

    def read(self) -> bool:
        """Whether the answer is complete."""
        data = self.socket.recv(4096)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "")
        self.got += len(data)
        return self.got >= _ANSWER.size


class Client:
    """Keeps `parallel` attempts going."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._open: dict[int, Attempt] = {}
        self._poll = select.epoll()
        self._rows: list[tuple[float, float, float, str]] = []
        self._rests_until = 0.0

    def run(self) -> dict[str, Any]:
        """Work for the given time."""
        tcp = self._settings["protocol"] == "tcp"
        targets = cycle([(address, port) for address, port in self._settings["targets"]])
        began, started, timeout = time.monotonic(), time.time(), self._settings["timeout"]
        end = began + self._settings["seconds"]
        while (now := time.monotonic()) < end or self._open:
            while now < end and len(self._open) < self._settings["parallel"] and now >= self._rests_until:
                self._start(next(targets), tcp)
                now = time.monotonic()
            rest = max(0.0, self._rests_until - now) or timeout
            for number, _ in self._poll.poll(min(rest, max(0.001, end - now), timeout / 4)):
                self._go_on(self._open[number])
            late = time.monotonic() - timeout
            for one in [one for one in self._open.values() if one.began < late]:
                self._end(one, "timeout")
        rows = [
            [round(at - began, 6), round(connected * 1e3, 4), round(took * 1e3, 4), failure]
            for at, connected, took, failure in self._rows
        ]
        return {"started": started, "seconds": end - began, "connections": rows}

    def _start(self, target: tuple[str, int], tcp: bool) -> None:
        began = time.monotonic()
        try:
            one = Attempt(target, tcp)
        except OSError as error:
            self._failed(began, error)
            return
        self._open[one.socket.fileno()] = one
        self._poll.register(one.socket, select.EPOLLOUT)

    def _go_on(self, one: Attempt) -> None:
        try:
            if not one.connected:
                one.write()
                self._poll.modify(one.socket, select.EPOLLIN)
            elif one.read():
                self._end(one, "")
        except BlockingIOError:
            return
        except OSError as error:
            self._end(one, errno.errorcode.get(error.errno or 0, "unknown"))

    def _failed(self, began: float, error: OSError) -> None:
        self._rests_until = time.monotonic() + _REST_SECONDS
        self._rows.append((began, 0.0, 0.0, errno.errorcode.get(error.errno or 0, "unknown")))

    def _end(self, one: Attempt, failure: str) -> None:
        now = time.monotonic()
        del self._open[one.socket.fileno()]
        one.socket.close()
        if failure:
            self._rests_until = now + _REST_SECONDS
        self._rows.append((one.began, max(0.0, one.connected - one.began), now - one.began, failure))


def main(settings: dict[str, Any]) -> None:
    """Connect for `seconds`; says what was found."""
    end_with_input()
    say(Client(settings).run())
