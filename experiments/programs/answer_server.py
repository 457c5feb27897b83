"""A TCP and UDP server that reads requests of any size and answers with as much as each asks for.

A request is a header (its number, how many bytes follow, how many are wanted back) and its bytes; an answer is the
number, the server's CLOCK_MONOTONIC in nanoseconds when the request's last byte had come, and the bytes. All places
of a cluster share one kernel and so one clock.
"""

import select
import socket
import struct
import time
from collections import deque
from typing import Any

from experiments.programs.frame import end_with_input, say

REQUEST = struct.Struct("!QQQ")
ANSWER = struct.Struct("!QQ")
_CHUNK = 1 << 18
_BACKLOG = 4096


class Connection:
    """One TCP client."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.header = bytearray()
        self.number = self.left = self.wanted = 0
        self.reading_body = False
        self.out: deque[memoryview] = deque()

    def take(self, data: memoryview) -> None:
        """Read what came; answers are put into `out`."""
        while data or (self.reading_body and not self.left):
            if not self.reading_body:
                needed = REQUEST.size - len(self.header)
                self.header += data[:needed]
                data = data[needed:]
                if len(self.header) < REQUEST.size:
                    return
                self.number, self.left, self.wanted = REQUEST.unpack(self.header)
                self.header.clear()
                self.reading_body = True
            used = min(self.left, len(data))
            self.left -= used
            data = data[used:]
            if self.left:
                return
            self.reading_body = False
            self.out.append(memoryview(ANSWER.pack(self.number, time.monotonic_ns()) + bytes(self.wanted)))

    def send(self) -> bool:
        """Send what can be sent; whether something is left."""
        while self.out:
            sent = self.socket.send(self.out[0])
            if sent < len(self.out[0]):
                self.out[0] = self.out[0][sent:]
                return True
            self.out.popleft()
        return False


class Server:
    """One thread for all clients."""

    def __init__(self, port: int) -> None:
        self._tcp = socket.create_server(("", port), backlog=_BACKLOG)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._udp.bind(("", self._tcp.getsockname()[1]))
        self.port: int = self._tcp.getsockname()[1]
        self._poll = select.epoll()
        self._clients: dict[int, Connection] = {}
        self._buffer = bytearray(_CHUNK)
        for listener in (self._tcp, self._udp):
            listener.setblocking(False)
            self._poll.register(listener, select.EPOLLIN)

    def once(self, timeout: float) -> None:
        """Wait for what comes, and answer it."""
        for number, events in self._poll.poll(timeout):
            if number == self._tcp.fileno():
                self._accept()
            elif number == self._udp.fileno():
                self._datagrams()
            elif number in self._clients:
                self._serve(self._clients[number], events)

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._tcp.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[client.fileno()] = Connection(client)
                self._poll.register(client, select.EPOLLIN)
        except (BlockingIOError, ConnectionAbortedError):
            return

    def _serve(self, client: Connection, events: int) -> None:
        try:
            if events & ~select.EPOLLOUT:
                size = client.socket.recv_into(self._buffer)
                if not size:
                    raise ConnectionResetError
                client.take(memoryview(self._buffer)[:size])
            waits = client.send()
        except BlockingIOError:
            waits = True
        except OSError:
            del self._clients[client.socket.fileno()]
            client.socket.close()
            return
        self._poll.modify(client.socket, select.EPOLLIN | (select.EPOLLOUT if waits else 0))

    def _datagrams(self) -> None:
        try:
            for _ in range(256):
                size, sender = self._udp.recvfrom_into(self._buffer)
                if size >= REQUEST.size:
                    number, _, wanted = REQUEST.unpack_from(self._buffer)
                    self._udp.sendto(ANSWER.pack(number, time.monotonic_ns()) + bytes(wanted), sender)
        except OSError:
            return  # nothing left, or the sender's port is closed


def main(settings: dict[str, Any]) -> None:
    """Serve on `port` until the input ends; says the port when it listens."""
    end_with_input()
    server = Server(settings["port"])
    say({"port": server.port})
    while True:
        server.once(-1)
