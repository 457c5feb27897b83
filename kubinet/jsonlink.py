"""JSON requests over one kept-alive HTTP/1.1 connection (RFC 9112), for the many small calls between our own parts.

`requests` costs a millisecond of processor time per call, which a thousand pods pay seven times each; this costs a
tenth. It knows what our API server sends, no redirects, cookies, proxies or compression.
"""

import select
import socket
import ssl
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from kubinet.errors import KubinetError

_SAFE_IN_PATHS: Final = "/:@!$&'()*+,;=~"
_HEAD_LIMIT: Final = 64 * 1024
_READ_SIZE: Final = 64 * 1024


class LinkError(KubinetError):
    """The server did not answer, or what came is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """By lower-case name; several of one name are joined by `, `."""
    body: bytes


class JsonLink:
    """Requests to one server. A call takes an idle connection or opens one, so threads do not meet on it."""

    def __init__(self, url: str, token: str, *, ca: Path | None, timeout: float) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._prefix = parts.path
        self._ca = ca
        self._timeout = timeout
        self._headers = (
            f"Host: {parts.netloc}\r\nUser-Agent: kubinet\r\n"
            f"Authorization: Bearer {token}\r\nAccept: application/json\r\n"
        )
        self._context: ssl.SSLContext | None = None
        self._idle: list[socket.socket] = []
        weakref.finalize(self, _close_all, self._idle)

    def close(self) -> None:
        """Close the connections that nobody uses; a later call opens a new one."""
        _close_all(self._idle)

    def request(
        self, method: str, path: str, query: Mapping[str, str], body: bytes = b"", content_type: str = ""
    ) -> Answer:
        """One request, at most `timeout` seconds without a byte of its answer; LinkError without a whole one."""
        target = self._prefix + quote(path, safe=_SAFE_IN_PATHS) + (f"?{urlencode(query)}" if query else "")
        head = f"{method} {target} HTTP/1.1\r\n{self._headers}"
        if content_type:
            head += f"Content-Type: {content_type}\r\n"
        if body or method != "GET":
            head += f"Content-Length: {len(body)}\r\n"
        try:
            connection = self._take()
            try:
                connection.sendall(head.encode("latin-1") + b"\r\n" + body)
                answer, reusable = _read_answer(connection)
            except BaseException:
                connection.close()
                raise
        except (OSError, ValueError) as error:
            raise LinkError(str(error) or type(error).__name__) from error
        if reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take(self) -> socket.socket:
        while self._idle:
            connection = self._idle.pop()
            if not _readable(connection):
                return connection
            connection.close()  # the server closed it, or says what nobody asked
        connection = socket.create_connection((self._host, self._port), self._timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._secure:
            return connection
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca)
        try:
            return self._context.wrap_socket(connection, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise


def _close_all(connections: list[socket.socket]) -> None:
    while connections:
        connections.pop().close()


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _read_answer(connection: socket.socket) -> tuple[Answer, bool]:
    """The answer, and whether the connection can take another request; ValueError when it is none."""
    reader = _Reader(connection)
    lines = reader.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not an HTTP/1.1 answer: {lines[0][:80]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        key, text = name.lower(), value.strip()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    reusable = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if status in ("204", "304"):
        body = b""
    elif "content-length" in headers:
        body = reader.exactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = _read_chunks(reader)
    else:
        body, reusable = reader.to_the_end(), False
    return Answer(int(status), reason, headers, body), reusable


def _read_chunks(reader: "_Reader") -> bytes:
    chunks = []
    while size := int(reader.until(b"\r\n").split(b";")[0], 16):
        chunks.append(reader.exactly(size))
        reader.until(b"\r\n")
    while reader.until(b"\r\n"):
        pass  # trailers
    return b"".join(chunks)


class _Reader:
    """What one answer consists of."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def until(self, mark: bytes) -> bytes:
        """What stands before `mark`, which is taken too."""
        while mark not in self._buffer:
            if len(self._buffer) > _HEAD_LIMIT:
                raise ValueError("the answer's head is too long")
            self._buffer += self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        parts = [self._buffer]
        missing = size - len(self._buffer)
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def to_the_end(self) -> bytes:
        """Everything until the server closes."""
        parts = [self._buffer]
        while part := self._connection.recv(_READ_SIZE):
            parts.append(part)
        return b"".join(parts)

    def _more(self) -> bytes:
        part = self._connection.recv(_READ_SIZE)
        if not part:
            raise ConnectionError("the connection was closed before the answer's end")
        return part
