"""Handing a container's output to those who attached to it."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Final

from agents.runtime.loop import Loop

_PENDING_LIMIT: Final = 4 * 1024 * 1024
"""Bytes that wait for a reader; one that falls further behind is let go, and the container runs on unhindered."""


class Attached:
    """One client's pipes: stream's name -> descriptor to write to."""

    def __init__(self, loop: Loop, fds: Mapping[str, int]) -> None:
        self._loop = loop
        self._fds = dict(fds)
        self._pending = {fd: bytearray() for fd in fds.values()}
        self._finishing = False
        for fd in self._pending:
            os.set_blocking(fd, False)

    @property
    def open(self) -> bool:
        """Whether somebody may still read."""
        return bool(self._pending)

    def write(self, stream: str, data: bytes) -> None:
        """Hand on what the container wrote."""
        fd = self._fds.get(stream)
        if fd is None or fd not in self._pending:
            return
        self._pending[fd] += data
        if len(self._pending[fd]) > _PENDING_LIMIT:
            self._drop(fd)
        else:
            self._flush(fd)

    def finish(self) -> None:
        """The container has ended: close each pipe when what waits is written."""
        self._finishing = True
        for fd in tuple(self._pending):
            self._flush(fd)

    def close(self) -> None:
        """The client went away."""
        for fd in tuple(self._pending):
            self._drop(fd)

    def _flush(self, fd: int) -> None:
        pending = self._pending[fd]
        try:
            while pending:
                del pending[: os.write(fd, pending)]
        except BlockingIOError:
            # A pipe's writing side is readable when its reader has gone.
            self._loop.watch(fd, partial(self._drop, fd), partial(self._flush, fd))
            return
        except OSError:
            self._drop(fd)
            return
        self._loop.forget(fd)
        if self._finishing:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        if self._pending.pop(fd, None) is not None:
            self._loop.forget(fd)
            os.close(fd)
