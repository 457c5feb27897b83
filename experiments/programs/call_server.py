"""One service of a call graph: answers a request when it has worked and its own callees have answered.

It speaks answer_server's protocol over TCP; each connection has a thread and connections to the callees of its own.
"""

import socket
import struct
import threading
import time
from typing import Any

from experiments.programs.frame import end_with_input, say

_REQUEST = struct.Struct("!QQQ")
_ANSWER = struct.Struct("!QQ")


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; ConnectionResetError when the connection ends before."""
    parts = bytearray()
    while len(parts) < size:
        data = connection.recv(min(1 << 18, size - len(parts)))
        if not data:
            raise ConnectionResetError
        parts += data
    return bytes(parts)


class Callee:
    """A connection to a callee, opened when it is first needed."""

    def __init__(self, address: tuple[str, int], settings: dict[str, Any]) -> None:
        self._address = address
        self._request: int = settings["request"]
        self._response: int = settings["response"]
        self._timeout: float = settings["timeout"]
        self._connection: socket.socket | None = None

    def ask(self) -> None:
        """Send a request."""
        if self._connection is None:
            self._connection = socket.create_connection(self._address, self._timeout)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(_REQUEST.pack(0, self._request, self._response) + bytes(self._request))

    def wait(self) -> None:
        """Until it has answered."""
        assert self._connection is not None
        receive(self._connection, _ANSWER.size + self._response)

    def close(self) -> None:
        """Forget the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def serve(connection: socket.socket, settings: dict[str, Any]) -> None:
    """Requests of one connection, one after the other, until it ends or a callee fails."""
    callees = [Callee((address, port), settings) for address, port in settings["callees"]]
    try:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                number, size, wanted = _REQUEST.unpack(receive(connection, _REQUEST.size))
                receive(connection, size)
                time.sleep(settings["work"])
                call(callees, parallel=settings["parallel"])
                connection.sendall(_ANSWER.pack(number, time.monotonic_ns()) + bytes(wanted))
    except OSError:
        return  # the caller sees its connection end
    finally:
        for callee in callees:
            callee.close()


def call(callees: list[Callee], *, parallel: bool) -> None:
    """All callees, at once or one after the other."""
    for callee in callees:
        callee.ask()
        if not parallel:
            callee.wait()
    for callee in callees if parallel else ():
        callee.wait()


def main(settings: dict[str, Any]) -> None:
    """Serve on `port` until the input ends; says the port when it listens."""
    end_with_input()
    listener = socket.create_server(("", settings["port"]), backlog=1024)
    say({"port": listener.getsockname()[1]})
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, settings), daemon=True).start()
