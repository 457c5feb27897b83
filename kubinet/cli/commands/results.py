"""Commands on results folders: report, compare, bundle."""

from pathlib import Path
from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import Facts, FactsOption
from kubinet.errors import UsageError

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder that `kubinet run` wrote.")]
InvalidOption = Annotated[bool, typer.Option("--include-invalid", help="Use the samples of invalid runs as well.")]


@command(
    "report",
    Panel.EXPERIMENTS,
    [
        "kubinet report results/overlay-cost-20261126T024500Z-1a2b",
        "kubinet report results/overlay-cost-20261126T024500Z-1a2b --include-invalid",
    ],
)
def report(
    folder: FolderArgument,
    include_invalid: InvalidOption = False,
    open_nothing: Annotated[
        bool, typer.Option("--open-nothing", help="Do not show the page in a browser where there is a desktop.")
    ] = False,
    output: FactsOption = Facts.TABLE,
) -> None:
    """Make the report of a results folder again from what was measured: report.html, report.md, figures, summary.

    Everything is written into DIR. The same samples give the same files. Works while the experiment still runs.
    """
    from kubinet.cli import resultsprinting as printing

    made = printing.make_report(folder, include_invalid)
    if output is Facts.JSON:
        typer.echo(printing.report_json(made), nl=False)
        return
    typer.echo(printing.report_text(made), nl=False)
    if not open_nothing:
        printing.show(made.page)


@command(
    "compare",
    Panel.EXPERIMENTS,
    [
        "kubinet compare results/before results/after",
        "kubinet compare before after --tolerance 10% --metric rtt --junit changes.xml",
    ],
)
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="The results folder to compare with.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The results folder that is judged.")],
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SHARE", help="A change of at most this share is none.")
    ] = "5%",
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Only this metric; repeatable.")
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option("--lower-is-better", metavar="METRIC", help="Of a metric whose unit does not say it; repeatable."),
    ] = None,
    higher: Annotated[
        list[str] | None,
        typer.Option(
            "--higher-is-better", metavar="METRIC", help="Of a metric whose unit does not say it; repeatable."
        ),
    ] = None,
    claims: Annotated[
        bool, typer.Option("--claims", help="Judge A's claims only: worse is one that B does not show.")
    ] = False,
    include_invalid: InvalidOption = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="OUT.xml", help="Write the results as JUnit XML, too.")
    ] = None,
    output: FactsOption = Facts.TABLE,
) -> int:
    """Say what changed from results A to results B. Exit status 0: nothing became worse, 1: something did.

    Worse is a change by more than the tolerance in the wrong direction whose 95 % interval does not hold zero. Rates
    should be high; times, sizes, losses and errors low.
    """
    import time

    from experiments.results.comparison_text import junit as to_junit
    from kubinet.cli import resultsprinting as printing

    if claims:
        if junit is not None or metrics:
            raise UsageError("--claims judges claims, not metrics; leave --metric and --junit out")
        again = printing.claims_again(first, second, include_invalid)
        typer.echo(printing.claims_json(again) if output is Facts.JSON else printing.claims_text(again), nl=False)
        return int(any(one.lost for one in again))
    began = time.monotonic()
    share = printing.share(tolerance)
    found = printing.comparison(
        first,
        second,
        printing.Judging(share, tuple(metrics or ()), tuple(lower or ()), tuple(higher or ()), include_invalid),
    )
    text = printing.comparison_json(found, share) if output is Facts.JSON else printing.comparison_text(found, share)
    typer.echo(text, nl=False)
    if junit is not None:
        junit.write_text(to_junit(f"{first.name} to {second.name}", found, time.monotonic() - began))
    return int(bool(found.regressions))


@command(
    "bundle",
    Panel.EXPERIMENTS,
    [
        "kubinet bundle results/overlay-cost-20261126T024500Z-1a2b",
        "kubinet bundle results/overlay-cost-20261126T024500Z-1a2b -o artifact.tar.gz --license LICENSE",
    ],
)
def bundle(
    folder: FolderArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.tar.gz", help="The archive.  \\[default: DIR.tar.gz]"),
    ] = None,
    licence: Annotated[
        Path | None, typer.Option("--license", metavar="FILE", help="The licence to put in instead of Kubinet's.")
    ] = None,
) -> None:
    """Pack a results folder for an artifact evaluation: one archive with results, claims, scripts, appendix, licence.

    Inside are claims.yml (each claim with tolerance and verdict), the script `reproduce` that runs the experiment again
    and compares, the script `figures` that makes the figures again from the results alone, a draft of the artifact
    appendix, and RO-Crate metadata. The same folder gives the same archive.
    """
    from kubinet.cli import resultsprinting as printing

    typer.echo(printing.make_bundle(folder, output, licence), nl=False)
