"""`pods/exec` and `pods/attach`: check the request, get the process, and hand it to WebSocket or SPDY."""

from collections.abc import AsyncIterator
from typing import Final

import orjson
from aiohttp import WSMsgType, web

from controller.api.registry import POD
from controller.api.request import Request
from controller.api.status import Object, bad_request, not_found
from controller.api.store import Store
from controller.api.streams import spdy
from controller.api.streams.containers import choose
from controller.api.streams.session import ERROR, Channels, Command, Runtime, Session, exit_status, start_failure
from kubinet.errors import KubinetError

_V5: Final = "v5.channel.k8s.io"
_V4: Final = "v4.channel.k8s.io"
_CLOSE: Final = 255


class WebSocketChannels:
    """v5.channel.k8s.io and v4: the first byte of a message is the channel; v5 closes one with `255 <channel>`."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, channel: int, data: bytes) -> None:
        """One message."""
        await self._socket.send_bytes(bytes((channel,)) + data)

    async def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        """Messages until the client closes."""
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            data = message.data.encode() if isinstance(message.data, str) else message.data
            if data[:1] == bytes((_CLOSE,)) and len(data) == 2:
                yield data[1], None
            elif data:
                yield data[0], data[1:]


class Exec:
    """Answers `pods/exec`."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime

    async def handle(self, request: Request) -> web.StreamResponse:
        """GET (WebSocket) or POST (SPDY) pods/NAME/exec."""
        command = self._command(request)
        upgrade = request.http.headers.get("Upgrade", "").lower()
        if upgrade == "websocket":
            return await self._web_socket(request, command)
        if upgrade == spdy.PROTOCOL.lower():
            spdy.check(request.http)
            return await spdy.serve(request.http, lambda channels: self._run(channels, command), _streams(request))
        raise bad_request(f"Upgrade request required: websocket ({_V5}) or {spdy.PROTOCOL}")

    def _command(self, request: Request) -> Command:
        pod = self._pod(request, "exec into")
        command = Command(
            pod["metadata"]["uid"],
            choose(pod, request.query.get("container", "")),
            tuple(request.http.query.getall("command", ())),
            stdin=request.flag("stdin"),
            stdout=request.flag("stdout"),
            stderr=request.flag("stderr"),
            tty=request.flag("tty"),
        )
        if not command.argv:
            raise bad_request("you must specify a command for the container")
        command.check()
        return command

    def _pod(self, request: Request, wish: str) -> Object:
        target = request.target
        stored = self._store.get(POD.key, target.namespace, target.name)
        if stored is None:
            raise not_found("", "pods", target.name)
        pod = stored.object
        phase = (pod.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed"):
            raise bad_request(f"cannot {wish} a container in a completed pod; current phase is {phase}")
        if not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {target.name} does not have a host assigned")
        return pod

    async def _start(self, command: Command) -> Session:
        return await Session.start(self._runtime, command)

    @staticmethod
    def _end(code: int) -> Object:
        return exit_status(code)

    async def _web_socket(self, request: Request, command: Command) -> web.StreamResponse:
        offered = [part.strip() for part in request.http.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if not {_V5, _V4} & set(offered):
            raise bad_request(f"the server speaks {_V5} and {_V4}, the client offers {', '.join(offered) or 'none'}")
        socket = web.WebSocketResponse(protocols=(_V5, _V4), compress=False, timeout=2.0, heartbeat=30.0)
        await socket.prepare(request.http)
        channels = WebSocketChannels(socket)
        try:
            status = await self._run(channels, command)
            if status is not None:
                await channels.send(ERROR, orjson.dumps(status))
            await socket.close()
        except ConnectionError:
            pass  # the client left
        return socket

    async def _run(self, channels: Channels, command: Command) -> Object | None:
        """The final `Status`, None when the client left."""
        try:
            session = await self._start(command)
        except KubinetError as error:
            return start_failure(error).to_json()
        try:
            code = await session.run(channels)
        except KubinetError as error:
            return start_failure(error).to_json()
        return None if code is None else self._end(code)


def _streams(request: Request) -> int:
    """How many streams an SPDY client opens: those it asked for, the error stream, and resize with a terminal."""
    return 1 + sum(request.flag(name) for name in ("stdin", "stdout", "stderr", "tty"))


class Attach(Exec):
    """Answers `pods/attach`: the streams of the container's own process, from now on."""

    def _command(self, request: Request) -> Command:
        pod = self._pod(request, "attach to")
        name = choose(pod, request.query.get("container", ""))
        spec = pod["spec"]
        listed = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        container = next(entry for entry in listed if entry["name"] == name)
        tty = bool(container.get("tty"))
        command = Command(
            pod["metadata"]["uid"],
            name,
            (),
            stdin=request.flag("stdin") and bool(container.get("stdin")),
            stdout=request.flag("stdout"),
            stderr=request.flag("stderr") and not tty,
            tty=tty and request.flag("tty"),
            once=bool(container.get("stdinOnce")),
        )
        command.check()
        return command

    async def _start(self, command: Command) -> Session:
        return await Session.attach(self._runtime, command)

    @staticmethod
    def _end(_code: int) -> Object:
        return exit_status(0)  # that the container ended is success, however it ended
