"""The container runtime's client, against a socket that answers what the test says."""

import os
import select
import socket
import threading
from pathlib import Path

import pytest

from kubinet.cri import (
    RuntimeClient,
)
from kubinet.crilink import ContainerRuntimeError, ExecStartError


def _runtime(path: Path, *parts: bytes) -> threading.Thread:
    """Answers one request with these parts, each in a send of its own, and keeps the connection for a while."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
            connection.recv(1)  # until the client closes

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_the_end_of_a_short_exec_is_seen_although_it_came_with_the_answer(tmp_path: Path) -> None:
    """Answer and exit status in one packet: the process is readable, and its status is 7."""
    server = _runtime(tmp_path / "runtime.sock", b'{"ok": {"pid": 5}}\n{"exit_code": 7}\n')
    with RuntimeClient(tmp_path / "runtime.sock").exec("u", "main", ["true"]) as process:
        assert select.select([process], [], [], 10.0)[0] == [process]
        assert (process.pid, process.wait(10.0)) == (5, 7)
    server.join(10.0)


def test_an_answer_in_pieces_is_put_together(tmp_path: Path) -> None:
    """A line may arrive in any number of parts."""
    server = _runtime(tmp_path / "runtime.sock", b'{"ok": {"p', b'id": 5}}\n{"exit', b'_code": 0}\n')
    with RuntimeClient(tmp_path / "runtime.sock").exec("u", "main", ["true"]) as process:
        assert (process.pid, process.wait(10.0)) == (5, 0)
    server.join(10.0)


def test_an_exec_that_is_not_awaited_is_polled_without_blocking(tmp_path: Path) -> None:
    """None before the answer and while it runs, then the status; a refusal is its error."""
    reader, writer = os.pipe()
    server = _runtime(tmp_path / "runtime.sock", b'{"ok": {"pid": 5}}\n', b'{"exit_', b'code": 3}\n')
    with RuntimeClient(tmp_path / "runtime.sock").exec_unawaited("u", "main", ["false"], output=writer) as process:
        seen: list[int | None] = []
        while not seen or seen[-1] is None:
            select.select([process], [], [], 10.0)
            seen.append(process.poll())
        assert seen[-1] == 3
    server.join(10.0)
    (tmp_path / "runtime.sock").unlink()
    server = _runtime(tmp_path / "runtime.sock", b'{"error": "ExecStartError", "message": "no such program"}\n')
    with RuntimeClient(tmp_path / "runtime.sock").exec_unawaited("u", "main", ["x"], output=writer) as process:
        select.select([process], [], [], 10.0)
        with pytest.raises(ExecStartError, match="no such program"):
            process.poll()
    server.join(10.0)
    os.close(reader)
    os.close(writer)


def test_a_terminal_that_does_not_arrive_is_an_error(tmp_path: Path) -> None:
    """Not a process without a terminal; here two are sent where one may come, as at the limit of open files."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "runtime.sock"))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                socket.send_fds(connection, [b'{"ok": {"pid": 5}}\n'], [0, 0])
                connection.recv(1)  # until the client closes

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with pytest.raises(ContainerRuntimeError, match=r"open files that were sent along were lost.* \(ulimit -n\)"):
            RuntimeClient(tmp_path / "runtime.sock").exec("u", "main", ["sh"], tty=True)
        server.join(10.0)
