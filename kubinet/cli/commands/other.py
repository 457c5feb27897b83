"""Commands about the program itself: version, completion."""

from enum import StrEnum
from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import Facts, FactsOption


class Shell(StrEnum):
    """Shells that completion scripts exist for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@command("version", Panel.OTHER, ["kubinet version", "kubinet version -o json"])
def version(output: FactsOption = Facts.TABLE) -> None:
    """Print the versions of Kubinet and of what it stands on."""
    import importlib.metadata
    import platform

    from kubinet.cli.printers import to_json
    from kubinet.version import __version__

    found = {"kubinet": __version__, "python": platform.python_version(), "kernel": platform.release()}
    for package in ("mininet", "os-ken", "pyroute2"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    if output is Facts.JSON:
        typer.echo(to_json(found), nl=False)
        return
    for name, text in found.items():
        typer.echo(f"{name} {text}")


@command("completion", Panel.OTHER, ["source <(kubinet completion bash)", "kubinet completion zsh > ~/.zfunc/_kubinet"])
def completion(shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell.")]) -> None:
    """Print the script that makes a shell complete commands, options, kinds and names."""
    import os

    from kubinet.cli.main import run

    os.environ["_KUBINET_COMPLETE"] = f"source_{shell.value}"  # the protocol of Typer's completion
    raise typer.Exit(run([]))
