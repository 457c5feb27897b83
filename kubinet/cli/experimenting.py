"""`kubinet run`: an experiment planned, carried out, its table printed."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kubinet.cli.options import Facts
from kubinet.cli.printers import to_json
from kubinet.cli.table import text_table
from kubinet.cli.terminal import results
from kubinet.errors import KubinetError

if TYPE_CHECKING:
    from experiments.engine.api import Prepared
    from experiments.engine.finishing import Finished


@dataclass(frozen=True, slots=True)
class Run:
    """What `kubinet run` was asked for."""

    experiment: str
    topology: str | None
    nodes: int | None
    levels: Sequence[str]
    """FACTOR=LEVEL,LEVEL."""
    parameters: Sequence[str]
    """NAME=VALUE."""
    seed: int | None
    repetitions: int | None
    quick: bool
    jobs: int
    workers: str | None
    output_dir: Path
    name: str | None
    anyway: bool
    """Also what this machine cannot emulate honestly."""


def show_list(output: Facts) -> None:
    """The experiments that there are."""
    from experiments.registry import list_experiments, summary_of

    found = [(entry.name, summary_of(entry)) for entry in list_experiments()]
    if output is Facts.JSON:
        print(to_json([{"name": name, "summary": summary} for name, summary in found]), end="")
    else:
        print(text_table(("EXPERIMENT", "QUESTION"), found), end="")


def show_plan(wanted: Run, output: Facts) -> None:
    """Every run that there would be; nothing is started or written."""
    from experiments.design.dryrun import dry_run, lines
    from experiments.engine.api import check_capacity, manner_of
    from experiments.plugins import workloads

    prepared = _prepared(wanted)
    dry = dry_run(prepared.design, workloads)
    if output is Facts.JSON:
        print(to_json(asdict(dry) | {"seconds": dry.seconds}), end="")
    else:
        print("\n".join(lines(dry)))
    if not wanted.anyway and manner_of(wanted.jobs, wanted.workers).on_this_machine:
        check_capacity(prepared)


def run(wanted: Run, output: Facts) -> int:
    """Run it, then print the table, the finding and where the results are; the exit status."""
    from experiments.engine.api import manner_of, run_prepared
    from kubinet.cli.rundisplay import following

    prepared = _prepared(wanted)
    with following(prepared.design.name) as follower:
        done = run_prepared(
            prepared,
            manner=manner_of(wanted.jobs, wanted.workers),
            output_dir=wanted.output_dir,
            name=wanted.name,
            follower=follower,
            command_line=_command_line(),
            anyway=wanted.anyway,
        )
    return _report(done, output)


def resume(directory: Path, jobs: int, workers: str | None, output: Facts) -> int:
    """Go on with a results folder; the exit status."""
    from experiments.engine.api import manner_of, resume_experiment
    from kubinet.cli.rundisplay import following

    with following(directory.name) as follower:
        done = resume_experiment(
            directory, manner=manner_of(jobs, workers), follower=follower, command_line=_command_line()
        )
    return _report(done, output)


def _command_line() -> list[str]:
    """As it was typed: where the program's file lies is nobody's business who reads the results."""
    return ["kubinet", *sys.argv[1:]]


def _prepared(wanted: Run) -> "Prepared":
    from experiments.design.factors import parse_levels
    from experiments.engine.api import prepare

    prepared = prepare(
        wanted.experiment,
        levels=parse_levels(wanted.levels),
        parameters=wanted.parameters,
        repetitions=wanted.repetitions,
        seed=wanted.seed,
        quick=wanted.quick,
        topology=wanted.topology,
        nodes=wanted.nodes,
        output_dir=wanted.output_dir,
    )
    told = (
        *filter(None, [prepared.left_out]),
        *prepared.beyond.warnings,
        *(prepared.beyond.refusals if wanted.anyway else ()),
    )
    for words in told:
        print(f"{prepared.design.name}: {words}", file=sys.stderr)
    return prepared


def _report(done: "Finished", output: Facts) -> int:
    report = done.report
    if output is Facts.JSON:
        document: dict[str, Any] = {"state": done.state, "why": done.why, "directory": str(done.directory)}
        if report is not None:
            document |= {
                "report": str(report.page),
                "finding": report.finding,
                "tables": [
                    [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in report.tables
                ],
            }
        print(to_json(document), end="")
    else:
        console = results()
        for table in report.tables if report is not None else ():
            console.print(_table(table.columns, table.rows, table.caption))
        page = ""
        if report is not None:
            console.print(report.finding, markup=False)
            page = f"  Report: {report.page}"
        console.print(f"Results: {done.directory}{page}", markup=False, soft_wrap=True)
    if not done.wanted:
        raise KubinetError(f"{done.why}; `kubinet run --resume {done.directory}` goes on")
    return 0


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> Table:
    table = Table(*columns, box=None, header_style="bold", pad_edge=False, caption=caption or None)
    table.caption_justify = "left"
    for row in rows:
        table.add_row(*row)
    return table
