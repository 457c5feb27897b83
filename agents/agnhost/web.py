"""A small HTTP/1.1 server: one thread per connection, keep-alive, bodies with a length."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote

_HEAD_LIMIT: Final = 64 * 1024
_BODY_LIMIT: Final = 16 * 1024 * 1024
_IDLE_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, str]
    """The first value of each parameter, of the URL or a form."""
    headers: dict[str, str]
    """Names in lower case."""
    peer: str
    """`address:port` of the client."""
    server_port: int


@dataclass(frozen=True, slots=True)
class Response:
    """What it gets."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Response]


class BadRequestError(Exception):
    """The client does not speak HTTP."""


class Activity:
    """Counts requests in work, so that a shutdown can wait for them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def __enter__(self) -> None:
        with self._condition:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._count -= 1
            self._condition.notify_all()

    def wait_for_at_most(self, count: int, timeout: float) -> bool:
        """True when so few requests are left in time."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count <= count, timeout)


def serve_connection(connection: socket.socket, peer: str, handler: Handler, activity: Activity) -> None:
    """Answer a connection's requests until it ends."""
    with connection:
        connection.settimeout(_IDLE_SECONDS)
        try:
            server_port = connection.getsockname()[1]
            reader = _Reader(connection)
            for request in reader.requests(peer, server_port):
                with activity:
                    response = handler(request)
                    keep = reader.keep_alive and response.headers.get("Connection") != "close"
                    connection.sendall(_encode(response, keep=keep, head_only=request.method == "HEAD"))
                if not keep:
                    return
        except BadRequestError as error:
            connection.sendall(_encode(Response(f"400 Bad Request: {error}", 400), keep=False, head_only=False))
        except OSError:
            return  # the client went away or fell silent


class _Reader:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self.keep_alive = True

    def requests(self, peer: str, server_port: int) -> Iterator[Request]:
        while True:
            head = self._head()
            if not head:
                return
            yield self._request(head, peer, server_port)

    def _head(self) -> str:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadRequestError("header too long")
            received = self._connection.recv(65536)
            if not received:
                return ""
            self._buffer += received
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def _request(self, head: str, peer: str, server_port: int) -> Request:
        first, *lines = head.split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise BadRequestError("malformed request line")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequestError("malformed header")
            headers[name.strip().lower()] = value.strip()
        connection = headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (words[2] != "HTTP/1.0" or "keep-alive" in connection)
        target = words[1]
        if target.startswith("http://"):
            target = "/" + target[7:].partition("/")[2]
        path, _, query = target.partition("?")
        body = self._body(headers)
        pairs = parse_qsl(query, keep_blank_values=True)
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True) + pairs
        return Request(words[0], unquote(path), dict(reversed(pairs)), headers, peer, server_port)

    def _body(self, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            raise BadRequestError("bodies need Content-Length")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            raise BadRequestError("bad Content-Length")
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < int(length):
            received = self._connection.recv(65536)
            if not received:
                raise BadRequestError("body ended early")
            self._buffer += received
        body, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return body


def _encode(response: Response, *, keep: bool, head_only: bool) -> bytes:
    body = response.body.encode("utf-8", "surrogateescape")
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = f"status code {response.status}"
    headers = {"Content-Type": "text/plain; charset=utf-8", **response.headers, "Content-Length": str(len(body))}
    if not keep:
        headers["Connection"] = "close"
    head = f"HTTP/1.1 {response.status} {phrase}\r\n" + "".join(f"{name}: {headers[name]}\r\n" for name in headers)
    return head.encode("latin-1", "replace") + b"\r\n" + (b"" if head_only else body)
