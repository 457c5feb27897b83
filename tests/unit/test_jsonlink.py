"""JSON requests over one kept-alive connection, against a server that sends given bytes."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from kubinet.jsonlink import Answer, JsonLink, LinkError


class Server:
    """Answers the requests of one connection after the other with the given bytes; what it got is in `requests`."""

    def __init__(self, connections: Sequence[Sequence[bytes]]) -> None:
        self.requests: list[bytes] = []
        self._connections = connections
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.closed = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        for answers in self._connections:
            with self._listener.accept()[0] as connection:
                for answer in answers:
                    self.requests.append(connection.recv(65536))
                    for piece in answer.split(b"|"):
                        connection.sendall(piece)
            self.closed.release()
        self._listener.close()


@contextmanager
def link_to(*connections: Sequence[bytes]) -> Iterator[tuple[JsonLink, Server]]:
    server = Server(connections)
    link = JsonLink(server.url, "secret", ca=None, timeout=30)
    yield link, server
    link.close()
    server.thread.join(5)


def test_a_request_carries_token_query_and_body() -> None:
    """Path and query are encoded, and the body has its length and type."""
    with link_to([b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\n{}"]) as (link, server):
        answer = link.request("POST", "/api/a b", {"x": "1&2"}, b'{"a":1}', "application/json")
    assert answer == Answer(201, "Created", {"content-length": "2", "x-a": "1, 2"}, b"{}")
    assert server.requests == [
        b"POST /api/a%20b?x=1%262 HTTP/1.1\r\n"
        b"Host: " + server.url.removeprefix("http://").encode() + b"\r\nUser-Agent: kubinet\r\n"
        b"Authorization: Bearer secret\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}'
    ]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le|ngth: 3\r\n\r|\na|bc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab|\r\n3;x=y\r\ncde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil|closed", b"untilclosed"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_an_answers_end_is_found(answer: bytes, body: bytes) -> None:
    """By its length, its chunks, the end of the connection, or because its status has no body."""
    with link_to([answer]) as (link, _):
        assert link.request("GET", "/", {}).body == body


def test_a_connection_is_used_again() -> None:
    """Two requests need one connection."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    two = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
    three = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3"
    with link_to([one, two, three]) as (link, _):
        assert [link.request("GET", "/", {}).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_connection_that_the_server_closed_is_replaced() -> None:
    """A server that restarted, or closed an idle connection, costs no request."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n2"
    with link_to([one], [closing], [one]) as (link, server):
        bodies = []
        for _ in range(3):
            bodies.append(link.request("GET", "/", {}).body)
            server.closed.acquire(timeout=30)
    assert bodies == [b"1", b"2", b"1"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "the connection was closed before the answer's end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "the connection was closed before the answer's end"),
        (b"SSH-2.0-x\r\n\r\n", "not an HTTP/1.1 answer: 'SSH-2.0-x'"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, "the answer's head is too long"),
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes, message: str) -> None:
    """A cut or foreign answer is never taken for one."""
    with link_to([answer]) as (link, _), pytest.raises(LinkError) as caught:
        link.request("GET", "/", {})
    assert str(caught.value) == message
