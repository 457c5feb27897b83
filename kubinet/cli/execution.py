"""`kubinet exec`: a program in a container as if it ran here: streams, exit status, terminal, window size."""

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kubinet.errors import KubinetError

if TYPE_CHECKING:
    from kubinet.client import Client
    from kubinet.streams import ExecSession


def run(
    client: "Client",
    namespace: str,
    pod: str,
    argv: Sequence[str],
    *,
    container: str | None,
    stdin: bool,
    terminal: bool,
) -> int:
    """Run `argv` in the pod's container with our own streams; the program's exit status."""
    from kubinet.streams import open_exec

    if terminal and not (stdin and os.isatty(0)):
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)
        terminal = False
    session = open_exec(
        client, namespace, pod, argv, container=container, stdin=stdin, tty=terminal, timeout=client.timeout
    )
    session.set_timeout(None)  # a program may be silent for as long as it likes
    try:
        with _raw_terminal(session) if terminal else contextlib.nullcontext(), _input(session, enabled=stdin):
            _copy_output(session)
    finally:
        session.close()
    return session.exit_code if session.exit_code is not None else 1


def _copy_output(session: "ExecSession") -> None:
    from kubinet.streams import STDOUT

    for channel, data in session.output():
        _write_all(1 if channel == STDOUT else 2, data)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def _input(session: "ExecSession", *, enabled: bool) -> Iterator[None]:
    """Send our standard input while the block runs; the pipe wakes the thread when the command has ended."""
    if not enabled:
        yield
        return
    wake_read, wake_write = os.pipe()
    thread = threading.Thread(target=_send_input, args=(session, wake_read), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.write(wake_write, b"x")
        thread.join()
        os.close(wake_read)
        os.close(wake_write)


def _send_input(session: "ExecSession", wake: int) -> None:
    try:
        while True:
            ready = select.select([0, wake], [], [])[0]
            if wake in ready:
                return
            data = os.read(0, 32768)
            if not data:
                session.close_stdin()
                return
            session.send(data)
    except (OSError, KubinetError):
        return  # the command has ended and the connection with it; its status is what counts
    except Exception as error:
        if not type(error).__module__.startswith("websocket"):
            raise


@contextlib.contextmanager
def _raw_terminal(session: "ExecSession") -> Iterator[None]:
    """Our terminal passes every key on, and its size follows the window's."""

    def resize(*_: object) -> None:
        size = os.get_terminal_size(0)
        session.resize(size.columns, size.lines)

    before = termios.tcgetattr(0)
    handler = signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(0, termios.TCSANOW)  # what was typed ahead is for the program
        resize()
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
