"""runs.csv and runs.parquet: every sample of the complete runs in one table, one row a sample."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from experiments.engine.files import READING_COLUMNS
from experiments.engine.folder import ResultsFolder
from experiments.engine.recording import samples_of
from experiments.engine.run import COMPLETE

TABLE: Final = "runs.csv"
PARQUET: Final = "runs.parquet"


def collect(folder: ResultsFolder) -> tuple[Path, Path]:
    """Write both tables; the same samples give the same bytes."""
    factors = [factor.name for factor in folder.design.factors]
    rows = list(_rows(folder))
    known = {"run", "repetition", "verdict", *factors, *READING_COLUMNS}
    labels = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    columns = ["run", "repetition", "verdict", *factors, *labels, *READING_COLUMNS]
    table, parquet = folder.path / TABLE, folder.path / PARQUET
    temporary = folder.path / f".{TABLE}.new"
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(table)
    _write_parquet(rows, columns, parquet)
    return table, parquet


def _rows(folder: ResultsFolder) -> Iterator[dict[str, Any]]:
    outcomes = folder.outcomes()
    for run in folder.runs:
        outcome = outcomes.get(run.index)
        if outcome is None or outcome.state != COMPLETE:
            continue
        for sample in samples_of(folder.run_folder(run.index), run):
            yield {
                "run": run.index,
                "repetition": run.repetition,
                "verdict": outcome.verdict,
                **sample.levels,
                **{column: getattr(sample, column) for column in READING_COLUMNS},
            }


def _write_parquet(rows: list[dict[str, Any]], columns: list[str], path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only the end of a session needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = {"run": pa.int64(), "repetition": pa.int64(), "sequence": pa.int64()}
    numbers |= {"time_s": pa.float64(), "value": pa.float64()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in columns])
    table = pa.Table.from_pydict({name: [row.get(name, "") for row in rows] for name in columns}, schema=schema)
    temporary = path.with_name(f".{path.name}.new")
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)
