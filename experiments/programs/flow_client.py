"""Sends flows of given sizes over TCP at given times, each over a connection of its own.

A flow is complete when its last byte has come to the receiver (answer_server says when: all places have one clock).
"""

import errno
import heapq
import select
import socket
import struct
import time
from typing import Any

from experiments.programs.frame import end_with_input, next_line, say

_REQUEST = struct.Struct("!QQQ")
_ANSWER = struct.Struct("!QQ")
_CHUNK = memoryview(bytes(1 << 18))


class Flow:
    """One flow on its way."""

    def __init__(self, number: int, due: float, target: tuple[str, int], size: int, congestion: str) -> None:
        self.number = number
        self.due = due
        self.began = 0.0
        self.size = size
        self.left = size
        self._header = memoryview(_REQUEST.pack(number, size, 0))
        self._answer = bytearray()
        self._target = target
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if congestion:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())

    def connect(self, *, wait: float) -> None:
        """Open the connection; with `wait` in seconds until it is open."""
        self.socket.settimeout(wait)
        if wait:
            self.socket.connect(self._target)
            self.socket.setblocking(False)
            return
        code = self.socket.connect_ex(self._target)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "")

    def send(self) -> None:
        """Send what can be sent at once, of large flows a part, so that others have their turn."""
        while self._header:
            self._header = self._header[self.socket.send(self._header) :]
        if self.left:
            self.left -= self.socket.send(_CHUNK[: self.left])

    def completed(self) -> float | None:
        """When the receiver had everything (CLOCK_MONOTONIC), or None while it has not said so."""
        data = self.socket.recv(64)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "")
        self._answer += data
        return _ANSWER.unpack(self._answer)[1] / 1e9 if len(self._answer) == _ANSWER.size else None


class Client:
    """All flows of one place."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._timeout = settings["timeout"]
        self._prepared: bool = settings["prepared"]
        self._waiting = [
            (due, number, Flow(number, due, (address, port), size, settings.get("congestion", "")))
            for number, due, address, port, size in settings["flows"]
        ]
        heapq.heapify(self._waiting)
        self._open: dict[int, Flow] = {}
        self._poll = select.epoll()
        self._rows: list[list[Any]] = []

    def prepare(self) -> None:
        """Open connections before the beginning, where that is wanted."""
        for _, _, flow in self._waiting if self._prepared else ():
            flow.connect(wait=self._timeout)

    def run(self, began: float) -> list[list[Any]]:
        """Start every flow in its time after `began`; of each: number, start s, FCT ms, failure."""
        while self._waiting or self._open:
            now = time.monotonic()
            while self._waiting and began + self._waiting[0][0] <= now:
                self._start(heapq.heappop(self._waiting)[2])
                now = time.monotonic()
            due = began + self._waiting[0][0] - now if self._waiting else self._timeout / 4
            for number, _ in self._poll.poll(max(0.0, min(due, self._timeout / 4))):
                self._go_on(self._open[number], began)
            late = time.monotonic() - self._timeout
            for flow in [flow for flow in self._open.values() if flow.began < late]:
                self._end(flow, began, 0.0, "timeout")
        return self._rows

    def _start(self, flow: Flow) -> None:
        flow.began = time.monotonic()
        self._open[flow.socket.fileno()] = flow
        try:
            if not self._prepared:
                flow.connect(wait=0)
        except OSError as error:
            flow.left = -(error.errno or 1)
        self._poll.register(flow.socket, select.EPOLLIN | select.EPOLLOUT)

    def _go_on(self, flow: Flow, began: float) -> None:
        try:
            if flow.left < 0:
                raise OSError(-flow.left, "")
            if flow.left or flow.size == 0:
                flow.send()
                if flow.left:
                    return
                self._poll.modify(flow.socket, select.EPOLLIN)
            at = flow.completed()
            if at is not None:
                self._end(flow, began, at - flow.began, "")
        except BlockingIOError:
            return
        except OSError as error:
            self._end(flow, began, 0.0, errno.errorcode.get(error.errno or 0, "unknown"))

    def _end(self, flow: Flow, began: float, took: float, failure: str) -> None:
        del self._open[flow.socket.fileno()]
        flow.socket.close()
        self._rows.append([flow.number, round(flow.began - began, 6), round(took * 1e3, 4), failure])


def main(settings: dict[str, Any]) -> None:
    """Says that it is prepared; a line of input says when to begin (CLOCK_MONOTONIC seconds); then what was found."""
    client = Client(settings)
    client.prepare()
    say({"now": time.monotonic()})
    began = float(next_line()["begin"])
    end_with_input()
    started = time.time() + began - time.monotonic()
    say({"started": started, "flows": client.run(began)})
