"""Connections that start in a node's network namespace, for asyncio."""

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Final, Self

from agents.probes.target import OUTPUT_LIMIT
from kubinet.netns import namespace

_BUFFER: Final = 2 * OUTPUT_LIMIT
"""Bytes that are read ahead: the head of an answer must fit."""


class Dialled:
    """A connection to a pod; an asynchronous context manager. OSError in the words that kubelet's events have."""

    def __init__(self, netns: str, address: tuple[str, int], *, tls: bool = False) -> None:
        self._netns = netns
        self._address = address
        self._tls = tls
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        dialled = await dial(self._netns, self._address)
        context = tls_context() if self._tls else None
        try:
            self.reader, self.writer = await asyncio.open_connection(
                sock=dialled, ssl=context, server_hostname="" if context else None, limit=_BUFFER
            )
        except BaseException:
            dialled.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not close(): it would wait for a TLS peer that does not answer any more.
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


async def dial(netns: str, address: tuple[str, int]) -> socket.socket:
    """A connected socket; its packets leave from the namespace `netns`. OSError."""
    # Setns and back is of this thread and not interrupted: nothing else runs in between.
    with namespace(netns):
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(opened, address)
    except OSError as error:
        opened.close()
        host, port = address
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OSError(error.errno, f"dial tcp {host}:{port}: connect: {reason}") from None
    except BaseException:
        opened.close()
        raise
    return opened


@cache
def tls_context() -> ssl.SSLContext:
    """Takes any certificate, as kubelet's probes do, and old protocols where the library still has them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
