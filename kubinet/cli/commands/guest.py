"""The command that runs another one under a guest kernel."""

from pathlib import Path
from typing import Annotated

import typer

from kubinet.cli.app import Panel, command


@command(
    "guest",
    Panel.OTHER,
    ["kubinet guest -- uname -r", "kubinet guest -- kubinet up star --nodes 2 --datapath system"],
)
def guest(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments, after --.")],
    kernel: Annotated[
        str,
        typer.Option("--kernel", metavar="KERNEL", help="uml, qemu, or auto: qemu where it can be had, else uml."),
    ] = "auto",
    memory: Annotated[int, typer.Option("--memory", metavar="MB", help="The guest's memory.")] = 2048,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="End it after this time.")] = 3600.0,
    write: Annotated[
        list[Path] | None, typer.Option("--write", metavar="FOLDER", help="What is written there stays; repeatable.")
    ] = None,
) -> None:
    """Run a command under a guest kernel that has openvswitch, vxlan, geneve and netem.

    The kernel qemu is a virtual machine with Debian's kernel; uml is user-mode Linux, without connection tracking.

    It sees this machine's files; what it writes stays in the guest, except in the folders named by --write.
    """
    from topologies.guest.__main__ import main

    options = [word for folder in write or () for word in ("--write", str(folder))]
    limits = ["--kernel", kernel, "--memory", str(memory), "--timeout", f"{timeout:g}"]
    raise typer.Exit(main([*limits, *options, "--", *words]))
