"""Container output in CRI's log format: `<time> <stream> <F|P> <text>`, one entry a line.

P marks an entry that is no whole line: the line was longer than `LINE_LIMIT`.
"""

import errno
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

LINE_LIMIT: Final = 16 * 1024
"""Longest text of an entry in bytes; what container engines use."""

ROTATE_AT: Final = 10 * 1024 * 1024
"""Size in bytes at which a log file is put aside as `.1`, taking the place of the one before."""


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds, from nanoseconds since 1970."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


class LineSplitter:
    """Cuts a stream into (text, whole line?) entries."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """The entries that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        entries: list[tuple[bytes, bool]] = []
        for line in lines:
            while len(line) > LINE_LIMIT:
                entries.append((line[:LINE_LIMIT], False))
                line = line[LINE_LIMIT:]  # noqa: PLW2901 - the rest of the same line
            entries.append((line, True))
        while len(self._rest) >= LINE_LIMIT:
            entries.append((self._rest[:LINE_LIMIT], False))
            self._rest = self._rest[LINE_LIMIT:]
        return entries

    def finish(self) -> list[tuple[bytes, bool]]:
        """The last line, when the stream ended without a newline."""
        rest, self._rest = self._rest, b""
        return [(rest, True)] if rest else []


class LogFile:
    """One container attempt's log; never raises for a full disk: it counts what it lost."""

    def __init__(self, path: Path, rotate_at: int = ROTATE_AT) -> None:
        self._path = path
        self._rotate_at = rotate_at
        self._fd = -1
        self._size = 0
        self._reported = False
        self.lost = 0
        """Bytes of entries that could not be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            self._report(error)

    def write(self, nanoseconds: int, stream: str, entries: list[tuple[bytes, bool]]) -> None:
        """Append entries that were read at one time."""
        prefix = f"{timestamp(nanoseconds)} {stream} ".encode()
        data = b"".join(prefix + (b"F " if whole else b"P ") + text + b"\n" for text, whole in entries)
        if not data:
            return
        try:
            if self._fd < 0 or self._size + len(data) > self._rotate_at:
                self._rotate()
            written = os.write(self._fd, data)
        except OSError as error:
            self._report(error)
            self.lost += len(data)
            return
        # A torn entry would spoil the next one: take it back.
        kept = data.rfind(b"\n", 0, written) + 1
        self._size += kept
        if kept < len(data):
            self._report(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            self.lost += len(data) - kept
            os.ftruncate(self._fd, self._size)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        if self._fd >= 0 and self._size > 0:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self.close()
        self._open()

    def _report(self, error: OSError) -> None:
        if not self._reported:
            self._reported = True
            print(f"{self._path}: {error.strerror}; the container goes on, its output is lost", file=sys.stderr)
