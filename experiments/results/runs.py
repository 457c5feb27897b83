"""The runs of a results folder as their run.json says: state, verdict, levels, times."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.design.model import PlannedRun
from experiments.records import Assessment, Verdict
from experiments.results import layout
from kubinet.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run that ended."""

    folder: Path
    planned: PlannedRun
    state: str
    """`complete` or `failed`."""
    assessment: Assessment
    error: str
    """Why it failed; empty otherwise."""
    started_s: float
    workload_s: float
    """When the workload started, seconds since 1970: zero of the timeline; the run's start where it never did."""
    ended_s: float
    phases: Mapping[str, float]
    """Part of the run (`up`, `ready`, `links before`, `warm-up`, `workload`, `links after`) to seconds."""

    @property
    def up_s(self) -> float:
        """How long its cluster took to come up, seconds; zero where that is not known."""
        return self.phases.get("up", 0.0)

    def excluded(self, include_invalid: bool) -> str:
        """Why its samples are left out; empty where they are not."""
        if self.state != "complete":
            return f"{self.state}: {self.error}" if self.error else self.state
        if self.assessment.verdict is Verdict.INVALID and not include_invalid:
            return f"invalid: {'; '.join(self.assessment.reasons) or 'no reason is recorded'}"
        return ""


def read_runs(directory: Path) -> tuple[RunRecord, ...]:
    """Every run that ended, in the run order; a folder without run.json is a run that did not happen."""
    folders = (path for path in (directory / layout.RUNS).glob("*") if (path / layout.RUN).is_file())
    return tuple(sorted(map(_read, folders), key=lambda run: run.planned.index))


def _read(folder: Path) -> RunRecord:
    path = folder / layout.RUN
    document = layout.read_document(path)
    try:
        verdict = document.get("verdict") or {}
        return RunRecord(
            folder=folder,
            planned=PlannedRun(
                index=int(document["index"]),
                repetition=int(document["repetition"]),
                levels={str(name): str(level) for name, level in document["levels"].items()},
                seed=int(document["seed"]),
            ),
            state=str(document["state"]),
            assessment=Assessment(
                Verdict(verdict.get("verdict", Verdict.VALID)), tuple(map(str, verdict.get("reasons", ())))
            ),
            error=_error(document.get("error")),
            started_s=float(document["started_s"]),
            workload_s=float(document.get("workload_started_s") or document["started_s"]),
            ended_s=float(document["ended_s"]),
            phases={str(phase): float(seconds) for phase, seconds in (document.get("phases") or {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"{path}: not a run of Kubinet ({type(error).__name__}: {error}); restore the file, or remove the folder "
            f"{folder.name} and resume the experiment"
        ) from error


def _error(value: Any) -> str:
    return "" if value is None else str(value)
