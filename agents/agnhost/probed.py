"""`agnhost liveness` and `agnhost test-webserver`: small HTTP servers to be probed."""

import os
import signal
import time
from functools import partial
from html import escape
from pathlib import Path
from typing import Final, NoReturn

from agents.agnhost import flags, net
from agents.agnhost.web import Activity, Handler, Request, Response, serve_connection

HEALTHY_SECONDS: Final = 10.0


def liveness(arguments: list[str]) -> NoReturn:
    """Port 8080: /healthz is fine for 10 s and then fails; /started tells the age, /redirect?loc=… sends elsewhere."""
    flags.parse(arguments, {})
    _serve(8080, partial(liveness_answer, time.monotonic()))


def test_webserver(arguments: list[str]) -> NoReturn:
    """Serve the container's files."""
    values, _ = flags.parse(arguments, {"port": 80})
    _serve(values["port"], partial(file_answer, Path("/")))


def liveness_answer(began: float, request: Request) -> Response:
    """What `liveness` says, `began` on the monotonic clock."""
    age = time.monotonic() - began
    match request.path:
        case "/healthz":
            return Response(f"error: {age}", 500) if age > HEALTHY_SECONDS else Response("ok")
        case "/started":
            return Response(str(age))
        case "/redirect":
            location = request.query.get("loc", "").replace("\r", "").replace("\n", "")
            return Response("", 302, {"Location": location})
        case _:
            return Response("404 page not found\n", 404)


def file_answer(root: Path, request: Request) -> Response:
    """A file, or a folder's list; nothing outside of `root`."""
    path = (root / request.path.lstrip("/")).resolve()
    if not path.is_relative_to(root.resolve()):
        return Response("404 page not found\n", 404)
    try:
        if path.is_dir():
            names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir())
            lines = "".join(f'<a href="{escape(name)}">{escape(name)}</a>\n' for name in names)
            return Response(f"<pre>\n{lines}</pre>\n", headers={"Content-Type": "text/html; charset=utf-8"})
        return Response(path.read_bytes().decode("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return Response("404 page not found\n", 404)
    except OSError:
        return Response("403 Forbidden\n", 403)


def _serve(port: int, handler: Handler) -> NoReturn:
    # A first process of a pid namespace is not ended by signals that it does not handle; Go's programs exit with 2.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(2))
    try:
        listener = net.listen(port, "tcp")
    except OSError as error:
        net.fatal(f"cannot listen on tcp port {port}: {error.strerror}")
    serve = partial(serve_connection, handler=handler, activity=Activity())
    net.in_thread(net.serve_connections, listener, serve)
    while True:
        signal.pause()
