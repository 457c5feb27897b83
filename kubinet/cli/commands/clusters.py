"""Commands on clusters: doctor, up, down, ls, status."""

from typing import Annotated

import typer

from kubinet.cli import completing
from kubinet.cli.app import Panel, command
from kubinet.cli.options import ClusterOption, Facts, FactsOption
from kubinet.errors import UsageError

NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        envvar="KUBINET_CLUSTER",
        help="The cluster's name.",
        show_default=False,
        autocompletion=completing.clusters,
    ),
]


@command("doctor", Panel.CLUSTERS, ["kubinet doctor", "kubinet doctor -o json"])
def doctor(output: FactsOption = Facts.TABLE) -> int:
    """Say what this machine can do, what each lack means and which fallback is used.

    The exit status is 1 only when something is missing that nothing replaces.
    """
    from kubinet.cli import examination

    return examination.show(output)


@command(
    "up",
    Panel.CLUSTERS,
    [
        "kubinet up",
        "kubinet up leaf-spine --nodes 4 --name demo",
        "kubinet up topology.yaml --set network.overlay=geneve --datapath netdev",
    ],
)
def up(
    topology: Annotated[
        str,
        typer.Argument(
            metavar="[TOPOLOGY.yaml | PRESET]",
            help="A Topology file or a preset's name.",
            autocompletion=completing.presets,
        ),
    ] = "leaf-spine",
    name: NameOption = None,
    nodes: Annotated[int | None, typer.Option("--nodes", min=1, help="How many nodes (presets only).")] = None,
    datapath: Annotated[
        str,
        typer.Option("--datapath", metavar="auto|system|netdev|afxdp", help="Open vSwitch's datapath."),
    ] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A preset's parameter or a field of the topology; repeatable."),
    ] = None,
    api_port: Annotated[
        int, typer.Option("--api-port", min=0, max=65535, help="The API's port on the loopback; 0: any free one.")
    ] = 0,
    output: FactsOption = Facts.TABLE,
) -> None:
    """Bring a cluster up, and return when it is observed to be ready.

    Ready means: the switches are connected, the tunnels are resolved and every pair of nodes has answered. The cluster
    lives in namespaces of its own and ends with `kubinet down`; nothing else on the machine changes.
    """
    from kubinet import launcher
    from kubinet.cli import startup
    from kubinet.cli.settings import parse_settings

    if datapath not in {"auto", "system", "netdev", "afxdp"}:
        raise UsageError(f"--datapath {datapath}: write auto, system, netdev or afxdp")
    request = launcher.Request(
        topology=topology,
        name=name or launcher.DEFAULT_NAME,
        nodes=nodes,
        datapath=datapath,
        settings=parse_settings(settings or ()),
        port=api_port,
    )
    info = startup.start(request)
    startup.report(info, output)


@command("down", Panel.CLUSTERS, ["kubinet down", "kubinet down --name demo", "kubinet down --all"])
def down(
    name: NameOption = None,
    every: Annotated[bool, typer.Option("--all", help="All clusters.")] = False,
) -> None:
    """End a cluster and remove everything that belongs to it."""
    from kubinet import launcher

    if every and name is not None:
        raise UsageError("--all and --name exclude each other")
    known = [info.name for info in launcher.list_clusters()]
    if not every and name is None and len(known) > 1:
        raise UsageError(f"several clusters exist ({', '.join(sorted(known))}); choose one with --name, or --all")
    chosen = known if every or name is None else [name]
    if not chosen:
        typer.echo("No cluster runs.", err=True)
    for one in chosen:
        launcher.stop(one)
        typer.echo(f"cluster {one} ended")


@command("ls", Panel.CLUSTERS, ["kubinet ls", "kubinet ls -o json"])
def ls(
    output: FactsOption = Facts.TABLE,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the headers away.")] = False,
) -> None:
    """List the clusters on this machine, also those that died."""
    import time

    from kubinet import launcher
    from kubinet.cli.durations import human
    from kubinet.cli.printers import to_json
    from kubinet.cli.table import text_table

    found = launcher.list_clusters()
    if output is Facts.JSON:
        keys = ("name", "alive", "nodes", "url", "pid", "created")
        document = [{key: getattr(one, key) for key in keys} | {"stateDir": str(one.state_dir)} for one in found]
        typer.echo(to_json(document), nl=False)
        return
    if not found:
        typer.echo("No cluster runs; `kubinet up` starts one.", err=True)
        return
    rows = [
        (one.name, "Running" if one.alive else "Dead", one.nodes, one.url, one.pid, human(time.time() - one.created))
        for one in found
    ]
    headers = ("NAME", "STATUS", "NODES", "API", "PID", "AGE")
    typer.echo(text_table(headers, rows, show_headers=not no_headers), nl=False)


@command("status", Panel.CLUSTERS, ["kubinet status", "kubinet status -o json"])
def status(output: FactsOption = Facts.TABLE, cluster: ClusterOption = None) -> None:
    """Show a running cluster: services, nodes, pods, flows per bridge, realised generation, memory."""
    from kubinet.cli import reporting
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.printers import to_json

    found = reporting.collect(cluster_of(cluster))
    typer.echo(to_json(found) if output is Facts.JSON else reporting.text(found), nl=False)
