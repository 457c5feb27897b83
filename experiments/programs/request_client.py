"""Requests over some connections, each the next as soon as the last was answered, or at times of a rate.

Says when each request began, how long it took and whether it failed.
"""

import errno
import random
import select
import socket
import struct
import time
from collections import deque
from typing import Any

from experiments.programs.frame import end_with_input, say

_REQUEST = struct.Struct("!QQQ")
_ANSWER = struct.Struct("!QQ")
_REST_SECONDS = 0.01
"""A connection that failed is left alone for so long: refusals come faster than anyone wants to count them."""


class Line:
    """One connection (or UDP socket) and the request that it waits for."""

    def __init__(self, address: tuple[str, int], settings: dict[str, Any], *, wait: bool) -> None:
        self._settings = settings
        self._address = address
        self.number = 0
        self.due = 0.0
        self.busy = False
        self.rests_until = 0.0
        self.connected = False
        """Before the first request: its handshake is not part of any request's time."""
        self._open(settings["timeout"] if wait else 0)

    def _open(self, timeout: float) -> None:
        kind = socket.SOCK_STREAM if self._settings["protocol"] == "tcp" else socket.SOCK_DGRAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.settimeout(timeout)
        if kind == socket.SOCK_STREAM:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected = self.socket.connect_ex(self._address) == 0
        self.socket.setblocking(False)
        self._got = bytearray()
        self._out = memoryview(b"")

    def ask(self, number: int, due: float) -> bool:
        """Begin a request; whether some of it is left to be sent."""
        size, wanted = self._settings["request"], self._settings["response"]
        self.number, self.due, self.busy = number, due, True
        self._out = memoryview(_REQUEST.pack(number, size, wanted) + bytes(size))
        self._got.clear()
        return self.send()

    def send(self) -> bool:
        """Go on sending; whether some is left."""
        while self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return True
            self._out = self._out[sent:]
        return False

    def read(self) -> bool:
        """Whether the answer is complete."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        if self._settings["protocol"] == "udp":
            return len(data) >= _ANSWER.size and bool(_ANSWER.unpack_from(data)[0] == self.number)
        self._got += data
        wanted: int = _ANSWER.size + self._settings["response"]
        return len(self._got) >= wanted

    def again(self) -> None:
        """A new connection after a failure; the next request waits for it."""
        self.socket.close()
        self._open(0)
        self.rests_until = time.monotonic() + _REST_SECONDS


class Client:
    """Keeps the connections busy."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        address = (settings["address"], settings["port"])
        self._lines: list[Line] = []
        for _ in range(settings["connections"]):
            # Where the first cannot connect, the others are not waited for either.
            wait = all(line.connected for line in self._lines)
            self._lines.append(Line(address, settings, wait=wait))
        self._poll = select.epoll()
        for line in self._lines:
            self._poll.register(line.socket, 0)
        self._by_number = {line.socket.fileno(): line for line in self._lines}
        self._free = deque(self._lines)  # in turn: each connection may have been sent elsewhere by a Service
        self._resting: list[Line] = []
        self._asked = 0
        self._rows: list[tuple[float, float, str]] = []

    def run(self) -> dict[str, Any]:
        """Work for the given time; then what was found."""
        generator = random.Random(self._settings["seed"])  # noqa: S311 - a design, not a secret
        rate, seconds = self._settings["rate"], self._settings["seconds"]
        began, started = time.monotonic(), time.time()
        end = began + seconds
        waiting: deque[float] = deque()
        due = began
        while (now := time.monotonic()) < end or any(line.busy for line in self._lines):
            self._wake(now)
            while rate and due <= now and due < end:
                waiting.append(due)
                due += generator.expovariate(rate)
            while self._free and now < end and (waiting or not rate):
                self._ask(self._free.popleft(), waiting.popleft() if rate else time.monotonic())
            wait = min(due, end) - now if rate and now < end else max(0.0, end - now)
            self._answers(min(wait if now < end else self._settings["timeout"], self._shortest()))
        rows = [[round(at - began, 6), round(took * 1e3, 4), failure] for at, took, failure in self._rows]
        return {"started": started, "seconds": end - began, "unsent": len(waiting), "requests": rows}

    def _wake(self, now: float) -> None:
        ready = [line for line in self._resting if line.rests_until <= now]
        self._resting = [line for line in self._resting if line.rests_until > now]
        self._free += ready

    def _shortest(self) -> float:
        """The longest that may be waited."""
        return _REST_SECONDS if self._resting else float(self._settings["timeout"]) / 4

    def _ask(self, line: Line, due: float) -> None:
        self._asked += 1
        try:
            left = line.ask(self._asked, due)
        except OSError as error:
            self._fail(line, error)
            return
        self._poll.modify(line.socket, select.EPOLLIN | (select.EPOLLOUT if left else 0))

    def _answers(self, wait: float) -> None:
        for number, events in self._poll.poll(max(0.0, wait)):
            line = self._by_number.get(number)
            if line is None:
                continue
            try:
                if events & select.EPOLLOUT and not line.send():
                    self._poll.modify(line.socket, select.EPOLLIN)
                if events & ~select.EPOLLOUT and line.read() and line.busy:
                    self._done(line, "")
            except BlockingIOError:
                continue
            except OSError as error:
                self._fail(line, error)
        late = time.monotonic() - self._settings["timeout"]
        for line in self._lines:
            if line.busy and line.due < late:
                self._fail(line, TimeoutError(errno.ETIMEDOUT, "no answer"))

    def _done(self, line: Line, failure: str) -> None:
        self._rows.append((line.due, time.monotonic() - line.due, failure))
        line.busy = False
        self._poll.modify(line.socket, 0)
        (self._resting if failure else self._free).append(line)

    def _fail(self, line: Line, error: OSError) -> None:
        if line.busy:
            self._done(line, errno.errorcode.get(error.errno or 0, "timeout"))
        del self._by_number[line.socket.fileno()]
        line.again()
        self._by_number[line.socket.fileno()] = line
        self._poll.register(line.socket, 0)


def main(settings: dict[str, Any]) -> None:
    """Ask for `seconds`; says what was found."""
    end_with_input()
    say(Client(settings).run())
