"""The runtime's socket: one request per connection (see `kubinet.cri`)."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agents.runtime import spawn
from agents.runtime.attaching import Attached
from agents.runtime.loop import Loop
from agents.runtime.runtime import Runtime
from agents.runtime.starting import Start
from kubinet.cri import ContainerExit, ContainerSpec, SandboxSpec
from kubinet.crilink import ContainerRuntimeError, ExecStartError
from kubinet.criwire import decode, encode
from kubinet.syscalls import receive_fds

_REQUEST_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one request; a batch with every ConfigMap of a big cluster stays far below."""

_BACKLOG_LIMIT: Final = 16 * 1024 * 1024
"""Bytes that wait for a client that does not read, before it is cut off."""


class Server:
    """Accepts connections and hands their requests to the runtime."""

    def __init__(self, loop: Loop, runtime: Runtime, path: Path) -> None:
        self.loop = loop
        self.runtime = runtime
        self._subscribers: set[Connection] = set()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(1024)
        loop.watch(self._socket.fileno(), self._accept)
        runtime.on_exit = self._publish

    def subscribe(self, connection: "Connection") -> None:
        """Send it every exit from now on."""
        self._subscribers.add(connection)

    def unsubscribe(self, connection: "Connection") -> None:
        """It went away."""
        self._subscribers.discard(connection)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = self._socket.accept()
            Connection(self, client)

    def _publish(self, ended: ContainerExit) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber.send(encode(ended))


class Connection:
    """One client's connection."""

    def __init__(self, server: Server, client: socket.socket) -> None:
        self._server = server
        self._loop = server.loop
        self._socket = client
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._outgoing_fds: list[int] = []
        self._fds: list[int] = []
        self._asked = False
        self._process: spawn.Spawned | None = None
        self._attached: Attached | None = None
        client.setblocking(False)
        self._loop.watch(client.fileno(), self._read)

    def send(self, line: object, fd: int | None = None) -> None:
        """Queue a line, and with it a descriptor, closed when sent; a client that does not read is cut off."""
        if fd is not None:
            self._outgoing_fds.append(fd)
        if self._socket.fileno() < 0:
            _close_all(self._outgoing_fds)
            return
        self._outgoing += json.dumps(line).encode() + b"\n"
        if len(self._outgoing) > _BACKLOG_LIMIT:
            self._close()
            return
        self._write()

    def _read(self) -> None:
        try:
            data, fds = receive_fds(self._socket, 262144, 3)
        except BlockingIOError:
            return
        except ConnectionError:
            data, fds = b"", []
        except OSError as error:  # the descriptors that belong to the request were lost
            self.send({"error": "ContainerRuntimeError", "message": f"container runtime: {error.strerror}"})
            self._close()
            return
        self._fds += fds
        self._incoming += data
        if not data or len(self._incoming) > _REQUEST_LIMIT:
            self._close()
            return
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = rest
        for line in lines:
            self._take(bytes(line))

    def _take(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            if self._asked:
                self._signal(int(request["signal"]))
                return
            self._asked = True
            self._answer(request)
        except ContainerRuntimeError as error:
            self.send({"error": type(error).__name__, "message": str(error)})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.send({"error": "ContainerRuntimeError", "message": f"request not understood: {error!r}"})
        except OSError as error:
            self.send({"error": "ContainerRuntimeError", "message": f"container runtime: {error}"})

    def _answer(self, request: dict[str, Any]) -> None:
        runtime = self._server.runtime
        reply: Callable[[object], None] = lambda result: self.send({"ok": encode(result)})  # noqa: E731
        match request["call"]:
            case "create_sandboxes":
                reply(runtime.create_sandboxes(decode(tuple[SandboxSpec, ...], request["specs"])))
            case "remove_sandboxes":
                runtime.remove_sandboxes(request["pod_uids"], keep_logs=request["keep_logs"], done=lambda: reply(None))
            case "list":
                reply(runtime.list())
            case "network_namespace":
                reply(runtime.network_namespace(request["pod_uid"]))
            case "attach":
                self._attach(request)
            case "start_containers":
                runtime.start_containers(decode(tuple[ContainerSpec, ...], request["specs"]), reply)
            case "stop_container":
                runtime.stop_container(request["pod_uid"], request["name"], request["grace_seconds"])
                reply(None)
            case "events":
                self._server.subscribe(self)
                reply(None)
            case "exec":
                self._exec(request)
            case call:
                raise ContainerRuntimeError(f"container runtime: unknown call {call!r}")

    def _attach(self, request: dict[str, Any]) -> None:
        given = dict(zip(request["streams"], self._fds, strict=True))
        container = self._server.runtime.running(request["pod_uid"], request["container"])
        stdin = container.take_stdin(once=request["once"]) if request["stdin"] or container.spec.tty else None
        # Only now are they another's to close: the lines above may refuse.
        self._attached, self._fds = Attached(self._loop, given), []
        container.attach(self._attached)
        container.when_exited(lambda ended: self.send({"exit_code": ended.status().exit_code}))
        self.send({"ok": {"terminal": container.spec.tty}}, stdin)

    def _exec(self, request: dict[str, Any]) -> None:
        given = dict(zip(request["streams"], self._fds, strict=True))
        if request["tty"] and given:
            raise ExecStartError("exec with a terminal makes its streams and takes none")
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        streams = (given.get("stdin", null), given.get("stdout", null), given.get("stderr", null))
        try:
            process = self._server.runtime.exec(
                request["pod_uid"],
                request["container"],
                request["argv"],
                request["env"],
                None if request["tty"] else streams,
            )
        finally:
            os.close(null)
            _close_all(self._fds)
        self._process = process
        process.start.when_decided(self._loop, lambda start: self._exec_decided(process, start))

    def _exec_decided(self, process: spawn.Spawned, start: Start) -> None:
        if start.error:
            # It ends by itself, unless only its terminal is missing.
            signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
            self._loop.watch(process.pidfd, lambda: self._exec_failed(process, start.error))
            return
        self.send({"ok": {"pid": process.pid}}, start.terminal)
        self._loop.watch(process.pidfd, lambda: self._exec_ended(process))

    def _exec_failed(self, process: spawn.Spawned, reason: str) -> None:
        self._reap(process)
        self.send({"error": "ExecStartError", "message": reason})

    def _exec_ended(self, process: spawn.Spawned) -> None:
        code = self._reap(process)
        self.send({"exit_code": code if code >= 0 else 128 - code})

    def _reap(self, process: spawn.Spawned) -> int:
        self._process = None
        self._loop.forget(process.pidfd)
        os.close(process.pidfd)
        _, status = os.waitpid(process.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            signal.pidfd_send_signal(self._process.pidfd, number)

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                sent = socket.send_fds(self._socket, [self._outgoing], self._outgoing_fds)
            except ConnectionError:
                self._close()
                return
            del self._outgoing[:sent]
            _close_all(self._outgoing_fds)
        self._loop.watch(self._socket.fileno(), self._read, self._write if self._outgoing else None)

    def _close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        _close_all(self._fds)
        _close_all(self._outgoing_fds)
        self._server.unsubscribe(self)
        if self._attached is not None:
            self._attached.close()
        # The process of an exec belongs to its caller; it is reaped as usual.
        self._signal(signal.SIGKILL)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
    fds.clear()
