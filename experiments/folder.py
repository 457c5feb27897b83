"""The results folder of one run: written as the run goes, complete or marked as not.

Files that grow (`samples.csv`, `cells.csv`, `machine.csv`) are on the disk after every measurement, files that are
written once are put in place by a rename: whatever ends the run, what was measured is readable.
"""

import csv
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from experiments.records import Analysis, Cell, LinkCheck, MachineSecond, Sample, SummaryRow
from kubinet.errors import KubinetError

SAMPLE_COLUMNS: Final = ("repetition", "order", "source", "target", "metric", "sequence", "time_s", "value", "unit")
CELL_COLUMNS: Final = ("order", "repetition", "source", "target", "metric", "started_s", "ended_s")
MACHINE_COLUMNS: Final = tuple(column.name for column in fields(MachineSecond))
SUMMARY_COLUMNS: Final = (
    *("source", "target", "metric", "statistic", "value", "low", "high", "confidence", "unit", "samples"),
    *("repetitions", "declared", "verdict", "reasons"),
)


def new_folder(parent: Path, experiment: str, now: datetime | None = None) -> Path:
    """Make `<experiment>-<UTC time>-<short id>` under `parent`; KubinetError when that is not possible."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    path = parent / f"{experiment}-{stamp}-{secrets.token_hex(2)}"
    try:
        (path / "raw").mkdir(parents=True)
        (path / "manifests").mkdir()
        (path / "figures").mkdir()
    except OSError as error:
        raise KubinetError(f"results folder {path}: {error.strerror}; name another with --output") from error
    return path


def write_text(path: Path, text: str) -> None:
    """Put a whole text file in place at once."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, document: object) -> None:
    """Put a JSON file in place at once; keys stay in the order given."""
    write_text(path, json.dumps(document, indent=2, default=str, allow_nan=False) + "\n")


class GrowingTable:
    """A CSV file that is valid after every call of `add`."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._file: TextIOWrapper = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self._columns)
        self._file.flush()

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Append rows and bring them to the disk."""
        self._writer.writerows([row[column] for column in self._columns] for row in rows)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FolderWriter:
    """Writes what a run records into its folder."""

    def __init__(self, path: Path, factors: Sequence[str]) -> None:
        self.path = path
        self._factors = tuple(factors)
        self._samples = GrowingTable(path / "samples.csv", (*self._factors, *SAMPLE_COLUMNS))
        self._cells = GrowingTable(path / "cells.csv", (*self._factors, *CELL_COLUMNS))
        self._machine = GrowingTable(path / "machine.csv", MACHINE_COLUMNS)

    def cell(self, cell: Cell, samples: Sequence[Sample], raw: Mapping[str, str]) -> None:
        """Write one finished measurement."""
        for name, text in raw.items():
            write_text(self.path / "raw" / name, text)
        self._samples.add([{**_scalars(sample), **sample.levels} for sample in samples])
        self._cells.add([{**_scalars(cell), **cell.levels}])

    def second(self, second: MachineSecond) -> None:
        """Write what the monitor saw in one second."""
        row = {key: f"{value:.6f}" if isinstance(value, float) else value for key, value in asdict(second).items()}
        self._machine.add([row])

    def manifest(self, name: str, text: str) -> None:
        """Write a manifest that was applied."""
        write_text(self.path / "manifests" / name, text)

    def links(self, checks: Sequence[LinkCheck]) -> None:
        """Write links as measured against declared."""
        write_json(self.path / "links.json", [asdict(check) for check in checks])

    def summary(self, analysis: Analysis) -> None:
        """Write summary.csv and summary.json."""
        table = GrowingTable(self.path / "summary.csv", (*self._factors, *SUMMARY_COLUMNS))
        table.add([_flat(row) for row in analysis.rows])
        table.close()
        write_json(
            self.path / "summary.json",
            {
                "finding": analysis.finding,
                "verdict": analysis.assessment.verdict,
                "reasons": analysis.assessment.reasons,
                "notes": analysis.notes,
                "rows": [_flat(row) for row in analysis.rows],
            },
        )

    def close(self) -> None:
        """Close the growing files."""
        for table in (self._samples, self._cells, self._machine):
            table.close()


def _scalars(value: Sample | Cell) -> dict[str, Any]:
    fields = asdict(value)
    del fields["levels"]
    return fields


def _flat(row: SummaryRow) -> dict[str, object]:
    return {
        **row.levels,
        "source": row.source,
        "target": row.target,
        "metric": row.metric,
        "statistic": row.statistic,
        "value": row.estimate.value,
        "low": row.estimate.low,
        "high": row.estimate.high,
        "confidence": row.estimate.confidence,
        "unit": row.unit,
        "samples": row.estimate.samples,
        "repetitions": row.estimate.repetitions,
        "declared": row.declared,
        "verdict": row.assessment.verdict.value,
        "reasons": "; ".join(row.assessment.reasons),
    }
