"""`agnhost load-client connect|rate|requests ADDRESS:PORT`: TCP load against `agnhost load-server`; prints JSON.

Kubinet's own, not upstream's. `connect` opens one connection from each of some source ports and says who answered
each; `rate` opens connections as fast as they are answered; `requests` is an open loop: requests start at times that
do not depend on the answers, and a request's time counts from when it was to start.

Connections end by a reset, so that the same addresses and ports can be used again at once.
"""

import errno
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Final

from agents.agnhost import flags, net

_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Open:
    """A connection that waits for its answer."""

    number: int
    """Its source port, or which request it is."""
    due: float
    """When it was to start (time.monotonic)."""
    socket: socket.socket
    read: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a connection ended."""

    number: int
    due: float
    ended: float
    server: str
    """Who greeted; empty when nobody did."""
    failure: str = ""


class Connections:
    """Connections in flight; one thread."""

    def __init__(self, *, work: bool, timeout: float) -> None:
        self._wanted = 2 if work else 1
        self._timeout = timeout
        self._open: dict[int, Open] = {}
        self._poll = select.epoll()

    def __len__(self) -> int:
        return len(self._open)

    def start(self, target: net.Address, number: int, due: float, source_port: int = 0) -> Iterator[Answer]:
        """Open one; yields its failure where it fails at once."""
        new = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        new.setblocking(False)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if source_port:
                new.bind(("", source_port))
            code = new.connect_ex(target)
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in (0, errno.EINPROGRESS):
            new.close()
            yield Answer(number, due, time.monotonic(), "", errno.errorcode.get(code, str(code)))
            return
        self._open[new.fileno()] = Open(number, due, new)
        self._poll.register(new, select.EPOLLIN)

    def answers(self, wait: float) -> Iterator[Answer]:
        """Those that ended, after at most `wait` seconds for the first."""
        for number, _ in self._poll.poll(max(0.0, wait)):
            one = self._open.get(number)
            if one is not None:
                yield from self._read(one)
        now = time.monotonic()
        for one in [late for late in self._open.values() if now - late.due > self._timeout]:
            yield self._end(one, "TIMEOUT")

    def _read(self, one: Open) -> Iterator[Answer]:
        try:
            data = one.socket.recv(256)
        except OSError as error:
            yield self._end(one, errno.errorcode.get(error.errno or 0, str(error.errno)))
            return
        if not data:
            yield self._end(one, "CLOSED")
            return
        greeted = b"\n" in one.read
        one.read += data
        lines = one.read.count(b"\n")
        if lines >= self._wanted:
            yield self._end(one, "")
        elif lines and not greeted:
            one.socket.send(b"work\n")

    def _end(self, one: Open, failure: str) -> Answer:
        del self._open[one.socket.fileno()]
        one.socket.close()
        server = one.read.partition(b"\n")[0].decode(errors="replace") if b"\n" in one.read else ""
        return Answer(one.number, one.due, time.monotonic(), server, failure)


def connect(target: net.Address, ports: Iterable[int], parallel: int, timeout: float) -> Iterator[Answer]:
    """One connection from each source port, `parallel` at a time."""
    connections = Connections(work=False, timeout=timeout)
    for port in ports:
        yield from connections.start(target, port, time.monotonic(), port)
        while len(connections) >= parallel:
            yield from connections.answers(timeout)
    while len(connections):
        yield from connections.answers(timeout)


def rate(targets: Iterable[net.Address], seconds: float, parallel: int, timeout: float) -> Iterator[Answer]:
    """`parallel` connections at a time to the targets in turn, each followed by the next as soon as it was answered."""
    turns = cycle(targets)
    connections = Connections(work=False, timeout=timeout)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        while len(connections) < parallel:
            yield from connections.start(next(turns), 0, time.monotonic())
        yield from connections.answers(left)


def requests(target: net.Address, arrivals: Iterable[float], timeout: float) -> Iterator[tuple[Answer, float]]:
    """A request at each time (time.monotonic); yields each with how late the first of its packets was, seconds."""
    connections = Connections(work=True, timeout=timeout)
    late: dict[int, float] = {}
    for number, due in enumerate(arrivals):
        while (left := due - time.monotonic()) > 0:
            for answer in connections.answers(left):
                yield answer, late.pop(answer.number)
        late[number] = time.monotonic() - due
        for answer in connections.start(target, number, due):
            yield answer, late.pop(answer.number)
    while len(connections):
        for answer in connections.answers(timeout):
            yield answer, late.pop(answer.number)


def arrivals(interval: float, seconds: float, seed: int) -> Iterator[float]:
    """Seconds after the beginning at which requests start: a Poisson process with this mean interval in seconds, the
    same for the same seed."""
    generator = random.Random(seed)  # noqa: S311 - a design, not a secret
    at = generator.expovariate(1 / interval)
    while at < seconds:
        yield at
        at += generator.expovariate(1 / interval)


def load_client(arguments: list[str]) -> int:
    """Exit 0 with one JSON document on standard output."""
    defaults: dict[str, Any] = {
        "first-port": 10000,
        "ports": 100,
        "parallel": 4,
        "timeout": 5.0,
        "seconds": 1.0,
        "interval": 0.1,
        "seed": 1,
        "start-at": "",
    }
    values, (mode, text) = flags.parse(arguments, defaults, positional=2)
    if mode not in _MODES:
        raise flags.FlagError(f"mode {mode!r} is none of {', '.join(_MODES)}")
    if values["parallel"] < 1 or values["interval"] <= 0:
        raise flags.FlagError("--parallel is at least 1 and --interval above 0")
    try:
        targets = [net.split_host_port(word) for word in text.split(",")]
    except ValueError as error:
        raise flags.FlagError(str(error)) from None
    if values["start-at"]:
        time.sleep(max(0.0, float(values["start-at"]) - time.time()))
    document = _MODES[mode](targets, values)
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
    return 0


def _connect(targets: list[net.Address], values: dict[str, Any]) -> object:
    """Each target has source ports of its own: two Services may lead to the same endpoint."""
    document = []
    first, count = values["first-port"], values["ports"]
    for target in targets:
        started, ports = time.time(), range(first, first + count)
        found = {
            answer.number: answer.server for answer in connect(target, ports, values["parallel"], values["timeout"])
        }
        document.append({"started": started, "ended": time.time(), "servers": [found[port] for port in ports]})
        first += count
    return document


def _rate(targets: list[net.Address], values: dict[str, Any]) -> object:
    started, began = time.time(), time.monotonic()
    ended = list(rate(targets, values["seconds"], values["parallel"], values["timeout"]))
    failures = [answer.failure for answer in ended if answer.failure]
    return {
        "started": started,
        "seconds": time.monotonic() - began,
        "answered": len(ended) - len(failures),
        "failed": len(failures),
        "failures": sorted(set(failures)),
    }


def _requests(targets: list[net.Address], values: dict[str, Any]) -> object:
    """Of each request: when it was to start (s), its time (ms), how late it started (ms), who answered, its failure."""
    started, began = time.time(), time.monotonic()
    times = (began + at for at in arrivals(values["interval"], values["seconds"], values["seed"]))
    return {
        "started": started,
        "requests": [
            [
                round(one.due - began, 6),
                round((one.ended - one.due) * 1e3, 3),
                round(late * 1e3, 3),
                one.server,
                one.failure,
            ]
            for one, late in requests(targets[0], times, values["timeout"])
        ],
    }


_MODES: Final = {"connect": _connect, "rate": _rate, "requests": _requests}
