"""Files of a run that grow, valid after every line; and JSON that may be missing."""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from experiments.records import READING_COLUMNS, MachineSecond
from experiments.scene import Reading

MACHINE_COLUMNS: Final = tuple(field.name for field in fields(MachineSecond))


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no whole one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


class GrowingTable:
    """A CSV file that is valid after every call of `add`."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._file: TextIOWrapper = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self._columns)
        self._file.flush()

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Append rows and bring them to the disk; a missing column is empty."""
        self._writer.writerows([row.get(column, "") for column in self._columns] for row in rows)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ReadingTable:
    """samples.csv of a run: a column for each label that has appeared, then `READING_COLUMNS`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: tuple[str, ...] = ()
        self._table = GrowingTable(path, READING_COLUMNS)

    def add(self, readings: Sequence[Reading]) -> None:
        """Append readings; they are on the disk when the call returns."""
        known = dict.fromkeys(self._labels)
        for reading in readings:
            known.update(dict.fromkeys(reading.labels))
        if len(known) > len(self._labels):
            self._widen(tuple(known))
        self._table.add(_row(reading) for reading in readings)

    def _widen(self, labels: tuple[str, ...]) -> None:
        """The same rows with more columns; the old file stays until the new one is whole."""
        self._table.close()
        with self._path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        wider = self._path.with_name(f".{self._path.name}.new")
        self._labels = labels
        self._table = GrowingTable(wider, (*labels, *READING_COLUMNS))
        self._table.add(rows)
        wider.replace(self._path)

    def close(self) -> None:
        """Close the file."""
        self._table.close()


def _row(reading: Reading) -> dict[str, object]:
    fields: dict[str, object] = {column: getattr(reading, column) for column in READING_COLUMNS}
    return {**reading.labels, **fields}
