"""The SDN controller's answers to OpenFlow echoes."""

import socket
import struct
import time
from typing import Final

TIMEOUT_S: Final = 5.0
_HEADER: Final = struct.Struct("!BBHI")
_OPENFLOW_15: Final = 6
_HELLO, _ECHO_REQUEST, _ECHO_REPLY = 0, 2, 3


class Echo:
    """An OpenFlow connection to the controller that only asks for echoes (OpenFlow 1.5, 7.5.2).

    The controller answers in its one event loop, so the time is that of its queue.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection: socket.socket | None = None
        self._number = 0

    def ask(self) -> float | None:
        """Milliseconds until the answer; None when the controller does not run or does not answer."""
        try:
            if self._connection is None:
                self._connection = socket.create_connection(self._address, TIMEOUT_S)
                self._send(_HELLO, 0)
            self._number += 1
            began = time.monotonic()
            self._send(_ECHO_REQUEST, self._number)
            while self._read() != (_ECHO_REPLY, self._number):
                pass
            return (time.monotonic() - began) * 1e3
        except OSError:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return None

    def _send(self, kind: int, number: int) -> None:
        assert self._connection is not None
        self._connection.sendall(_HEADER.pack(_OPENFLOW_15, kind, _HEADER.size, number))

    def _read(self) -> tuple[int, int]:
        _, kind, length, number = _HEADER.unpack(self._exactly(_HEADER.size))
        self._exactly(length - _HEADER.size)
        if kind == _ECHO_REQUEST:
            self._send(_ECHO_REPLY, number)
        return kind, number

    def _exactly(self, size: int) -> bytes:
        assert self._connection is not None
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data
