"""Waiting for changes in a folder on the event loop (inotify(7) by its C functions: the standard library has none)."""

import asyncio
import ctypes
import os
from pathlib import Path
from typing import Final, Self

_CHANGED: Final = 0x2 | 0x80 | 0x100  # IN_MODIFY | IN_MOVED_TO | IN_CREATE
_libc = ctypes.CDLL(None, use_errno=True)


class FolderWatch:
    """Says when a file in a folder was written to or appeared. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or _libc.inotify_add_watch(self._fd, os.fsencode(folder), _CHANGED) < 0:
            number = ctypes.get_errno()
            if self._fd >= 0:
                os.close(self._fd)
            raise OSError(number, f"inotify: {os.strerror(number)}", str(folder))

    def drain(self) -> None:
        """Forget what was reported so far."""
        try:
            while os.read(self._fd, 65536):
                pass
        except BlockingIOError:
            return

    def __enter__(self) -> Self:
        self.wake = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._readable)
        return self

    def _readable(self) -> None:
        self.drain()
        self.wake.set()

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
