"""Streams over SPDY/3.1: what kubectl speaks before 1.30, and what newer ones fall back to.

After `101 Switching Protocols` the connection carries SPDY frames: the client opens one stream per channel, named by
the header `streamtype`; data frames carry the bytes; FIN ends a stream. Flow control is not used by either side.
"""

import asyncio
import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from controller.api.status import Object, bad_request
from controller.api.streams.session import ERROR, RESIZE, STDERR, STDIN, STDOUT

PROTOCOL: Final = "SPDY/3.1"
STREAM_PROTOCOL: Final = "v4.channel.k8s.io"
OPEN_SECONDS: Final = 30.0
"""A client must open its streams in this time (as kubelet)."""

_NAMES: Final = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN: Final = 1
_CONTROL: Final = 0x80030000
_HIGH_WATER: Final = 256 * 1024
_MAX_FRAME: Final = 1 << 20
_MAX_HEADERS: Final = 64 * 1024


def _dictionary() -> bytes:
    data = json.loads((Path(__file__).parent.parent / "data/spdy3.json").read_text())
    return base64.b64decode(data["dictionary"])


class Codec:
    """Frames to bytes and back; header compression keeps state over the connection."""

    def __init__(self) -> None:
        dictionary = _dictionary()
        self._deflate = zlib.compressobj(zdict=dictionary)
        self._inflate = zlib.decompressobj(zdict=dictionary)

    def headers(self, block: bytes) -> dict[str, str]:
        """A header block's names and values; ValueError when it is malformed."""
        try:
            plain = self._inflate.decompress(block, _MAX_HEADERS)
            (count,) = struct.unpack_from(">I", plain)
            at, found = 4, {}
            for _ in range(count):
                name, at = self._text(plain, at)
                found[name.lower()], at = self._text(plain, at)
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"malformed SPDY headers: {error}") from error
        return found

    @staticmethod
    def _text(plain: bytes, at: int) -> tuple[str, int]:
        (size,) = struct.unpack_from(">I", plain, at)
        end = at + 4 + size
        return plain[at + 4 : end].decode(), end

    def block(self, headers: Mapping[str, str]) -> bytes:
        """A compressed header block."""
        plain = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.encode(), value.encode()):
                plain += struct.pack(">I", len(text)) + text
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    @staticmethod
    def control(kind: int, body: bytes, flags: int = 0) -> bytes:
        """A control frame."""
        return struct.pack(">II", _CONTROL | kind, flags << 24 | len(body)) + body

    @staticmethod
    def data(stream: int, body: bytes, *, fin: bool = False) -> bytes:
        """A data frame."""
        return struct.pack(">II", stream, (FIN if fin else 0) << 24 | len(body)) + body


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame."""

    control: bool
    number: int
    """A control frame's type, a data frame's stream."""
    flags: int
    body: bytes


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove the first whole frame from a buffer; None when there is none. ValueError for one that is too large."""
    if len(buffer) < 8:
        return None
    first, second = struct.unpack_from(">II", buffer)
    flags, size = second >> 24, second & 0xFFFFFF
    if size > _MAX_FRAME:
        raise ValueError("SPDY frame too large")
    if len(buffer) < 8 + size:
        return None
    body = bytes(buffer[8 : 8 + size])
    del buffer[: 8 + size]
    control = bool(first & 0x80000000)
    return Frame(control, first & (0xFFFF if control else 0x7FFFFFFF), flags, body)


class Connection(asyncio.Protocol):
    """The server's side of one SPDY connection; it is the `Channels` of a session."""

    def __init__(self, expected: int, closed: Callable[[Exception | None], None]) -> None:
        self._expected = expected
        self._closed = closed
        self._codec = Codec()
        self._buffer = bytearray()
        self._streams: dict[int, int] = {}
        """Channel -> stream id."""
        self._queue: asyncio.Queue[tuple[int, bytes | None] | None] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._queued = 0
        self.opened = asyncio.Event()
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by hand: the transport existed before."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole frames from what came so far."""
        self._buffer += data
        try:
            while (frame := take_frame(self._buffer)) is not None:
                handle = self._control if frame.control else self._data
                handle(frame.number, frame.flags, frame.body)
        except ValueError:
            assert self.transport is not None
            self.transport.abort()

    def _control(self, kind: int, flags: int, body: bytes) -> None:
        if kind == SYN_STREAM:
            if len(body) < 10:
                raise ValueError("short SYN_STREAM")
            stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
            channel = _NAMES.get(self._codec.headers(body[10:]).get("streamtype", ""))
            if channel is None:
                self._write(Codec.control(RST_STREAM, struct.pack(">II", stream, 3)))
                return
            self._streams[channel] = stream
            self._write(Codec.control(SYN_REPLY, struct.pack(">I", stream) + self._codec.block({})))
            if flags & FIN:
                self._put(channel, None)
            if len(self._streams) >= self._expected:
                self.opened.set()
        elif kind == PING:
            self._write(Codec.control(PING, body))
        elif kind == GOAWAY:
            self._queue.put_nowait(None)

    def _data(self, stream: int, flags: int, body: bytes) -> None:
        channel = next((number for number, known in self._streams.items() if known == stream), None)
        if channel is None:
            return
        if body:
            self._put(channel, body)
        if flags & FIN:
            self._put(channel, None)

    def _put(self, channel: int, data: bytes | None) -> None:
        self._queue.put_nowait((channel, data))
        self._queued += len(data or b"")
        if self._queued > _HIGH_WATER and self.transport is not None:
            self.transport.pause_reading()

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client read on."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everything that waits."""
        self.lost.set()
        self.opened.set()
        self._writable.set()
        self._queue.put_nowait(None)
        self._closed(exc)

    async def send(self, channel: int, data: bytes) -> None:
        """Bytes on the channel's stream; nothing when the client did not open it."""
        stream = self._streams.get(channel)
        if stream is not None:
            self._write(Codec.data(stream, data))
            await self._writable.wait()

    async def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        """What the client sends, until it leaves."""
        while (item := await self._queue.get()) is not None:
            self._queued -= len(item[1] or b"")
            if self._queued <= _HIGH_WATER and self.transport is not None and not self.lost.is_set():
                self.transport.resume_reading()
            yield item

    async def finish(self, status: Object | None) -> None:
        """Send the final status, end every stream, close."""
        if status is not None:
            await self.send(ERROR, orjson.dumps(status))
        for stream in self._streams.values():
            self._write(Codec.data(stream, b"", fin=True))
        if self.transport is not None:
            self.transport.close()


def check(http: web.BaseRequest) -> None:
    """400 unless the client offers the stream protocol that we speak."""
    values = http.headers.getall("X-Stream-Protocol-Version", [])
    offered = [part.strip() for value in values for part in value.split(",")]
    if STREAM_PROTOCOL not in offered:
        raise bad_request(f"the server speaks {STREAM_PROTOCOL} over {PROTOCOL}, the client offers {offered}")


async def serve(
    http: web.BaseRequest, run: Callable[[Connection], Awaitable[Object | None]], expected: int
) -> web.StreamResponse:
    """Take the connection over, wait for `expected` streams, run, and report what `run` returns."""
    transport, before = http.transport, http.protocol
    if not isinstance(transport, asyncio.Transport):
        raise ConnectionResetError("the client left")
    loop = asyncio.get_running_loop()

    def closed(exc: Exception | None) -> None:
        loop.call_soon(before.connection_lost, exc)  # aiohttp forgets the connection

    connection = Connection(expected, closed)
    connection.connection_made(transport)
    transport.set_protocol(connection)
    transport.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        b"X-Stream-Protocol-Version: " + STREAM_PROTOCOL.encode() + b"\r\n\r\n"
    )
    try:
        await asyncio.wait_for(connection.opened.wait(), OPEN_SECONDS)
        if not connection.lost.is_set():
            await connection.finish(await run(connection))
    except TimeoutError:
        transport.abort()
    finally:
        transport.close()
    await connection.lost.wait()
    # The connection is gone: aiohttp finds it closed and writes nothing of this answer.
    return web.Response(status=101)
