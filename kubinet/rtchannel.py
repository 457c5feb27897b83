"""Many rtnetlink requests in few system calls: pyroute2's messages, sent together, their answers matched by number.

pyroute2's own sockets carry an event loop each and send one request at a time; a cluster has a thousand namespaces
and needs a handful of requests in each, so this channel is a bare socket and pyroute2 is the encoder.
"""

import os
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from kubinet.errors import KubinetError
from kubinet.netns import namespace

_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK: Final = 0x4
_NLMSG_ERROR: Final = 2
_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_AT_ONCE: Final = 64
"""Requests per send: their answers must fit the socket's receive buffer."""
_HEADER: Final = struct.Struct("=IHHII")


class NetlinkError(KubinetError):
    """The kernel refused an rtnetlink request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One encoded request, and how to speak of it in an error."""

    about: str
    message: bytes
    accept: tuple[int, ...] = ()
    """errno values that mean: already as wanted."""
    remedies: Mapping[int, str] = field(default_factory=dict)
    """What to do about some errno values."""

    def refusal(self, number: int) -> str:
        """The error in words."""
        remedy = self.remedies.get(number)
        return f"{self.about}: {os.strerror(number)}" + (f"; {remedy}" if remedy else "")


def encode(
    message: Any, kind: int, flags: int, fields: dict[str, object], attributes: list[tuple[str, object]]
) -> bytes:
    """A pyroute2 message of `kind` (RTM_…) as bytes; its number is set when it is sent."""
    for key, value in fields.items():
        message[key] = value
    message["attrs"] = attributes
    message["header"]["type"] = kind
    message["header"]["flags"] = _NLM_F_REQUEST | _NLM_F_ACK | flags
    message.encode()
    return bytes(message.data)


class Netlink:
    """An rtnetlink socket of one network namespace; a context manager. Not for two threads at once."""

    def __init__(self, path: str | Path | None = None) -> None:
        """`path`: the namespace to work in; None is the one that the calling thread is in."""
        if path is None:
            self._socket = _open()
        else:
            with namespace(path):
                self._socket = _open()
        self._sequence = 0

    def run(self, requests: Iterable[Request]) -> None:
        """Carry out all requests, in order; NetlinkError names the first refused one, after all were tried."""
        refused = self.try_all(requests)
        if refused:
            request, number = refused[0]
            raise NetlinkError(request.refusal(number))

    def try_all(self, requests: Iterable[Request]) -> list[tuple[Request, int]]:
        """Carry out all requests, in order; returns the refused ones with the kernel's errno."""
        everything = list(requests)
        refused: list[tuple[Request, int]] = []
        for start in range(0, len(everything), _AT_ONCE):
            refused += self._exchange(everything[start : start + _AT_ONCE])
        return refused

    def _exchange(self, requests: Sequence[Request]) -> list[tuple[Request, int]]:
        waiting: dict[int, Request] = {}
        parts = []
        for request in requests:
            self._sequence += 1
            waiting[self._sequence] = request
            length, kind, flags, _, _ = _HEADER.unpack_from(request.message)
            header = _HEADER.pack(length, kind, flags, self._sequence, 0)
            parts.append(header + request.message[_HEADER.size :] + bytes(-length % 4))
        self._socket.send(b"".join(parts))
        refused = []
        while waiting:
            for sequence, number in _answers(self._socket.recv(65536)):
                answered = waiting.pop(sequence, None)
                if answered is not None and number and number not in answered.accept:
                    refused.append((answered, number))
        return refused

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    opened.settimeout(10.0)  # the kernel answers inside send(2); only a bug can make this fire
    opened.bind((0, 0))
    return opened


def _answers(data: bytes) -> Iterable[tuple[int, int]]:
    """(sequence number, errno or 0) of each acknowledgement."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if kind == _NLMSG_ERROR:
            yield sequence, -struct.unpack_from("=i", data, offset + _HEADER.size)[0]
        offset += (length + 3) & ~3
