"""The command on experiments: run."""

from pathlib import Path
from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import Facts, FactsOption
from kubinet.errors import UsageError


@command(
    "run",
    Panel.EXPERIMENTS,
    [
        "kubinet run --list",
        "kubinet run pod_latency --quick",
        "kubinet run pod_latency --topology fat-tree --seed 7 --output-dir results",
    ],
)
def run(
    experiment: Annotated[str | None, typer.Argument(metavar="[EXPERIMENT]", help="The experiment's name.")] = None,
    every: Annotated[bool, typer.Option("--list", help="List the experiments and what they ask.")] = False,
    topology: Annotated[
        str | None,
        typer.Option("--topology", help="A Topology file or preset for a cluster of its own (default: leaf-spine)."),
    ] = None,
    nodes: Annotated[int | None, typer.Option("--nodes", min=1, help="How many nodes (presets only).")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the cluster, as for `kubinet up`; repeatable."),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="A parameter of the experiment; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The seed of everything random, such as the run order.")] = 1,
    repetitions: Annotated[
        int | None, typer.Option("--repetitions", min=1, help="How often each cell is measured.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short run that shows that everything works.")] = False,
    output_dir: Annotated[Path, typer.Option("--output-dir", "-d", help="Where the results folder is made.")] = Path(
        "results"
    ),
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", envvar="KUBINET_CLUSTER", help="Run in this cluster, as it is (default: one of its own)."
        ),
    ] = None,
    output: FactsOption = Facts.TABLE,
) -> None:
    """Run an experiment and write its results: samples, figures, a report.

    A cluster of its own is brought up and taken down; with --cluster the experiment runs in that cluster and leaves it.
    """
    from kubinet.cli import calibrating, experimenting
    from kubinet.cli.settings import parse_settings

    if every:
        experimenting.show_list(output)
        return
    if experiment == "calibrate":
        calibrating.run(output, quick=quick, busy=False)  # people look for it here, too
        return
    if experiment is None:
        raise UsageError("name an experiment; `kubinet run --list` lists them")
    if cluster is not None and (topology is not None or nodes is not None or settings):
        raise UsageError("--cluster runs in a cluster as it is; --topology, --nodes and --set make a new one")
    experimenting.run(
        experimenting.Run(
            experiment=experiment,
            topology=topology or "leaf-spine",
            nodes=nodes,
            settings=parse_settings(settings or ()),
            parameters=parse_settings(parameters or (), "--parameter"),
            seed=seed,
            repetitions=repetitions,
            quick=quick,
            output_dir=output_dir,
            cluster=cluster,
        ),
        output,
    )
