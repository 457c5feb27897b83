"""A results folder as data frames."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from experiments.design.model import ExperimentDesign
from experiments.records import EVENT_COLUMNS, READING_COLUMNS, RECORDER
from experiments.results import layout
from experiments.results.runs import RunRecord, read_runs
from kubinet.errors import InvalidInputError, UsageError

_KEYS: Final = ("run", "repetition", "verdict")
_NUMBERS: Final = {"sequence": "int64", "time_s": "float64", "value": "float64"}


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What an experiment measured. The frames are pandas'."""

    path: Path
    design: ExperimentDesign
    samples: pd.DataFrame
    """One row a sample: run, repetition, verdict, factors, labels, recorder (the workload or measurement that it comes
    from), source, target, metric, sequence, time_s, value, unit."""
    runs: pd.DataFrame
    """One row a run that ended: run, repetition, factors, seed, state, verdict, reasons, excluded (why, or empty),
    error, started_s, workload_s, ended_s, seconds (its duration), up_seconds (bringing its cluster up), samples."""
    verdicts: pd.DataFrame
    """One row a reason: run, factors, verdict, reason; a run without reasons has one row with an empty reason."""
    events: pd.DataFrame
    """One row an event of a timeline: run, repetition, factors, then events.csv's columns."""
    machine: pd.DataFrame
    """One row a second of a run: run, repetition, factors, then machine.csv's columns."""
    links: pd.DataFrame
    """One row a link and quantity: run, moment (before or after the workload), then links.json's fields."""
    plan: Mapping[str, Any]
    """design.json: seed, order and every planned run."""
    session: Mapping[str, Any]
    versions: Mapping[str, Any]
    machine_facts: Mapping[str, Any]
    records: tuple[RunRecord, ...]
    """The runs as values, excluded ones too."""
    include_invalid: bool

    @property
    def factors(self) -> tuple[str, ...]:
        """The factors' names, in the design's order."""
        return tuple(factor.name for factor in self.design.factors)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that have samples, in the order in which they first appear."""
        return tuple(self.samples["metric"].unique())

    @property
    def planned(self) -> int:
        """How many runs the design has."""
        return len(self.plan.get("runs", ())) or len(self.records)


def load(directory: Path | str, *, include_invalid: bool = False, design: ExperimentDesign | None = None) -> Results:
    """Read a results folder, also one that is still being written.

    Samples, events and machine seconds of failed and invalid runs are left out (`runs.excluded` says why);
    `include_invalid` takes the invalid ones in. `design` stands in for experiment.yaml where the folder has none.
    """
    path = Path(directory)
    if not (path / layout.RUNS).is_dir():
        raise UsageError(f"{path}: not a results folder (it has no '{layout.RUNS}'); name one that `kubinet run` wrote")
    found = design or _design(path)
    records = read_runs(path)
    names = [factor.name for factor in found.factors]
    used = [record for record in records if not record.excluded(include_invalid)]
    samples = _gather(used, layout.SAMPLES, names, READING_COLUMNS)
    labels = [name for name in samples.columns if name not in {*_KEYS, *names, *READING_COLUMNS}]
    labels.sort(key=lambda name: name == RECORDER)
    samples = samples[[*_KEYS, *names, *labels, *READING_COLUMNS]]
    samples[labels] = samples[labels].fillna("")
    counts = samples["run"].value_counts()
    return Results(
        path=path,
        design=found,
        samples=samples,
        runs=_runs(records, names, counts, include_invalid),
        verdicts=_verdicts(records, names),
        events=_gather(used, layout.EVENTS, names, EVENT_COLUMNS),
        machine=_gather(used, layout.SECONDS, names, ("time_s", "idle", "steal", "softirq", "late_ms")),
        links=_links(used),
        plan=layout.read_document(path / layout.DESIGN),
        session=layout.read_document(path / layout.SESSION),
        versions=layout.read_document(path / layout.VERSIONS),
        machine_facts=layout.read_document(path / layout.MACHINE),
        records=records,
        include_invalid=include_invalid,
    )


def _gather(records: Iterable[RunRecord], name: str, factors: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """One file of every run below each other; a run without the file has no rows."""
    frames = []
    for record in records:
        path = record.folder / name
        if not path.is_file():
            continue
        frame = _read_table(path, columns)
        keys = {
            "run": record.planned.index,
            "repetition": record.planned.repetition,
            "verdict": record.assessment.verdict.value,
            **{factor: record.planned.levels.get(factor, "") for factor in factors},
        }
        if taken := [key for key in keys if key in frame.columns]:
            raise InvalidInputError(
                f"{path}: column '{taken[0]}' is the name of a factor or of the run; rename a label"
            )
        for position, (key, value) in enumerate(keys.items()):
            frame.insert(position, key, value)
        frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=[*_KEYS, *factors, *columns])
    return pd.concat(frames, ignore_index=True)


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        header = pd.read_csv(path, nrows=0).columns
        if missing := [column for column in columns if column not in header]:
            raise InvalidInputError(f"{path}: column '{missing[0]}' is missing; was the file edited?")
        texts = columns is READING_COLUMNS
        kinds = {name: _NUMBERS.get(name, "str") for name in header} if texts else {"detail": "str", "fault": "str"}
        return pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values={"value": ["nan", "NaN"]})
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InvalidInputError(f"{path}: cannot be read as a table: {error}") from error


def _runs(
    records: Sequence[RunRecord], factors: Sequence[str], counts: "pd.Series[int]", include_invalid: bool
) -> pd.DataFrame:
    columns = (
        *("run", "repetition", *factors, "seed", "state", "verdict", "reasons", "excluded", "error"),
        *("started_s", "workload_s", "ended_s", "seconds", "up_seconds", "samples"),
    )
    rows = [
        (
            record.planned.index,
            record.planned.repetition,
            *(record.planned.levels.get(factor, "") for factor in factors),
            record.planned.seed,
            record.state,
            record.assessment.verdict.value,
            "; ".join(record.assessment.reasons),
            record.excluded(include_invalid),
            record.error,
            record.started_s,
            record.workload_s,
            record.ended_s,
            record.ended_s - record.started_s,
            record.up_s,
            int(counts.get(record.planned.index, 0)),
        )
        for record in records
    ]
    return pd.DataFrame(rows, columns=list(columns))


def _verdicts(records: Sequence[RunRecord], factors: Sequence[str]) -> pd.DataFrame:
    rows = [
        (
            record.planned.index,
            *(record.planned.levels.get(factor, "") for factor in factors),
            record.assessment.verdict.value,
            reason,
        )
        for record in records
        for reason in record.assessment.reasons or ("",)
    ]
    return pd.DataFrame(rows, columns=["run", *factors, "verdict", "reason"])


def _links(records: Sequence[RunRecord]) -> pd.DataFrame:
    columns = ["run", "moment", "name", "quantity", "declared", "measured", "unit", "within_tolerance"]
    rows = [
        {"run": record.planned.index, **link}
        for record in records
        for link in layout.read_list(record.folder / layout.LINKS)
    ]
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*columns, *(name for name in frame.columns if name not in columns)])
    return frame.fillna({"moment": ""})


def _design(path: Path) -> ExperimentDesign:
    from experiments.design.document import read_experiment  # noqa: PLC0415 - YAML and schema only where needed

    return read_experiment(path / layout.EXPERIMENT)
