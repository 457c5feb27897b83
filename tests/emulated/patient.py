"""Sockets whose limits count the time that the machine runs: while it stands still nobody could have answered.

This text also runs in pods, which have no checkout: it needs the standard library alone.
"""

import errno
import os
import select
import socket

NAP = 0.05
"""Seconds. A wait is a number of naps: one that takes long, because the machine stood still, counts as one."""


class PatientSocket(socket.socket):
    """An IPv4 client socket; TimeoutError when an operation waits for `limit` seconds in which the machine ran."""

    def __init__(self, kind: int, protocol: int = 0, limit: float = 3.0) -> None:
        super().__init__(socket.AF_INET, kind, protocol)
        self.setblocking(False)
        self.limit = limit

    def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]
        code = self.connect_ex(address)
        if code == errno.EINPROGRESS:
            self._until(select.POLLOUT)
            code = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._until(select.POLLIN)
        return super().recv(size, flags)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        rest = memoryview(data)
        while rest:
            self._until(select.POLLOUT)
            rest = rest[self.send(rest, flags) :]

    def _until(self, event: int) -> None:
        poll = select.poll()
        poll.register(self, event)
        for _ in range(max(1, round(self.limit / NAP))):
            if poll.poll(NAP * 1000):
                return
        raise TimeoutError
