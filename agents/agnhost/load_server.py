"""`agnhost load-server`: a TCP server with one worker and a fixed service time, for measurements of load balancing.

Kubinet's own, not upstream's. Each connection is greeted with the host name and a newline. A client that writes `work`
gets `done` after all earlier work and its own: requests wait in one queue, so a server that gets more than it can do
becomes slow, as real ones do. The work itself is waiting: it takes time, but none of the machine's processors.
"""

import heapq
import select
import socket
import sys
import time
from contextlib import closing, suppress

from agents.agnhost import flags, net

_BACKLOG = 4096
LISTENING = "listening on port"
"""What it says, with the number, as soon as connections are accepted."""


def load_server(arguments: list[str]) -> int:
    """Serve until killed."""
    values, _ = flags.parse(arguments, {"port": 8080, "service-time": 0.0})
    try:
        listener = socket.create_server(("", values["port"]), backlog=_BACKLOG)
    except OSError as error:
        net.fatal(f"cannot listen on port {values['port']}: {error.strerror}")
    sys.stdout.write(f"{LISTENING} {values['port']}\n")
    sys.stdout.flush()
    with closing(Server(listener, net.hostname(), values["service-time"])) as server:
        server.run()
    return 0


class Server:
    """One thread for everything."""

    def __init__(self, listener: socket.socket, name: str, service_seconds: float) -> None:
        self._listener = listener
        self._greeting = f"{name}\n".encode()
        self._service = service_seconds
        self._open: dict[int, socket.socket] = {}
        self._due: list[tuple[float, int, socket.socket]] = []
        """(when its work is done, place in the queue, connection)."""
        self._free_at = 0.0
        self._queued = 0
        listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        """Serve for ever."""
        while True:
            self.once(None)

    def close(self) -> None:
        """End what is open, and listen no more."""
        for one in (*self._open.values(), self._listener):
            one.close()
        self._poll.close()

    def once(self, timeout: float | None) -> None:
        """Wait for what comes next, at most `timeout` seconds, and do it."""
        now = time.monotonic()
        waits = [timeout] if timeout is not None else []
        waits += [max(0.0, self._due[0][0] - now)] if self._due else []
        for number, _ in self._poll.poll(min(waits, default=-1)):
            if number == self._listener.fileno():
                self._accept()
            elif number in self._open:
                self._read(self._open[number])
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, connection = heapq.heappop(self._due)
            with suppress(OSError):  # the client may have gone
                connection.send(b"done\n")
            self._close(connection)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._open[connection.fileno()] = connection
                self._poll.register(connection, select.EPOLLIN)
                with suppress(OSError):
                    connection.send(self._greeting)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(64)
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif b"work" in data:
            self._free_at = max(self._free_at, time.monotonic()) + self._service
            self._queued += 1
            heapq.heappush(self._due, (self._free_at, self._queued, connection))

    def _close(self, connection: socket.socket) -> None:
        self._open.pop(connection.fileno(), None)
        connection.close()
