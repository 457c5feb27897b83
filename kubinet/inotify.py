"""Being told of changes in a folder (inotify(7) by its C functions: the standard library has none)."""

import ctypes
import os
import select
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

_CHANGED: Final = 0x2 | 0x80 | 0x100  # IN_MODIFY | IN_MOVED_TO | IN_CREATE
_libc = ctypes.CDLL(None, use_errno=True)


class FolderWatch:
    """Says when a file in a folder was written to or appeared. A context manager; readable (`fileno`) at news."""

    def __init__(self, folder: Path) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or _libc.inotify_add_watch(self._fd, os.fsencode(folder), _CHANGED) < 0:
            number = ctypes.get_errno()
            if self._fd >= 0:
                os.close(self._fd)
            raise OSError(number, f"inotify: {os.strerror(number)}", str(folder))

    def fileno(self) -> int:
        """The descriptor, for select(2) and event loops."""
        return int(self._fd)

    def drain(self) -> None:
        """Forget what was reported so far."""
        try:
            while os.read(self._fd, 65536):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """End the watch."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_for_file(path: Path, seconds: float, *, unless: Iterable[int] = ()) -> bool:
    """Wait until something is at `path`; False after `seconds`, or as soon as a descriptor of `unless` is readable.

    A pidfd in `unless` ends the wait at the death of the process that was to make the file.
    """
    deadline = time.monotonic() + seconds
    ends = list(unless)
    with FolderWatch(path.parent) as watch:
        while not path.exists():
            readable = select.select([watch.fileno(), *ends], [], [], max(0.0, deadline - time.monotonic()))[0]
            if watch.fileno() not in readable:
                return path.exists()
            watch.drain()
    return True
