"""Network namespaces as hosts of a test: servers that say who asked them, clients that say what they got."""

import contextlib
import importlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from patient import PatientSocket

from kubinet.netns import namespace, of_process

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


def shell(command: str, pid: int | None = None) -> str:
    """What the command prints; in the namespace of a process where one is given."""
    words = ["sh", "-c", command] if pid is None else ["nsenter", "-t", str(pid), "-n", "sh", "-c", command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")
    return done.stdout


def new_host() -> int:
    """A process in a network namespace of its own, whose loopback is up; ends with us."""
    child = subprocess.Popen(
        ["unshare", "--net", "--kill-child", "--fork", "sh", "-c", "ip link set lo up; echo ok; exec sleep 1000"],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ok\n"
    return int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text())


@contextlib.contextmanager
def server(pid: int, address: str, port: int, kind: int, word: str) -> Iterator[None]:
    """Answers each connection or datagram with the word and the client's address."""
    with namespace(of_process(pid)):
        opened = socket.socket(socket.AF_INET, kind)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((address, port))
    if kind == TCP:
        opened.listen(64)  # here, not in the thread: who asks before it has begun waits, and is not refused

    def answer() -> None:
        if kind == TCP:
            connection, peer = opened.accept()
            threading.Thread(target=_talk, args=(connection, f"{word} {peer[0]}".encode()), daemon=True).start()
        else:
            _, peer = opened.recvfrom(100)
            opened.sendto(f"{word} {peer[0]}".encode(), peer)

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                answer()

    threading.Thread(target=run, daemon=True).start()
    yield
    opened.close()


def _talk(connection: socket.socket, words: bytes) -> None:
    """Say it once, and again whenever something is said to us."""
    with connection, contextlib.suppress(OSError):
        connection.sendall(words)
        while connection.recv(100):
            connection.sendall(words)


def client(pid: int, kind: int = TCP, timeout: float = 2.0) -> PatientSocket:
    """A client socket of the host."""
    with namespace(of_process(pid)):
        return PatientSocket(kind, limit=timeout)


def talk(opened: socket.socket) -> str:
    """Say something over a connected socket; returns the answer, `refused` or `silence`."""
    try:
        opened.send(b"?")
        return opened.recv(100).decode()
    except ConnectionError:
        return "refused"
    except TimeoutError:
        return "silence"


def ask(pid: int, address: str, port: int, kind: int = TCP, timeout: float = 2.0) -> str:
    """One new connection or datagram; returns the answer, `refused` or `silence`."""
    with client(pid, kind, timeout) as opened:
        try:
            opened.connect((address, port))
            if kind == UDP:
                opened.send(b"?")
            return opened.recv(100).decode()
        except (ConnectionRefusedError, PermissionError):
            return "refused"  # EPERM: the host's own kernel refuses a datagram before it leaves
        except TimeoutError:
            return "silence"


def node_setup() -> ModuleType:
    """`agents.node_setup`, imported inside the sandbox only: it brings eventlet, which complains when pytest forks."""
    return importlib.import_module("agents.node_setup")
