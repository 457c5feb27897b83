"""What is made of a results folder when its session is over: tables, the analysis, the report."""

from dataclasses import dataclass
from pathlib import Path

from experiments.engine.collect import collect
from experiments.engine.folder import ResultsFolder
from experiments.engine.recording import recording_of
from experiments.engine.summary import write_summary
from experiments.folder import write_text
from experiments.records import Analysis
from experiments.registry import load_implementation


@dataclass(frozen=True, slots=True)
class Finished:
    """What a session left."""

    directory: Path
    state: str
    """`complete`, `failed` or `stopped`."""
    why: str
    wanted: bool
    """Whether that is a success."""
    analysis: Analysis | None
    """None where no run is complete and valid, or the experiment is a file."""

    @property
    def report(self) -> Path:
        """The self-contained HTML page."""
        return self.directory / "report.html"


def finish(folder: ResultsFolder) -> Analysis | None:
    """Write runs.csv, runs.parquet, and for an experiment in Python its summary, figures and report."""
    collect(folder)
    if not folder.implementation:
        return None
    from experiments.report.write import write_report  # noqa: PLC0415 - matplotlib is slow to import

    recording = recording_of(folder)
    analysis = load_implementation(folder.implementation).analyse(recording)
    write_summary(folder.path, analysis)
    write_report(folder.path, folder.design, recording, analysis)
    write_text(folder.path / "README.md", _readme(folder, analysis))
    return analysis


def _readme(folder: ResultsFolder, analysis: Analysis) -> str:
    lines = [
        f"# Results of experiment {folder.design.name}",
        "",
        f"Question: {folder.design.question}",
        "",
        f"Finding: {analysis.finding} (verdict: {analysis.assessment.verdict})",
        "",
        "| file | holds |",
        "| --- | --- |",
        "| report.html | everything below for people, without any other file |",
        "| summary.csv, summary.json | each statistic with its 95 % interval, declared value and verdict |",
        "| runs.csv, runs.parquet | every sample, one a row, factors and labels as columns |",
        "| experiment.yaml | the experiment with every default; `kubinet run experiment.yaml` repeats it |",
        "| design.json | seed, order, every planned run |",
        "| session.json | state (complete or not), when sessions began and ended, load before and after |",
        "| runs/ | a folder for each run: samples, machine, links, events, topology, manifests, what tools printed |",
        "| failed/ | what attempts left that failed |",
        "| versions.json, machine.json | versions of everything, the machine |",
        "| figures/ | each figure as PNG, SVG and PDF |",
        "",
    ]
    return "\n".join(lines)
