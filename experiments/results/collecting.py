"""runs.parquet and runs.csv: every sample of the complete runs in one table."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from experiments.results import layout
from experiments.results.loading import Results


def collect(results: Results) -> tuple[Path, Path]:
    """Write runs.parquet and runs.csv into the folder of `results`; returns both paths.

    `results` should be loaded with `include_invalid=True`: the tables carry each sample's verdict. The same samples
    give the same bytes.
    """
    parquet, table = results.path / layout.PARQUET, results.path / layout.TABLE
    frame = results.samples.sort_values(["run"], kind="stable")
    _put(table, lambda path: frame.to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL))
    _put(parquet, lambda path: _write_parquet(frame, path))
    return parquet, table


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only whoever writes the table pays for it
    import pyarrow.parquet as pq  # noqa: PLC0415

    # Names, units and levels repeat in every row: as dictionaries they take next to nothing.
    texts = [name for name in frame.columns if name not in {"run", "repetition", "sequence", "time_s", "value"}]
    columns = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(columns, path, compression="zstd", use_dictionary=texts)


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the file, then rename: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
