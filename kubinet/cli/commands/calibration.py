"""The command on what this machine can do: calibrate."""

from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import Facts, FactsOption


@command("calibrate", Panel.EXPERIMENTS, ["kubinet calibrate", "kubinet calibrate --quick -o json"])
def calibrate(
    quick: Annotated[bool, typer.Option("--quick", help="Coarse steps and short trials, under a minute.")] = False,
    busy: Annotated[bool, typer.Option("--busy", help="Also on a machine that has other work.")] = False,
    output: FactsOption = Facts.TABLE,
) -> None:
    """Find what this machine can emulate honestly: rates, packets, links with delay, nodes.

    Each is raised until the verdict is no longer valid, in less than 5 minutes. Experiments that ask for more are
    warned about or refused.
    """
    from kubinet.cli import calibrating

    calibrating.run(output, quick=quick, busy=busy)
