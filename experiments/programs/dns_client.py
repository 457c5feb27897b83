"""Looks names up over UDP (RFC 1035) as a pod's resolver does: search list, ndots, one query after the other.

A lookup tries the name itself and with each domain of the search list, in resolv.conf(5)'s order, until one answers
with records; `straight` names are asked once, as they are.
"""

import select
import socket
import struct
import time
from typing import Any

from experiments.programs.frame import end_with_input, say

_HEADER = struct.Struct("!HHHHHH")
_CLASS_IN = 1
_RECURSION_DESIRED = 0x0100
_NOERROR, _NXDOMAIN = 0, 3


def candidates(name: str, search: list[str], ndots: int) -> list[str]:
    """The names that are asked for `name`, in order (resolv.conf(5))."""
    if name.endswith("."):
        return [name.rstrip(".")]
    searched = [f"{name}.{domain.strip('.')}" for domain in search]
    return [name, *searched] if name.count(".") >= ndots else [*searched, name]


def question(identity: int, name: str, rdtype: int) -> bytes:
    """A query; ValueError for a label that is empty or longer than 63 bytes."""
    labels = [label.encode("idna") if not label.isascii() else label.encode() for label in name.split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"name {name!r} has an empty or too long label")
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(identity, _RECURSION_DESIRED, 1, 0, 0, 0) + wire + struct.pack("!HH", rdtype, _CLASS_IN)


def answer(data: bytes) -> tuple[int, int, int]:
    """Identity, response code and number of answers of a response."""
    identity, flags, _, answers, _, _ = _HEADER.unpack_from(data)
    return identity, flags & 0xF, answers


class Lookup:
    """One name on its way through its candidates; one socket, as a resolver has."""

    def __init__(self, server: tuple[str, int], name: str, rdtype: int, names: list[str]) -> None:
        self.name = name
        self._rdtype = rdtype
        self._names = names
        self.queries = 0
        self.began = time.monotonic()
        self.asked = 0.0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(server)

    def ask(self) -> None:
        """The next candidate's query."""
        self.asked = time.monotonic()
        self.queries += 1
        self.socket.send(question(self.queries, self._names[self.queries - 1], self._rdtype))

    def read(self) -> str | None:
        """How it ended: "" with records, a failure, or None when it goes on."""
        identity, code, answers = answer(self.socket.recv(4096))
        if identity != self.queries:
            return None
        if code == _NOERROR and answers:
            return ""
        if self.queries < len(self._names) and code in (_NOERROR, _NXDOMAIN):
            self.ask()
            return None
        return "NXDOMAIN" if code == _NXDOMAIN else "no records" if code == _NOERROR else f"rcode {code}"


class Client:
    """Keeps `parallel` lookups going, the names in turn."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._poll = select.epoll()
        self._open: dict[int, Lookup] = {}
        self._rows: list[tuple[str, float, float, int, str]] = []

    def run(self) -> dict[str, Any]:
        """Look up for the given time, or so often."""
        began, started, timeout = time.monotonic(), time.time(), self._settings["timeout"]
        end, left, turn = began + self._settings["seconds"], self._settings["count"], 0
        names = self._settings["names"]
        while self._open or (time.monotonic() < end and left):
            while left and len(self._open) < self._settings["parallel"] and time.monotonic() < end:
                self._start(names[turn % len(names)])
                turn, left = turn + 1, left - 1
            for number, _ in self._poll.poll(timeout / 4):
                self._go_on(self._open[number])
            late = time.monotonic() - timeout
            for one in [one for one in self._open.values() if one.asked < late]:
                self._end(one, "timeout")
        rows = [
            [name, round(at - began, 6), round(took * 1e3, 4), queries, failure]
            for name, at, took, queries, failure in self._rows
        ]
        return {"started": started, "seconds": time.monotonic() - began, "lookups": rows}

    def _start(self, name: str) -> None:
        settings = self._settings
        tried = [name.rstrip(".")] if settings["straight"] else candidates(name, settings["search"], settings["ndots"])
        one = Lookup((settings["server"], settings["port"]), name, settings["rdtype"], tried)
        self._open[one.socket.fileno()] = one
        self._poll.register(one.socket, select.EPOLLIN)
        try:
            one.ask()
        except OSError:
            self._end(one, "unreachable")

    def _go_on(self, one: Lookup) -> None:
        try:
            failure = one.read()
        except BlockingIOError:
            return
        except OSError as error:
            failure = error.strerror or "refused"
        if failure is not None:
            self._end(one, failure)

    def _end(self, one: Lookup, failure: str) -> None:
        del self._open[one.socket.fileno()]
        one.socket.close()
        self._rows.append((one.name, one.began, time.monotonic() - one.began, one.queries, failure))


def main(settings: dict[str, Any]) -> None:
    """Look up; says what was found."""
    end_with_input()
    say(Client(settings).run())
