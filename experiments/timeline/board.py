"""Which faults are injected in a cluster: a file in its state folder, so that any process can list and heal them."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from experiments.timeline.actions import Injection, subject
from experiments.timeline.language import parse_action

_FILE: Final = "faults.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One injected fault."""

    name: str
    """For `heal`: `partition-1`."""
    action: Injection
    since_s: float
    """Seconds since 1970."""
    memory: Mapping[str, Any]


class Board:
    """The file, and the lock that goes with it; every call reads it anew."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _FILE
        self._lock = state_dir / f"{_FILE}.lock"

    def entries(self) -> tuple[Entry, ...]:
        """All, oldest first."""
        try:
            stored = json.loads(self._path.read_text())
        except FileNotFoundError:
            return ()
        return tuple(
            Entry(one["name"], cast(Injection, parse_action(one["fault"])), one["since"], one["memory"])
            for one in stored
        )

    def entry(self, name: str) -> Entry | None:
        """The entry of that name; None when it is healed."""
        return next((entry for entry in self.entries() if entry.name == name), None)

    def add(self, action: Injection, since_s: float) -> Entry:
        """A new entry with a name of its own, without memory."""
        with self.locked():
            entries = self.entries()
            taken = {entry.name for entry in entries}
            word = subject(action)[0]
            name = next(f"{word}-{number}" for number in range(1, len(taken) + 2) if f"{word}-{number}" not in taken)
            entry = Entry(name, action, since_s, {})
            self._write((*entries, entry))
        return entry

    def remember(self, name: str, memory: Mapping[str, Any]) -> None:
        """Another memory for an entry. Call it inside `locked`."""
        self._write(tuple(replace(one, memory=memory) if one.name == name else one for one in self.entries()))

    def remove(self, name: str) -> Entry | None:
        """Take an entry away; returns it as it was, None when somebody else did so before."""
        with self.locked():
            entries = self.entries()
            self._write(tuple(entry for entry in entries if entry.name != name))
        return next((entry for entry in entries if entry.name == name), None)

    def put_back(self, entry: Entry) -> None:
        """An entry that was removed, again."""
        with self.locked():
            self._write((entry, *self.entries()))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other process or thread changes the board, or takes a fault's turn, meanwhile."""
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, entries: tuple[Entry, ...]) -> None:
        stored = [
            {"name": one.name, "fault": str(one.action), "since": one.since_s, "memory": dict(one.memory)}
            for one in entries
        ]
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(stored, indent=1))
        draft.replace(self._path)
