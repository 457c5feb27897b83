"""The server's edge: datagrams and streams on port 53. Names of our zones are answered at once, others forwarded."""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

from dns.rcode import REFUSED, SERVFAIL

from agents.dns.answer import Content, answer
from agents.dns.forward import Forwarder
from agents.dns.message import Query, pack, read
from agents.dns.names import key_of
from agents.dns.zone import Zone

IDLE_SECONDS: Final = 10.0
"""How long a connection may be silent (RFC 7766, 6.2.3)."""
CONNECTIONS_LIMIT: Final = 500
_BACKLOG: Final = 128
_LOG = logging.getLogger(__name__)


class Responder:
    """From the bytes of a query to those of its response."""

    def __init__(self, zone: Zone, forwarder: Forwarder | None, synced: Callable[[], bool]) -> None:
        """`synced`: whether the zone holds everything; until then its names are answered with SERVFAIL."""
        self._zone = zone
        self._forwarder = forwarder
        self._synced = synced

    def at_once(self, wire: bytes, *, tcp: bool) -> bytes | Query | None:
        """The response when it needs nobody else; the query when it does; None where silence is the answer."""
        query = read(wire)
        if not isinstance(query, Query):
            return query
        content = self._own(query)
        if content is None:
            content = self._forwarder.cached(query.name, query.rdtype) if self._forwarder else Content(REFUSED)
            return query if content is None else self._pack(query, content, authoritative=False, tcp=tcp)
        if content.follow is not None:
            return query
        return self._pack(query, content, authoritative=True, tcp=tcp)

    async def later(self, query: Query, *, tcp: bool) -> bytes:
        """The response to a query that `at_once` left."""
        own = self._own(query)
        if own is None:
            content = await self._forwarder.ask(query.name, query.rdtype) if self._forwarder else Content(REFUSED)
            return self._pack(query, content, authoritative=False, tcp=tcp)
        if own.follow is None:
            return self._pack(query, own, authoritative=True, tcp=tcp)
        if self._forwarder is None or not self._forwarder.serves(own.follow):
            # The CNAME is all that can be said.
            return self._pack(query, own, authoritative=True, tcp=tcp)
        rest = await self._forwarder.ask(own.follow, query.rdtype)
        whole = replace(rest, answer=(*own.answer, *rest.answer))
        return self._pack(query, whole, authoritative=True, tcp=tcp)

    def _own(self, query: Query) -> Content | None:
        if not self._synced() and self._zone.authority.apex(key_of(query.name)) is not None:
            return Content(SERVFAIL)
        return answer(self._zone, query.name, query.rdtype)

    def _pack(self, query: Query, content: Content, *, authoritative: bool, tcp: bool) -> bytes:
        recursive = self._forwarder is not None and self._forwarder.available
        sure = authoritative and content.rcode != SERVFAIL
        return pack(query.message, content, authoritative=sure, recursive=recursive, tcp=tcp)


class Datagrams(asyncio.DatagramProtocol):
    """Port 53/UDP."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it for the answers."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # its class does not say so

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One query."""
        try:
            result = self._responder.at_once(data, tcp=False)
        except Exception:
            _LOG.exception("query from %s: %s", addr, data[:600].hex())
            return
        if isinstance(result, Query):
            task = asyncio.create_task(self._answer_later(result, addr))
            self._tasks.add(task)  # the loop keeps weak references only
            task.add_done_callback(self._tasks.discard)
        elif result is not None:
            self._send(result, addr)

    async def _answer_later(self, query: Query, addr: tuple[str, int]) -> None:
        try:
            self._send(await self._responder.later(query, tcp=False), addr)
        except Exception:
            _LOG.exception("query from %s: %s", addr, query.message.question)

    def _send(self, wire: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(wire, addr)


class Streams:
    """Port 53/TCP: each message has its length in two octets before it (RFC 1035, 4.2.2)."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, queries in order, until it is silent or closed."""
        self._open += 1
        try:
            if self._open <= CONNECTIONS_LIMIT:
                await self._answer(reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass  # the client went away or has nothing more to ask
        except Exception:
            _LOG.exception("connection from %s", writer.get_extra_info("peername"))
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                size = int.from_bytes(await reader.readexactly(2), "big")
                wire = await reader.readexactly(size)
            result = self._responder.at_once(wire, tcp=True)
            if isinstance(result, Query):
                result = await self._responder.later(result, tcp=True)
            if result is None:
                return
            writer.write(len(result).to_bytes(2, "big") + result)
            async with asyncio.timeout(IDLE_SECONDS):
                await writer.drain()


def sockets(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bound UDP and TCP sockets; with port 0 both get the same free one."""
    # TCP first: of the ports that the kernel gives to it few are taken with UDP, while many are the other way round.
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((address, port))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, tcp.getsockname()[1]))
    tcp.listen(_BACKLOG)
    return udp, tcp


async def listen(
    responder: Responder, udp: socket.socket, tcp: socket.socket
) -> tuple[asyncio.Server, asyncio.DatagramTransport]:
    """Answer on these sockets until what is returned is closed."""
    for one in (udp, tcp):
        one.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(responder), sock=udp)
    return await asyncio.start_server(Streams(responder).serve, sock=tcp), transport
