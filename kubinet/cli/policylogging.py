"""`kubinet policy log`: has the controller log denied packets while it runs, and prints the lines."""

import select
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kubinet.cli.table import TablePrinter
from kubinet.deniedlog import FILE, LEASE_SECONDS, OLDER_FILE, Entry, lease
from kubinet.inotify import FolderWatch

if TYPE_CHECKING:
    from kubinet.cluster import Cluster

HEADERS = ("TIME", "NODE", "DIRECTION", "FROM", "TO", "PROTOCOL", "DENIED BY", "RULE", "PACKETS")
_RENEWALS = 3
"""Of a lease, before it ends."""


class LogReader:
    """The lines that were added to the log since it was asked last."""

    def __init__(self, folder: Path, *, from_start: bool = False) -> None:
        self._file, self._older = folder / FILE, folder / OLDER_FILE
        self._at, self._inode = 0, 0
        if not from_start and self._file.exists():
            known = self._file.stat()
            self._at, self._inode = known.st_size, known.st_ino

    def new(self) -> list[Entry]:
        """Complete lines only; those of a file that became the older one meanwhile come first."""
        found: list[Entry] = []
        if not self._file.exists():
            return found
        inode = self._file.stat().st_ino
        if inode != self._inode:
            if self._older.exists() and self._older.stat().st_ino == self._inode:
                found += self._read(self._older)
            self._at, self._inode = 0, inode
        return found + self._read(self._file)

    def _read(self, path: Path) -> list[Entry]:
        with path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        found = []
        for line in whole.decode(errors="replace").splitlines():
            with suppress(ValueError):
                found.append(Entry.from_line(line))
        return found


def recorded(folder: Path) -> list[Entry]:
    """What the log holds, oldest first."""
    found = []
    for name in (OLDER_FILE, FILE):
        path = folder / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else ()
        for line in lines:
            with suppress(ValueError):
                found.append(Entry.from_line(line))
    return found


def follow(cluster: "Cluster", seconds: float | None, started: Callable[[], None]) -> Iterator[list[Entry]]:
    """Entries as they come, for so long (None: until the caller stops); `started`: when all nodes log."""
    folder = cluster.info.state_dir
    ends = None if seconds is None else time.monotonic() + seconds
    reader = LogReader(folder)
    _switch_on(cluster)
    started()
    renew = time.monotonic() + LEASE_SECONDS / _RENEWALS
    with FolderWatch(folder) as watch:
        while ends is None or time.monotonic() < ends:
            yield reader.new()
            if time.monotonic() >= renew:
                cluster.client.patch("Topology", "cluster", lease())
                renew = time.monotonic() + LEASE_SECONDS / _RENEWALS
            until = renew if ends is None else min(renew, ends)
            if select.select([watch.fileno()], [], [], max(0.0, until - time.monotonic()))[0]:
                watch.drain()
    yield reader.new()


def _switch_on(cluster: "Cluster") -> None:
    """Returns when every node's flows tell of denied packets."""
    wanted = int(cluster.client.patch("Topology", "cluster", lease())["metadata"]["resourceVersion"])

    def current(plane: dict[str, object] | None) -> bool:
        status = (plane or {}).get("status")
        nodes = status.get("nodes") if isinstance(status, dict) else None
        return bool(nodes) and all(entry.get("topologyGeneration", 0) >= wanted for entry in (nodes or {}).values())

    cluster.wait_until("Dataplane", "cluster", current, what="the log of denied packets on all nodes")


def concerns(entry: Entry, namespace: str) -> bool:
    """Whether a pod of the namespace is at one of its ends."""
    return any(end.pod.startswith(f"{namespace}/") for end in (entry.source, entry.destination))


def row(entry: Entry) -> tuple[str, ...]:
    """A table's row; times of the day are local."""
    from datetime import datetime

    when = datetime.fromisoformat(entry.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
    policies = ", ".join(entry.policies) or "-"
    ends = (str(entry.source), str(entry.destination))
    return (when, entry.node, entry.direction, *ends, entry.protocol, policies, entry.rule, str(entry.count))


class Lines:
    """Prints entries as a table that grows, or as they stand in the log."""

    def __init__(self, *, as_json: bool) -> None:
        self._table = None if as_json else TablePrinter(HEADERS)

    def print(self, entries: Iterable[Entry]) -> None:
        """Some more."""
        if self._table is None:
            typer.echo("".join(entry.to_line() for entry in entries), nl=False)
        elif rows := list(map(row, entries)):
            typer.echo("\n".join(self._table.lines(rows)))
