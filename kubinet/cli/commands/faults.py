"""Commands that break a running cluster on purpose, and mend it."""

from typing import Annotated

import typer

from kubinet.cli.app import Panel, group, into
from kubinet.cli.options import ClusterOption, Facts, FactsOption

fault = group("fault", Panel.EXPERIMENTS, "Faults in a running cluster: inject, list, heal.")


@into(
    fault,
    ("fault", "inject"),
    [
        "kubinet fault inject 'partition [n1] [n2, n3]'",
        "kubinet fault inject 'link leaf1-spine1 down'",
        "kubinet fault inject 'from 0s to 10s: link leaf1-spine1 flap every 500ms' 'at 5s: kill controller'",
    ],
)
def inject(
    lines: Annotated[
        list[str], typer.Argument(metavar="LINE...", help="Lines of the timeline language (docs/faults.md).")
    ],
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Inject a fault now, and check that it is there and that the cluster suffers.

    Without a time it stays until `kubinet fault heal`. Lines with `at` or `from` are a timeline, which is played to its
    end: what `from … to …` injects is healed then, what `at` injects stays.

    Exit status 1 when a check fails.
    """
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.faulting import inject_lines

    inject_lines(cluster_of(cluster), lines, output)


@into(fault, ("fault", "ls"), ["kubinet fault ls", "kubinet fault ls -o json"])
def ls(output: FactsOption = Facts.TABLE, cluster: ClusterOption = None) -> None:
    """List the injected faults and look whether each is still there."""
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.faulting import list_faults

    list_faults(cluster_of(cluster), output)


@into(fault, ("fault", "heal"), ["kubinet fault heal partition-1", "kubinet fault heal link", "kubinet fault heal all"])
def heal(
    what: Annotated[
        str, typer.Argument(metavar="[NAME|WORD|all]", help="A fault's name, or a word such as link or partition.")
    ] = "all",
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Heal injected faults and wait until the cluster has recovered."""
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.faulting import heal_words

    heal_words(cluster_of(cluster), what, output)
