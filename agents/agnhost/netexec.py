"""`agnhost netexec`: HTTP(S), UDP and SCTP servers with endpoints for tests.

Endpoints and their answers are upstream's; /upload is not there and says so (501).
"""

import os
import signal
import socket
import threading
import time
from datetime import datetime
from functools import partial
from typing import Any, Final

from agents.agnhost import flags, net
from agents.agnhost.dial import dial, json_text
from agents.agnhost.web import Activity, Handler, Request, Response, serve_connection

_FLAGS: Final[dict[str, Any]] = {
    "http-port": 8080,
    "udp-port": 8081,
    "sctp-port": -1,
    "udp-listen-addresses": "",
    "tls-cert-file": "",
    "tls-private-key-file": "",
    "http-override": "",
    "delay-shutdown": 0,
}


class NetExec:
    """The servers of one process."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        """The UDP or SCTP server answers: /healthz depends on it, as upstream."""
        self.activity = Activity()
        self._listeners: list[socket.socket] = []
        self._routes = {
            "/clientip": lambda request: Response(request.peer),
            "/dial": dial,
            "/echo": _echo,
            "/exit": self._exit,
            "/header": lambda request: Response(request.headers.get(request.query.get("key", "").lower(), "")),
            "/healthz": lambda _: Response(status=200 if self.ready.is_set() else 412),
            "/hostname": lambda _: Response(net.hostname()),
            "/hostName": lambda _: Response(net.hostname()),
            "/redirect": _redirect,
            "/serverport": lambda request: Response(str(request.server_port)),
            "/shell": _shell,
            "/shutdown": lambda _: _end(0),
            "/upload": lambda _: Response("upload is not implemented by Kubinet's agnhost\n", 501),
        }

    def handle(self, request: Request) -> Response:
        """Answer one request; any other path tells the time."""
        net.log(f"{request.method} {request.path}")
        answer: Handler = self._routes.get(request.path, lambda _: Response(f"NOW: {datetime.now().astimezone()}"))
        return answer(request)

    def serve_http(self, port: int, handler: Handler, certificate: str, key: str) -> None:
        """Accept for ever in this thread."""
        listener = _listen(port, "tcp")
        self._listeners.append(listener)
        net.log(f"Started HTTP server on port {port}")
        serve = partial(serve_connection, handler=handler, activity=self.activity)
        if not certificate:
            net.serve_connections(listener, serve)
            return
        import ssl  # noqa: PLC0415 - twice the memory, and hardly ever used

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key or None)

        def serve_tls(connection: socket.socket, peer: str) -> None:
            try:
                connection.settimeout(10)
                secured = context.wrap_socket(connection, server_side=True)
            except OSError as error:
                net.log(f"TLS handshake with {peer}: {error}")
                connection.close()
                return
            serve(secured, peer)

        net.serve_connections(listener, serve_tls)

    def serve_udp(self, port: int, address: str) -> None:
        """Answer datagrams for ever."""
        server = _listen(port, "udp", address)
        net.log(f"Started UDP server on port {address} {port}")
        self.ready.set()
        while True:
            data, client = server.recvfrom(2048)
            reply = answer_datagram(data, net.join_host_port(client))
            if reply is not None:
                try:
                    server.sendto(reply, client)
                except OSError as error:
                    net.log(f"UDP client {net.join_host_port(client)}: {error}")

    def serve_sctp(self, port: int) -> None:
        """Answer one message per association for ever."""
        listener = _listen(port, "sctp")
        net.log("Started SCTP server")
        self.ready.set()
        net.serve_connections(listener, _serve_association)

    def _exit(self, request: Request) -> Response:
        values: dict[str, float] = {}
        for name in ("timeout", "wait"):
            text = request.query.get(name, "")
            try:
                values[name] = flags.duration(text) if text else 0.0
            except ValueError:
                return Response(f"argument '{name}' must be a valid golang duration or empty, got \"{text}\"\n")
        text = request.query.get("code", "")
        if text and not text.lstrip("-").isdecimal():
            return Response(f"argument 'code' must be an integer [0-127] or empty, got \"{text}\"\n")
        time.sleep(values["wait"])  # asked for by the client
        code = int(text or 0)
        if not values["timeout"]:
            _end(code)
        net.in_thread(self._shut_down, code, values["timeout"])
        return Response()

    def _shut_down(self, code: int, timeout: float) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
        completed = self.activity.wait_for_at_most(0, timeout)
        net.log(f"Graceful shutdown completed: {completed}")
        _end(code)


def netexec(arguments: list[str]) -> int:
    """Serve until /exit, /shutdown or a signal."""
    values, _ = flags.parse(arguments, _FLAGS)
    # A first process of a pid namespace is not ended by signals that it does not handle; Go's programs exit with 2.
    delay = values["delay-shutdown"]
    signal.signal(signal.SIGTERM, (lambda *_: net.in_thread(_end_later, delay)) if delay > 0 else (lambda *_: _end(2)))
    signal.signal(signal.SIGINT, lambda *_: _end(2))
    server = NetExec()
    if values["udp-port"] != -1:
        for address in sorted(set(values["udp-listen-addresses"].split(","))):
            net.in_thread(server.serve_udp, values["udp-port"], address)
    if values["sctp-port"] != -1:
        net.in_thread(server.serve_sctp, values["sctp-port"])
    handler = _override(server.handle, values["http-override"]) if values["http-override"] else server.handle
    net.in_thread(
        server.serve_http, values["http-port"], handler, values["tls-cert-file"], values["tls-private-key-file"]
    )
    while True:
        signal.pause()


def answer_datagram(data: bytes, client: str) -> bytes | None:
    """What the UDP and SCTP servers say: to `hostname`, `echo TEXT` and `clientip`; None is silence."""
    text = data.decode("utf-8", "replace").strip().lower()
    if text == "hostname":
        return net.hostname().encode()
    if text.startswith("echo "):
        return text.removeprefix("echo ").encode()
    if text == "clientip":
        return client.encode()
    if text:
        net.log(f"unknown command from {client}: {text}")
    return None


def _listen(port: int, kind: str, address: str = "") -> socket.socket:
    try:
        return net.listen(port, kind, address)
    except OSError as error:
        net.fatal(f"cannot listen on {kind} port {port}: {error.strerror}")


def _serve_association(connection: socket.socket, peer: str) -> None:
    with connection:
        try:
            reply = answer_datagram(connection.recv(1024), peer)
            if reply is not None:
                connection.sendall(reply)
        except OSError as error:
            net.log(f"SCTP client {peer}: {error}")


def _override(handler: Handler, target: str) -> Handler:
    from urllib.parse import parse_qsl, unquote  # noqa: PLC0415 - used by this flag only

    path, _, query = target.partition("?")
    parameters = dict(reversed(parse_qsl(query, keep_blank_values=True)))

    def handle(request: Request) -> Response:
        return handler(Request("GET", unquote(path), parameters, request.headers, request.peer, request.server_port))

    return handle


def _echo(request: Request) -> Response:
    code, text = request.query.get("code", ""), request.query.get("msg", "")
    if code and not code.isdecimal():
        return Response(f"argument 'code' must be an integer or empty, got \"{code}\"\n")
    return Response(text, int(code or 200))


def _redirect(request: Request) -> Response:
    code = request.query.get("code", "")
    if code and not code.isdecimal():
        return Response(f"argument 'code' must be an integer or empty, got \"{code}\"\n")
    return Response(
        "", int(code or 302), {"Location": request.query.get("location", "").replace("\r", "").replace("\n", "")}
    )


def _shell(request: Request) -> Response:
    import subprocess  # noqa: PLC0415 - start-up time

    command = request.query.get("shellCommand") or request.query.get("cmd", "")
    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = {}
    if ended.stdout:
        output["output"] = ended.stdout.decode("utf-8", "replace")
    if ended.returncode > 0:
        output["error"] = f"exit status {ended.returncode}"
    elif ended.returncode < 0:
        output["error"] = f"signal: {signal.strsignal(-ended.returncode)}"
    return Response(json_text(output))


def _end_later(seconds: int) -> None:
    net.log(f"Sleeping {seconds} seconds before terminating...")
    time.sleep(seconds)  # asked for by --delay-shutdown
    _end(0)


def _end(code: int) -> Any:
    os._exit(code & 0xFF)
