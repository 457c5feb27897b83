"""Commands on a running cluster's underlay: its links, and Mininet's own prompt."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from kubinet.cli.app import Panel, command, group, into
from kubinet.cli.options import ClusterOption, Facts, FactsOption
from kubinet.errors import KubinetError

link = group("link", Panel.NETWORK, "The underlay's links in a running cluster.")
LinkArgument = Annotated[str, typer.Argument(metavar="LINK", help="A link's name, as `kubinet link ls` shows it.")]


@into(link, ("link", "ls"), ["kubinet link ls", "kubinet link ls -o json"])
def ls(output: FactsOption = Facts.TABLE, cluster: ClusterOption = None) -> None:
    """List the links: what each declares, what carries it, and its two interfaces."""
    from kubinet.cli import linktables

    _show(_ask(cluster, "links"), output, linktables.declared)


@into(link, ("link", "down"), ["kubinet link down leaf1-spine1"])
def down(name: LinkArgument, cluster: ClusterOption = None) -> None:
    """Take a link down at both ends."""
    _ask(cluster, "down", name)
    typer.echo(f"link {name} down")


@into(link, ("link", "up"), ["kubinet link up leaf1-spine1"])
def up(name: LinkArgument, cluster: ClusterOption = None) -> None:
    """Bring a link up again."""
    _ask(cluster, "up", name)
    typer.echo(f"link {name} up")


@into(link, ("link", "set"), ["kubinet link set leaf1-spine1 rate=10mbit", "kubinet link set n1-s1 delay=5ms loss=1%"])
def change(
    name: LinkArgument,
    settings: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="rate, delay, jitter, loss, queue.")],
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Change what a link declares while the cluster runs, and show what it declares now.

    Delay, jitter and loss can be changed of links that were made with one of them, however small: `--set delay=1us`.
    """
    from kubinet.cli import linktables

    _show(_ask(cluster, "set", name, *settings), output, lambda changed: linktables.declared([changed]))


@into(link, ("link", "measure"), ["kubinet link measure", "kubinet link measure n1-leaf1 -o json"])
def measure(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LINK...]", help="Links; all by default.")] = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Measure links in both directions against what they declare: medians of delay, and what is not as declared."""
    from kubinet.cli import linktables

    _show(_ask(cluster, "measure", *(names or ())), output, linktables.measured)


@command("cli", Panel.NETWORK, ["kubinet cli", "echo 'n1 ping -c1 n2' | kubinet cli"])
def cli(cluster: ClusterOption = None) -> None:
    """Open Mininet's own prompt inside the running cluster: nodes, links, net, dump, `n1 ip addr`, exit."""
    import subprocess

    from kubinet.cli.connection import cluster_of
    from kubinet.sandbox import inside

    command_line = inside(cluster_of(cluster).info.pid, [*_client(), "cli"])
    raise typer.Exit(subprocess.run(command_line, check=False).returncode)


def _client() -> list[str]:
    """The program that talks to the underlay service, inside the sandbox."""
    import sys

    return [sys.executable, "-m", "topologies.underlay_client"]


def _show(answer: str, output: Facts, table: Callable[[Any], str]) -> None:
    import json

    from kubinet.cli.printers import to_json

    found = json.loads(answer)
    typer.echo(to_json(found) if output is Facts.JSON else table(found), nl=False)


def _ask(cluster: str | None, *words: str) -> str:
    from kubinet.cli.connection import cluster_of

    result = cluster_of(cluster).run([*_client(), *words], check=False)
    if result.exit_code != 0:  # what it said, without the command line that nobody typed
        raise KubinetError(result.stderr.decode(errors="replace").strip().removeprefix("Error: "))
    return result.text
