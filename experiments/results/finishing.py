"""What is made of a results folder when its experiment ends."""

from pathlib import Path
from typing import Final

from experiments.results import layout
from experiments.results.collecting import collect
from experiments.results.crate import crate
from experiments.results.loading import Results, load
from experiments.results.own import own_analysis
from experiments.results.reporting import Report, report
from experiments.results.writing import put, put_json

LICENCE: Final = "https://spdx.org/licenses/CC-BY-4.0"
"""Of measured data, as archives recommend; whoever publishes a bundle may say another."""


def finish(directory: Path | str) -> Report:
    """Collect, analyse, report, write README.md and RO-Crate metadata; may be called again at any time."""
    everything = load(directory, include_invalid=True)
    collect(everything)
    results = load(directory)
    made = report(results, own_analysis(results))
    put(results.path / layout.README, _readme(results, made))
    put_json(results.path / layout.CRATE, crate(results, results.path, licence=LICENCE, names={}))
    return made


def _readme(results: Results, made: Report) -> str:
    rows = [
        (layout.PAGE, "everything below for people, without any other file"),
        (layout.TEXT, "the same as Markdown"),
        (f"{layout.FIGURES}/", "each figure as PNG, SVG and PDF"),
        (
            f"{layout.SUMMARY}, {layout.SUMMARY_DOCUMENT}",
            "each statistic with its 95 % interval, effects, tests, claims",
        ),
        (f"{layout.PARQUET}, {layout.TABLE}", "every sample of complete runs, one a row, factors as columns"),
        (layout.EXPERIMENT, "the experiment with every default: `kubinet run experiment.yaml` runs it again"),
        (layout.DESIGN, "seed, order and every planned run"),
        (layout.SESSION, "when it was run, by which command, how it ended, load before and after"),
        (f"{layout.VERSIONS}, {layout.MACHINE}", "versions of everything on the way, the machine"),
        (f"{layout.RUNS}/", "a folder for each run: run.json, samples, machine seconds, links, events, topology, raw"),
        (layout.CRATE, "RO-Crate 1.1 metadata"),
    ]
    lines = [
        f"# Results of the experiment {results.design.name}",
        "",
        f"Question: {results.design.question}",
        "",
        f"Finding: {made.finding}",
        "",
        "| file | holds |",
        "| --- | --- |",
        *(f"| {name} | {text} |" for name, text in rows),
        "",
        "`kubinet report .` makes the report again, `kubinet compare` sets another folder beside this one, "
        "`kubinet bundle .` packs it for an artifact evaluation.",
        "",
    ]
    return "\n".join(lines)
