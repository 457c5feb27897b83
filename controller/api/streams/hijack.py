"""Taking a connection over after `101 Switching Protocols`."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

Run = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Protocol(asyncio.StreamReaderProtocol):
    def __init__(self, reader: asyncio.StreamReader, on_lost: Callable[[Exception | None], None]) -> None:
        super().__init__(reader)
        self._on_lost = on_lost
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()
        self._on_lost(exc)


async def hijack(http: web.BaseRequest, head: bytes, run: Run) -> web.StreamResponse:
    """Answer with `head` (status line and headers), then hand the bare connection to `run` and close it after that."""
    transport, before = http.transport, http.protocol
    if not isinstance(transport, asyncio.Transport):
        raise ConnectionResetError("the client left")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()

    def closed(exc: Exception | None) -> None:
        loop.call_soon(before.connection_lost, exc)  # aiohttp forgets the connection

    protocol = _Protocol(reader, closed)
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    writer.write(head)
    try:
        await run(reader, writer)
    except ConnectionError:
        pass  # the client left
    finally:
        transport.close()
    await protocol.lost.wait()
    # The connection is gone: aiohttp finds it closed and writes nothing of this answer.
    return web.Response(status=101)
