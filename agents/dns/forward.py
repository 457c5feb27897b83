"""Asking other servers: UDP, then TCP where the answer is truncated; answers are cached, equal questions share one."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Sequence
from typing import Final

import dns.message
from dns.exception import DNSException
from dns.message import Message
from dns.name import Name
from dns.opcode import QUERY
from dns.rcode import REFUSED, SERVFAIL
from dns.rdataclass import IN
from dns.rdatatype import OPT, RdataType

from agents.dns.answer import Content
from agents.dns.cache import LIMIT_SECONDS, Asked, Cache, limited
from agents.dns.message import PAYLOAD, truncated
from agents.dns.names import key_of
from agents.dns.settings import Forwarding, Server

ATTEMPT_SECONDS: Final = 2.0
"""How long one server is waited for, as CoreDNS does."""
TOTAL_SECONDS: Final = 5.0
"""How long servers are tried for one question, as CoreDNS does."""
IN_FLIGHT_LIMIT: Final = 1000
"""Questions asked at the same time; more are refused, as with CoreDNS' `max_concurrent 1000`."""
_LOG = logging.getLogger(__name__)


class Forwarder:
    """Answers questions by asking the servers that `forwarding` names for them."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding
        self._cache = Cache()
        self._in_flight: dict[Asked, asyncio.Task[Content]] = {}

    @property
    def forwarding(self) -> Forwarding:
        """Who is asked."""
        return self._forwarding

    @forwarding.setter
    def forwarding(self, changed: Forwarding) -> None:
        if changed != self._forwarding:
            self._forwarding = changed
            self._cache = Cache()

    @property
    def available(self) -> bool:
        """Whether there is anyone to ask: the RA flag."""
        return bool(self._forwarding.upstreams or self._forwarding.stubs)

    def serves(self, name: Name) -> bool:
        """Whether there is anyone to ask about this name."""
        return bool(self._forwarding.servers(key_of(name)))

    def cached(self, name: Name, rdtype: RdataType) -> Content | None:
        """The answer when it is known without asking; REFUSED where there is nobody to ask."""
        if not self.serves(name):
            return Content(REFUSED)
        return self._cache.get((key_of(name), rdtype), time.monotonic())

    async def ask(self, name: Name, rdtype: RdataType) -> Content:
        """The answer; SERVFAIL when no server gave one, REFUSED when there is none or too much is asked already."""
        known = self.cached(name, rdtype)
        if known is not None:
            return known
        asked = key_of(name), rdtype
        task = self._in_flight.get(asked)
        if task is None:
            if len(self._in_flight) >= IN_FLIGHT_LIMIT:
                return Content(REFUSED)
            task = asyncio.create_task(self._resolve(name, rdtype, asked))
            self._in_flight[asked] = task
            task.add_done_callback(lambda _: self._in_flight.pop(asked, None))
        return await asyncio.shield(task)

    async def _resolve(self, name: Name, rdtype: RdataType, asked: Asked) -> Content:
        cache = self._cache
        servers = self._forwarding.servers(asked[0])
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                content = await _ask_servers(servers, name, rdtype)
        except TimeoutError:
            content = None
        if content is None:
            _LOG.warning("%s %s: no answer from %s", name, rdtype.name, ", ".join(map(str, servers)))
            return Content(SERVFAIL)
        content = limited(content, LIMIT_SECONDS)
        cache.put(asked, content, time.monotonic())
        return content


async def _ask_servers(servers: Sequence[Server], name: Name, rdtype: RdataType) -> Content | None:
    """The first usable answer: servers in random order, as CoreDNS' default policy; one that fails makes room."""
    last = None
    for server in random.sample(servers, len(servers)):
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                response = await ask_server(server, name, rdtype)
        except (TimeoutError, OSError) as error:
            _LOG.info("%s %s: %s: %s", name, rdtype.name, server, error or "no answer")
            continue
        last = _content(response)
        if last.rcode != SERVFAIL:
            return last
    return last


async def ask_server(server: Server, name: Name, rdtype: RdataType) -> Message:
    """One server's response to one question; OSError when it cannot be reached, no time limit."""
    query = dns.message.make_query(name, rdtype, use_edns=0, payload=PAYLOAD, id=secrets.randbelow(1 << 16))
    wire = query.to_wire()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Question(query), remote_addr=(str(server.address), server.port)
    )
    try:
        transport.sendto(wire)
        response, cut = await protocol.response
    finally:
        transport.close()
    return await _ask_by_tcp(server, query, wire) if cut else response


class _Question(asyncio.DatagramProtocol):
    """Waits for the datagram that answers a query; others are ignored (RFC 5452, 9.1)."""

    def __init__(self, query: Message) -> None:
        self._query = query
        self.response: asyncio.Future[tuple[Message, bool]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        response = _parse(self._query, data)
        if response is not None and not self.response.done():
            self.response.set_result((response, truncated(data)))

    def error_received(self, exc: Exception) -> None:
        if not self.response.done():
            self.response.set_exception(exc)


async def _ask_by_tcp(server: Server, query: Message, wire: bytes) -> Message:
    reader, writer = await asyncio.open_connection(str(server.address), server.port)
    try:
        writer.write(len(wire).to_bytes(2, "big") + wire)
        size = int.from_bytes(await reader.readexactly(2), "big")
        response = _parse(query, await reader.readexactly(size))
    except EOFError as error:
        raise ConnectionError("closed the connection without an answer") from error
    finally:
        writer.close()
    if response is None:
        raise ConnectionError("sent something that is no answer to the question")
    return response


def _parse(query: Message, wire: bytes) -> Message | None:
    """The response, if these bytes are one to this query."""
    try:
        response = dns.message.from_wire(wire)
    except (DNSException, ValueError):
        return None
    same = response.id == query.id and response.question == query.question and response.opcode() == QUERY
    return response if same and query.is_response(response) else None


def _content(response: Message) -> Content:
    return Content(
        response.rcode(),
        tuple(rrset for rrset in response.answer if rrset.rdclass == IN),
        tuple(rrset for rrset in response.authority if rrset.rdclass == IN),
        tuple(rrset for rrset in response.additional if rrset.rdtype != OPT),
    )
