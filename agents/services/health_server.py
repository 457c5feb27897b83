"""One event loop that answers all nodes' health checks, on sockets opened in the nodes' network namespaces."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Final

from agents.services.health import Answer, encode, method_of
from kubinet.netns import namespace

_LOG = logging.getLogger(__name__)
_REQUEST_LIMIT: Final = 8192
_REQUEST_SECONDS: Final = 5.0
_BACKLOG: Final = 128

Address = tuple[str, int]
"""Node and TCP port."""


async def end_listening(server: asyncio.Server) -> None:
    """Close the server; connections that it has accepted are answered.

    `close` alone leaves one that was accepted in the same turn of the loop open, unread, for as long as the process
    runs (CPython's issue 109564). So accepting ends one turn earlier.
    """
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    await asyncio.sleep(0)
    server.close()


class HealthServer:
    """Listens where it is told to; `answer` is called on the server's thread and must not wait."""

    def __init__(self, namespaces: dict[str, str], answer: Callable[[str, int], Answer | None]) -> None:
        """`namespaces`: each node's network namespace (a path); `answer`: for a node and port."""
        self._namespaces = namespaces
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._servers: dict[Address, asyncio.Server] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def listening(self) -> frozenset[Address]:
        """Where it listens."""
        return frozenset(self._servers)

    def change(self, start: Iterable[Address], stop: Iterable[Address]) -> dict[Address, OSError]:
        """Stop and start listening; returns the ports that could not be had, with the reason."""
        for one in stop:
            server = self._servers.pop(one, None)
            if server is not None:
                asyncio.run_coroutine_threadsafe(end_listening(server), self._loop).result()
        failures: dict[Address, OSError] = {}
        for node, port in start:
            try:
                opened = self._open(node, port)
            except OSError as error:
                failures[node, port] = error
                continue
            future = asyncio.run_coroutine_threadsafe(self._serve(node, port, opened), self._loop)
            self._servers[node, port] = future.result()
        return failures

    def close(self) -> None:
        """Stop listening; connections in progress are dropped."""
        self.change((), tuple(self._servers))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _open(self, node: str, port: int) -> socket.socket:
        with namespace(self._namespaces[node]):
            opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("0.0.0.0", port))
            opened.listen(_BACKLOG)
        except OSError:
            opened.close()
            raise
        return opened

    async def _serve(self, node: str, port: int, opened: socket.socket) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._reply(node, port, head))
                    await writer.drain()
            except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass  # whoever asks so gets no answer
            finally:
                writer.close()

        return await asyncio.start_server(accept, sock=opened, limit=_REQUEST_LIMIT)

    def _reply(self, node: str, port: int, head: bytes) -> bytes:
        method = method_of(head)
        if method is None:
            return encode(Answer(400, b"", {}))
        if method not in ("GET", "HEAD"):
            return encode(Answer(405, b"", {"Allow": "GET, HEAD"}))
        answer = None
        with contextlib.suppress(KeyError):  # stopped listening a moment ago
            answer = self._answer(node, port)
        return encode(answer or Answer(503, b"", {}), head=method == "HEAD")
