"""`agnhost serve-hostname`: the host name over HTTP, or raw over TCP and UDP."""

import signal
import socket
import time
from functools import partial
from typing import Final

from agents.agnhost import flags, net
from agents.agnhost.web import Activity, Request, Response, serve_connection

_LINGER: Final = 60.0
"""Seconds that it goes on serving after SIGTERM, so that tests see a pod that is terminating."""


def serve_hostname(arguments: list[str]) -> int:
    """Serve; after SIGTERM for a minute more, as upstream."""
    defaults = {"tcp": False, "udp": False, "http": True, "close": False, "port": 9376}
    values, _ = flags.parse(arguments, defaults)
    if values["http"] and (values["tcp"] or values["udp"]):
        net.fatal("Can't serve TCP/UDP mode and HTTP mode at the same time")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    name = net.hostname()
    port: int = values["port"]
    try:
        if values["tcp"]:
            net.in_thread(net.serve_connections, net.listen(port, "tcp"), partial(_say, name=name))
        if values["udp"]:
            net.in_thread(_serve_udp, net.listen(port, "udp"), name)
        if values["http"]:
            headers = {"Connection": "close"} if values["close"] else {}

            def answer(request: Request) -> Response:
                net.log(f"HTTP request from {request.peer}")
                return Response(name, headers=headers)

            serve = partial(serve_connection, handler=answer, activity=Activity())
            net.in_thread(net.serve_connections, net.listen(port, "tcp"), serve)
    except OSError as error:
        net.fatal(f"cannot listen on port {port}: {error.strerror}")
    net.log(f"Serving on port {port}.")
    signal.sigwait({signal.SIGTERM})
    net.log("Shutting down after receiving signal: terminated.")
    net.log("Awaiting pod deletion.")
    time.sleep(_LINGER)
    return 0


def _say(connection: socket.socket, peer: str, name: str) -> None:
    with connection:
        net.log(f"TCP request from {peer}")
        try:
            connection.sendall(name.encode())
        except OSError as error:
            net.log(f"TCP client {peer}: {error}")


def _serve_udp(server: socket.socket, name: str) -> None:
    while True:
        _, client = server.recvfrom(16)
        net.log(f"UDP request from {net.join_host_port(client)}")
        server.sendto(name.encode(), client)
