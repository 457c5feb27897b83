"""Commands on a running cluster's underlay: its links, and Mininet's own prompt."""

from typing import Annotated

import typer

from kubinet.cli.app import Panel, command, group, into
from kubinet.cli.options import ClusterOption, Facts, FactsOption
from kubinet.errors import KubinetError

link = group("link", Panel.NETWORK, "The underlay's links in a running cluster.")
LinkArgument = Annotated[str, typer.Argument(metavar="LINK", help="A link's name, as `kubinet link ls` shows it.")]


@into(link, ("link", "ls"), ["kubinet link ls", "kubinet link ls -o json"])
def ls(output: FactsOption = Facts.TABLE, cluster: ClusterOption = None) -> None:
    """List the links: what each declares, what carries it, and its two interfaces."""
    import json

    from kubinet.cli.printers import to_json
    from kubinet.cli.table import text_table
    from kubinet.units import format_duration, format_rate

    found = json.loads(_ask(cluster, "links"))
    if output is Facts.JSON:
        typer.echo(to_json(found), nl=False)
        return
    rows = [
        (
            one["name"],
            format_rate(one["rate"]) if one["rate"] else "unlimited",
            format_duration(one["delay"]) if one["delay"] else "-",
            f"{one['loss'] * 100:g}%" if one["loss"] else "-",
            one["wire"],
            " ~ ".join(end["interface"] for end in one["ends"]),
        )
        for one in found
    ]
    typer.echo(text_table(("NAME", "RATE", "DELAY", "LOSS", "WIRE", "INTERFACES"), rows), nl=False)


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


@into(link, ("link", "set"), ["kubinet link set leaf1-spine1 delay=5ms loss=1%", "kubinet link set n1-s1 rate=10mbit"])
def change(
    name: LinkArgument,
    settings: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="rate, delay, jitter, loss, queue.")],
    cluster: ClusterOption = None,
) -> None:
    """Change what a link declares while the cluster runs."""
    typer.echo(_ask(cluster, "set", name, *settings), nl=False)


@into(link, ("link", "measure"), ["kubinet link measure", "kubinet link measure n1-leaf1"])
def measure(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LINK...]", help="Links; all by default.")] = None,
    cluster: ClusterOption = None,
) -> None:
    """Measure links in both directions against what they declare; JSON."""
    typer.echo(_ask(cluster, "measure", *(names or ())), nl=False)


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


def _ask(cluster: str | None, *words: str) -> str:
    from kubinet.cli.connection import cluster_of

    result = cluster_of(cluster).run([*_client(), *words], check=False)
    if result.exit_code != 0:  # what it said, without the command line that nobody typed
        raise KubinetError(result.stderr.decode(errors="replace").strip().removeprefix("Error: "))
    return result.text
