"""`agnhost porter`: serves the values of environment variables on the ports in their names."""

import os
import signal
import socket
from functools import partial
from typing import Final

from agents.agnhost import flags, net
from agents.agnhost.dial import json_text
from agents.agnhost.netexec import NetExec
from agents.agnhost.web import Handler, Request, Response

PREFIXES: Final = {
    "SERVE_PORT_": "http",
    "SERVE_TCP_PORT_": "http",
    "SERVE_UDP_PORT_": "udp",
    "SERVE_SCTP_PORT_": "sctp",
    "SERVE_TLS_PORT_": "https",
}


def porter(arguments: list[str]) -> int:
    """Serve until a signal; TLS uses the files in CERT_FILE and KEY_FILE."""
    values, _ = flags.parse(arguments, {"json-response": False})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(2))
    server = NetExec()
    for kind, port, value in wanted(dict(os.environ)):
        if kind in ("http", "https"):
            answer: Handler = partial(_answer, value=value, as_json=values["json-response"])
            certificate, key = os.environ.get("CERT_FILE", ""), os.environ.get("KEY_FILE", "")
            if kind == "https" and not certificate:
                net.fatal(f"SERVE_TLS_PORT_{port}: set CERT_FILE and KEY_FILE; Kubinet's agnhost brings no certificate")
            net.in_thread(server.serve_http, port, answer, certificate if kind == "https" else "", key)
        else:
            net.in_thread(_serve_udp if kind == "udp" else _serve_sctp, port, value.encode())
    while True:
        signal.pause()


def wanted(environment: dict[str, str]) -> list[tuple[str, int, str]]:
    """(kind, port, value) of every variable that asks for a server; FlagError for a port that is none."""
    servers = []
    for name, value in sorted(environment.items()):
        for prefix, kind in PREFIXES.items():
            if name.startswith(prefix):
                port = name.removeprefix(prefix)
                if not port.isdecimal() or not 0 < int(port) < 65536:
                    raise flags.FlagError(f"environment variable {name}: {port!r} is no port")
                servers.append((kind, int(port), value))
    return servers


def _answer(request: Request, value: str, *, as_json: bool) -> Response:
    if as_json:
        return Response(
            json_text({"Method": request.method, "Body": value}), headers={"Content-Type": "application/json"}
        )
    return Response(value)


def _serve_udp(port: int, value: bytes) -> None:
    server = _listen(port, "udp")
    while True:
        _, client = server.recvfrom(2048)
        server.sendto(value, client)


def _serve_sctp(port: int, value: bytes) -> None:
    def say(connection: socket.socket, peer: str) -> None:
        with connection:
            try:
                connection.sendall(value)
            except OSError as error:
                net.log(f"SCTP client {peer}: {error}")

    net.serve_connections(_listen(port, "sctp"), say)


def _listen(port: int, kind: str) -> socket.socket:
    try:
        listener = net.listen(port, kind)
    except OSError as error:
        net.fatal(f"cannot listen on {kind} port {port}: {error.strerror}")
    net.log(f"Started {kind.upper()} server on port {port}")
    return listener
