"""`kubinet run`: an experiment with its progress shown and its table printed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kubinet.cli.connection import cluster_of
from kubinet.cli.options import Facts
from kubinet.cli.printers import to_json
from kubinet.cli.table import text_table
from kubinet.cli.terminal import progress, results


@dataclass(frozen=True, slots=True)
class Run:
    """What `kubinet run` was asked for."""

    experiment: str
    topology: str
    nodes: int | None
    settings: Mapping[str, Any]
    parameters: Mapping[str, Any]
    seed: int
    repetitions: int | None
    quick: bool
    output_dir: Path
    cluster: str | None


def show_list(output: Facts) -> None:
    """The experiments that there are."""
    from experiments.registry import list_experiments

    found = [(entry.name, entry.summary) for entry in list_experiments()]
    if output is Facts.JSON:
        print(to_json([{"name": name, "summary": summary} for name, summary in found]), end="")
    else:
        print(text_table(("EXPERIMENT", "QUESTION"), found), end="")


def run(wanted: Run, output: Facts) -> None:
    """Run it, then print the table, the finding and where the results are."""
    from experiments.runner import run_experiment

    with _following(wanted.experiment) as show:
        done = run_experiment(
            wanted.experiment,
            topology=wanted.topology,
            nodes=wanted.nodes,
            settings=wanted.settings,
            parameters=wanted.parameters,
            seed=wanted.seed,
            repetitions=wanted.repetitions,
            quick=wanted.quick,
            output_dir=wanted.output_dir,
            progress=show,
            reuse_cluster=cluster_of(wanted.cluster) if wanted.cluster is not None else None,
        )
    if output is Facts.JSON:
        document = {
            "experiment": wanted.experiment,
            "directory": str(done.directory),
            "report": str(done.report),
            "finding": done.analysis.finding,
            "table": [dict(zip(done.table.columns, row, strict=True)) for row in done.table.rows],
        }
        print(to_json(document), end="")
        return
    console = results()
    console.print(_table(done.table.columns, done.table.rows, done.table.caption))
    console.print(done.analysis.finding, markup=False)
    console.print(f"Results: {done.directory}  Report: {done.report}", markup=False, soft_wrap=True)


def _table(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], caption: str) -> Table:
    table = Table(*columns, box=None, header_style="bold", pad_edge=False, caption=caption or None)
    table.caption_justify = "left"
    for row in rows:
        table.add_row(*row)
    return table


@contextmanager
def _following(title: str) -> Iterator[Callable[[str, str, float], None]]:
    """A bar per phase on standard error while the block runs; a line per text where nobody watches."""
    console = progress()
    if not console.is_terminal:
        last: list[str] = []

        def print_line(phase: str, text: str, fraction: float) -> None:  # noqa: ARG001 - no bar to fill
            line = f"{title}: {phase}: {text}"
            if last[-1:] != [line]:
                console.print(line, markup=False, soft_wrap=True)
                last[:] = [line]

        yield print_line
        return
    columns = (TextColumn("{task.fields[phase]}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(phase: str, text: str, fraction: float) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(text, total=1.0, phase=phase)
            bars.update(tasks[phase], completed=fraction, description=text)

        yield update
