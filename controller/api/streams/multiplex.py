"""SPDY/3.1 streams over any carrier: what `kubectl port-forward` speaks, raw or inside a WebSocket.

The client opens streams; each has its headers and carries bytes both ways until both sides have ended it. Flow control
is not used by either side: the carrier's is.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from controller.api.streams.spdy import FIN, GOAWAY, PING, RST_STREAM, SYN_REPLY, SYN_STREAM, Codec, take_frame

HIGH_WATER: Final = 1024 * 1024
"""Bytes that may wait for a slow pod before the client is read no further."""
_MAX_STREAMS: Final = 4096


class Carrier(Protocol):
    """What the frames travel in."""

    def write(self, data: bytes) -> Awaitable[None]:
        """Send bytes; waits while the client reads too slowly."""


@dataclass(slots=True)
class Stream:
    """One stream, opened by the client."""

    number: int
    headers: Mapping[str, str]
    incoming: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)
    """What the client sent; None: it sends no more."""
    ended: bool = False
    """The client has ended its direction, or given the stream up."""
    given_up: bool = False
    """The client wants no more of it in either direction."""


class Multiplexer:
    """The server's side of one connection."""

    def __init__(self, carrier: Carrier, opened: Callable[[Stream], None]) -> None:
        """`opened` is called for each stream that the client opens."""
        self._carrier = carrier
        self._opened = opened
        self._codec = Codec()
        self._buffer = bytearray()
        self._streams: dict[int, Stream] = {}
        self._waiting = 0
        self._low = asyncio.Event()
        self._low.set()
        self._sending = asyncio.Lock()

    async def feed(self, data: bytes) -> None:
        """Take what the client sent; waits while pods read too slowly. ValueError for what is no SPDY."""
        self._buffer += data
        while (frame := take_frame(self._buffer)) is not None:
            if frame.control:
                await self._control(frame.number, frame.flags, frame.body)
            else:
                self._data(frame.number, frame.flags, frame.body)
        await self._low.wait()

    async def receive(self, stream: Stream) -> bytes | None:
        """The next bytes of a stream; None at its end."""
        data = await stream.incoming.get()
        self._waiting -= len(data or b"")
        if self._waiting <= HIGH_WATER:
            self._low.set()
        return data

    async def send(self, stream: Stream, data: bytes, *, fin: bool = False) -> None:
        """Bytes on a stream; `fin`: the last ones."""
        async with self._sending:
            await self._carrier.write(Codec.data(stream.number, data, fin=fin))

    def forget(self, stream: Stream) -> None:
        """Both sides are done with it."""
        self._streams.pop(stream.number, None)
        while not stream.incoming.empty():
            self._waiting -= len(stream.incoming.get_nowait() or b"")
        self._low.set()

    def close(self) -> None:
        """The client went away: every stream ends."""
        for stream in self._streams.values():
            self._end(stream)
        self._low.set()

    async def _control(self, kind: int, flags: int, body: bytes) -> None:
        if kind == SYN_STREAM:
            if len(body) < 10:
                raise ValueError("short SYN_STREAM")
            stream = Stream(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF, self._codec.headers(body[10:]))
            if len(self._streams) >= _MAX_STREAMS:
                raise ValueError("too many streams")
            self._streams[stream.number] = stream
            if flags & FIN:
                self._end(stream)
            async with self._sending:
                reply = struct.pack(">I", stream.number) + self._codec.block({})
                await self._carrier.write(Codec.control(SYN_REPLY, reply))
            self._opened(stream)
        elif kind == RST_STREAM and len(body) >= 4:
            found = self._streams.get(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)
            if found is not None:
                found.given_up = True
                self._end(found)
        elif kind == PING:
            async with self._sending:
                await self._carrier.write(Codec.control(PING, body))
        elif kind == GOAWAY:
            self.close()

    def _data(self, number: int, flags: int, body: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.ended:
            return
        if body:
            stream.incoming.put_nowait(body)
            self._waiting += len(body)
            if self._waiting > HIGH_WATER:
                self._low.clear()
        if flags & FIN:
            self._end(stream)

    @staticmethod
    def _end(stream: Stream) -> None:
        if not stream.ended:
            stream.ended = True
            stream.incoming.put_nowait(None)
