"""The command on experiments: run."""

from pathlib import Path
from typing import Annotated

import typer

from kubinet.cli import completing
from kubinet.cli.app import Panel, command
from kubinet.cli.options import Facts, FactsOption
from kubinet.errors import UsageError


@command(
    "run",
    Panel.EXPERIMENTS,
    [
        "kubinet run --list",
        "kubinet run pod_latency --quick",
        "kubinet run my-experiment.yaml --dry-run",
        "kubinet run my-experiment.yaml --set overlay=vxlan,direct --reps 30 --seed 7 -p seconds=10",
        "kubinet run pod_latency --topology fat-tree --output-dir results",
        "kubinet run --resume results/pod_latency-20261126T120000Z-1a2b",
    ],
)
def run(
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPERIMENT]",
            help="An experiment's name, or an Experiment file.",
            autocompletion=completing.experiments,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--list", help="List the experiments and what they ask.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Check all, print every planned run.")] = False,
    levels: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FACTOR=LEVEL,LEVEL",
            help="The levels of a factor, or of a path such as topology.network.overlay; repeatable.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the experiment; repeatable."),
    ] = None,
    repetitions: Annotated[
        int | None, typer.Option("--reps", "--repetitions", min=1, help="How often each combination of levels is run.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="The seed of everything random, such as the run order.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short run that shows that everything works.")] = False,
    topology: Annotated[
        str | None, typer.Option("--topology", help="A Topology file or preset instead of the experiment's own.")
    ] = None,
    nodes: Annotated[int | None, typer.Option("--nodes", min=1, help="How many nodes (presets only).")] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Runs side by side; only where the experiment measures no speed.")
    ] = 1,
    workers: Annotated[
        str | None,
        typer.Option(
            "--workers",
            metavar="KIND:…",
            help="Runs on other processes or machines: local:2, ssh:host1,host2, slurm:jobs=4,queue=debug.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with a results folder: run what is missing.")
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output-dir", "-d", help="Where the results folder is made.")] = Path(
        "results"
    ),
    name: Annotated[
        str | None, typer.Option("--name", help="What the results folder's name begins with (default: the experiment).")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also what `kubinet calibrate` found to be too much for this machine.")
    ] = False,
    output: FactsOption = Facts.TABLE,
) -> int:
    """Run an experiment and write its results: samples, tables, figures, a report.

    Every run has a cluster of its own. The results folder is written as runs end: after ctrl-C, a crash or a failed
    run, --resume goes on with nothing lost. The exit status is 0 when every run is there, 1 when one failed or the
    experiment stopped because of its conditions, 2 when it was asked wrongly.
    """
    from kubinet.cli import calibrating, experimenting

    if every:
        experimenting.show_list(output)
        return 0
    if experiment == "calibrate":
        # People look for it here, too.
        if levels or parameters or repetitions or seed is not None or topology or nodes or jobs > 1 or workers:
            raise UsageError(
                "run calibrate is `kubinet calibrate`, which takes no experiment's options; leave them out"
            )
        if resume is not None or name or anyway or dry:
            raise UsageError("run calibrate is `kubinet calibrate`, which takes --quick and -o; leave the others out")
        calibrating.run(output, quick=quick, busy=False)
        return 0
    if resume is not None:
        if experiment is not None or levels or parameters or repetitions or seed is not None or quick or topology:
            raise UsageError("--resume goes on with an experiment as it is; only --jobs and --workers may be given")
        return experimenting.resume(resume, jobs, workers, output)
    if experiment is None:
        raise UsageError("name an experiment; `kubinet run --list` lists them")
    wanted = experimenting.Run(
        experiment=experiment,
        topology=topology,
        nodes=nodes,
        levels=levels or (),
        parameters=parameters or (),
        seed=seed,
        repetitions=repetitions,
        quick=quick,
        jobs=jobs,
        workers=workers,
        output_dir=output_dir,
        name=name,
        anyway=anyway,
    )
    if dry:
        experimenting.show_plan(wanted, output)
        return 0
    return experimenting.run(wanted, output)
