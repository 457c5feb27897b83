"""The store's copy on disk: SQLite in WAL mode, one row per object, the last resourceVersion beside them."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.api.status import out_of_storage
from kubinet.errors import KubinetError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 0), version INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (0, 0);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One object as the journal keeps it; `body` None means that it is gone."""

    kind: str
    """`plural.group`."""
    namespace: str
    name: str
    body: bytes | None


class Journal:
    """Write-ahead of the memory: a change that cannot be written raises a 507 `Status` and has not happened."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            path.chmod(0o600)  # Secrets are in it
            # NORMAL: a power cut may lose the last transactions, never the consistency of what is there.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            remedy = "free space there, or remove the file and lose the cluster's objects"
            raise KubinetError(f"{path}: the API's journal cannot be opened ({error}); {remedy}") from error

    def load(self) -> tuple[int, Iterator[Row]]:
        """The last resourceVersion and every object."""
        (version,) = self._db.execute("SELECT version FROM counter").fetchone()
        return version, (Row(*row) for row in self._db.execute("SELECT kind, namespace, name, body FROM objects"))

    def write(self, version: int, rows: Sequence[Row]) -> None:
        """Make the rows durable in one transaction, or raise."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for row in rows:
                if row.body is None:
                    self._db.execute(
                        "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?",
                        (row.kind, row.namespace, row.name),
                    )
                else:
                    self._db.execute(
                        "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
                        (row.kind, row.namespace, row.name, row.body),
                    )
            self._db.execute("UPDATE counter SET version = ?", (version,))
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise out_of_storage(str(error)) from error

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._db.close()
