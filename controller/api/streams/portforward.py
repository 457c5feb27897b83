"""`pods/portforward`: connections to a pod's ports.

Three forms: SPDY/3.1 (kubectl before 1.31), SPDY/3.1 inside a WebSocket (kubectl since 1.31), and WebSocket channels,
two for each port (`v4.channel.k8s.io`: the Python client; `v5`: `kubinet port-forward`, where a channel can end).
"""

import asyncio
import contextlib
import struct
from collections.abc import Mapping
from typing import Final

from aiohttp import WSMsgType, web

from controller.api.registry import POD
from controller.api.request import Request
from controller.api.status import Object, bad_request, not_found
from controller.api.store import Store
from controller.api.streams.dialing import Dialer
from controller.api.streams.hijack import hijack
from controller.api.streams.multiplex import Multiplexer, Stream
from controller.api.streams.spdy import PROTOCOL
from kubinet.errors import KubinetError

_FORWARD: Final = "portforward.k8s.io"
_TUNNEL: Final = f"{PROTOCOL}+{_FORWARD}"
_V5: Final = "v5.channel.k8s.io"
_V4: Final = "v4.channel.k8s.io"
_BLOCK: Final = 64 * 1024
_MESSAGE_LIMIT: Final = 16 * 1024 * 1024
_CLOSE: Final = 255
_HEAD: Final = (
    f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n"
    f"X-Stream-Protocol-Version: {_FORWARD}\r\n\r\n"
).encode()


class PortForward:
    """Answers `pods/portforward`."""

    def __init__(self, store: Store, dialer: Dialer) -> None:
        self._store = store
        self._dialer = dialer

    async def handle(self, request: Request) -> web.StreamResponse:
        """GET (WebSocket) or POST (SPDY) pods/NAME/portforward."""
        http = request.http
        pod = self._pod(request)
        upgrade = http.headers.get("Upgrade", "").lower()
        if upgrade == PROTOCOL.lower():
            if _FORWARD not in http.headers.get("X-Stream-Protocol-Version", ""):
                raise bad_request(f"the server speaks {_FORWARD} over {PROTOCOL}")
            return await hijack(http, _HEAD, lambda reader, writer: self._raw(reader, writer, pod))
        if upgrade != "websocket":
            raise bad_request(f"Upgrade request required: websocket or {PROTOCOL}")
        offered = [part.strip() for part in http.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if _TUNNEL in offered:
            return await self._tunnel(http, pod)
        chosen = next((name for name in (_V4, _V5) if name in offered), None)
        if chosen is None:
            raise bad_request(f"the server speaks {_TUNNEL}, {_V5} and {_V4}, the client offers {offered}")
        return await self._channels(http, pod, chosen, _ports(http))

    def _pod(self, request: Request) -> Object:
        target = request.target
        stored = self._store.get(POD.key, target.namespace, target.name)
        if stored is None:
            raise not_found("", "pods", target.name)
        phase = (stored.object.get("status") or {}).get("phase")
        if phase != "Running":
            raise bad_request(f"unable to forward port because pod is not running. Current status={phase}")
        return stored.object

    async def _raw(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pod: Object) -> None:
        forwarder = _Forwarder(self._dialer, pod, _RawCarrier(writer))
        try:
            while data := await reader.read(_BLOCK):
                await forwarder.feed(data)
        finally:
            await forwarder.close()

    async def _tunnel(self, http: web.BaseRequest, pod: Object) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(_TUNNEL,), compress=False, timeout=2.0, max_msg_size=_MESSAGE_LIMIT)
        await socket.prepare(http)
        forwarder = _Forwarder(self._dialer, pod, _TunnelCarrier(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await forwarder.feed(message.data)
        except ConnectionError:
            pass  # the client left
        finally:
            await forwarder.close()
        return socket

    async def _channels(
        self, http: web.BaseRequest, pod: Object, protocol: str, ports: tuple[int, ...]
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(protocol,), compress=False, timeout=2.0, max_msg_size=_MESSAGE_LIMIT)
        await socket.prepare(http)
        lanes = [_Lane(socket, index, port, closes=protocol == _V5) for index, port in enumerate(ports)]
        tasks = [asyncio.create_task(lane.run(self._dialer, pod)) for lane in lanes]
        reading = asyncio.create_task(_read_channels(socket, lanes))
        try:
            pending: set[asyncio.Task[None]] = {reading, *tasks}
            while reading in pending and len(pending) > 1:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(reading, *tasks)
        with contextlib.suppress(ConnectionError):
            await socket.close()
        return socket


def _ports(http: web.BaseRequest) -> tuple[int, ...]:
    """The parameters `ports`, each one or several separated by commas."""
    texts = [part for value in http.query.getall("ports", []) for part in value.split(",")]
    if not texts or not all(text.isdecimal() and 0 < int(text) < 65536 for text in texts):
        raise bad_request(f"ports: {','.join(texts) or 'none'}: give numbers between 1 and 65535")
    return tuple(map(int, texts))


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _RawCarrier:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _TunnelCarrier:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


class _Forwarder:
    """SPDY: each connection has a stream of data and one for the error, with the same `requestID`."""

    def __init__(self, dialer: Dialer, pod: Object, carrier: "_RawCarrier | _TunnelCarrier") -> None:
        self._dialer = dialer
        self._pod = pod
        self._multiplexer = Multiplexer(carrier, self._opened)
        self._pairs: dict[str, dict[str, Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def feed(self, data: bytes) -> None:
        """What the client sent; a client that speaks no SPDY is cut off."""
        try:
            await self._multiplexer.feed(data)
        except ValueError as error:
            raise ConnectionResetError(str(error)) from error

    async def close(self) -> None:
        """The client left."""
        self._multiplexer.close()
        await _cancel(*self._tasks)

    def _opened(self, stream: Stream) -> None:
        key = stream.headers.get("requestid", "") or stream.headers.get("port", "")
        pair = self._pairs.setdefault(key, {})
        pair[stream.headers.get("streamtype", "")] = stream
        if {"data", "error"} <= pair.keys():
            del self._pairs[key]
            task = asyncio.create_task(self._run(pair["data"], pair["error"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, data: Stream, error: Stream) -> None:
        refused = ""
        try:
            refused = await self._forward(data)
        except (ConnectionError, OSError) as failure:
            refused = f"lost connection to the pod: {failure}"
        with contextlib.suppress(ConnectionError):
            await self._multiplexer.send(data, b"", fin=True)
            await self._multiplexer.send(error, refused.encode(), fin=True)
        self._multiplexer.forget(data)
        self._multiplexer.forget(error)

    async def _forward(self, data: Stream) -> str:
        """Copy both ways to the end; returns what to tell the client of a failure."""
        port = _port(data.headers)
        try:
            reader, writer = await self._dialer.connect(self._pod["metadata"]["uid"], port)
        except KubinetError as failure:
            metadata = self._pod["metadata"]
            return f"error forwarding port {port} to pod {metadata['namespace']}/{metadata['name']}: {failure}"

        async def to_pod() -> None:
            while block := await self._multiplexer.receive(data):
                writer.write(block)
                await writer.drain()
            if data.given_up:
                writer.transport.abort()
            elif writer.can_write_eof():
                with contextlib.suppress(OSError):
                    writer.write_eof()

        sending = asyncio.create_task(to_pod())
        try:
            while block := await reader.read(_BLOCK):
                await self._multiplexer.send(data, block)
        finally:
            await _cancel(sending)
            writer.close()
        return ""


def _port(headers: Mapping[str, str]) -> int:
    text = headers.get("port", "")
    return int(text) if text.isdecimal() else 0


class _Lane:
    """WebSocket channels 2n (data) and 2n + 1 (error) for the n-th port; each begins with the port, two bytes."""

    def __init__(self, socket: web.WebSocketResponse, index: int, port: int, *, closes: bool) -> None:
        self._socket = socket
        self._index = index
        self._port = port
        self._closes = closes
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)
        self._over = False

    async def put(self, data: bytes | None) -> None:
        """What the client sent, None at its end; waits while the pod reads too slowly."""
        if not self._over:
            await self._incoming.put(data)

    async def run(self, dialer: Dialer, pod: Object) -> None:
        """Connect and copy until the pod ends its side."""
        try:
            await self._run(dialer, pod)
        finally:
            self._over = True
            while not self._incoming.empty():  # who waits to put something need wait no more
                self._incoming.get_nowait()

    async def _run(self, dialer: Dialer, pod: Object) -> None:
        for channel in (0, 1):
            await self._send(channel, struct.pack("<H", self._port))
        try:
            reader, writer = await dialer.connect(pod["metadata"]["uid"], self._port)
        except KubinetError as failure:
            await self._send(1, str(failure).encode())
            return
        sending = asyncio.create_task(self._to_pod(writer))
        try:
            while block := await reader.read(_BLOCK):
                await self._send(0, block)
            if self._closes:
                await self._socket.send_bytes(bytes((_CLOSE, 2 * self._index)))
        except ConnectionError as failure:
            with contextlib.suppress(ConnectionError):
                await self._send(1, f"lost connection to the pod: {failure}".encode())
        finally:
            await _cancel(sending)
            writer.close()

    async def _to_pod(self, writer: asyncio.StreamWriter) -> None:
        while block := await self._incoming.get():
            writer.write(block)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes((2 * self._index + channel,)) + data)


async def _read_channels(socket: web.WebSocketResponse, lanes: list[_Lane]) -> None:
    """Hand the client's messages to the lanes, until it leaves."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _CLOSE and len(data) == 1:
            channel, data = data[0], b""
        elif not data:
            continue
        if channel % 2 == 0 and channel // 2 < len(lanes):
            await lanes[channel // 2].put(data or None)
