"""Commands on topologies: show, validate, graph."""

from typing import Annotated

import typer

from kubinet.cli import completing
from kubinet.cli.app import Panel, group, into
from kubinet.cli.options import ClusterOption, Facts, FactsOption
from kubinet.errors import UsageError

topology = group("topology", Panel.EXPERIMENTS, "Look at topologies: files, presets, and those of running clusters.")

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TOPOLOGY.yaml | PRESET]",
        help="A file or preset (default: the running cluster's).",
        autocompletion=completing.presets,
    ),
]
NodesOption = Annotated[int | None, typer.Option("--nodes", min=1, help="How many nodes (presets only).")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A preset's parameter or a field of the topology; repeatable."),
]


@into(
    topology,
    ("topology", "show"),
    ["kubinet topology show leaf-spine --nodes 8 > topology.yaml", "kubinet topology show -o json"],
)
def show(
    source: SourceArgument = None,
    nodes: NodesOption = None,
    settings: SettingsOption = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="yaml|json", help="The form.")] = "yaml",
    cluster: ClusterOption = None,
) -> None:
    """Print a topology with every default filled in; the output is a Topology file itself."""
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.printers import to_json, to_yaml
    from kubinet.cli.settings import parse_settings

    if output not in {"yaml", "json"}:
        raise UsageError(f"-o {output}: write yaml or json")
    if source is None:
        if nodes is not None or settings:
            raise UsageError("--nodes and --set need a file or preset")
        document = cluster_of(cluster).topology
    else:
        from topologies.resolve import resolve_topology

        document = resolve_topology(source, nodes=nodes, settings=parse_settings(settings or ()))
    typer.echo(to_yaml(document) if output == "yaml" else to_json(document), nl=False)


@into(
    topology,
    ("topology", "validate"),
    ["kubinet topology validate topology.yaml", "kubinet topology validate fat-tree --set k=4"],
)
def validate(
    source: Annotated[
        str,
        typer.Argument(metavar="TOPOLOGY.yaml | PRESET", help="A file or preset.", autocompletion=completing.presets),
    ],
    nodes: NodesOption = None,
    settings: SettingsOption = None,
    output: FactsOption = Facts.TABLE,
) -> None:
    """Check a topology without creating anything: form, names, addresses, links, connectedness."""
    from kubinet.cli.printers import to_json
    from kubinet.cli.settings import parse_settings
    from topologies.resolve import resolve_topology

    spec = resolve_topology(source, nodes=nodes, settings=parse_settings(settings or ()))["spec"]
    counts = {key: len(spec.get(key, ())) for key in ("nodes", "switches", "routers", "outside", "links")}
    if output is Facts.JSON:
        typer.echo(to_json({"source": source, "valid": True, **counts}), nl=False)
        return
    typer.echo(f"{source} is valid: {', '.join(f'{count} {key}' for key, count in counts.items())}")


@into(
    topology,
    ("topology", "graph"),
    ["kubinet topology graph leaf-spine -w leaf-spine.svg", "kubinet topology graph topology.yaml --mermaid"],
)
def graph(
    source: SourceArgument = None,
    write: Annotated[
        str | None, typer.Option("--write", "-w", metavar="FILE.svg|png|pdf", help="The picture's file.")
    ] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print Mermaid text instead of drawing.")] = False,
    nodes: NodesOption = None,
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Draw a topology: nodes, switches, routers, links with what they declare."""
    from pathlib import Path

    from kubinet.cli.connection import cluster_of
    from kubinet.cli.settings import parse_settings
    from topologies import graph as drawing
    from topologies.document import parse_topology, spell
    from topologies.resolve import load_topology

    if source is None:
        found = parse_topology(cluster_of(cluster).topology, spell)
    else:
        overrides = dict(parse_settings(settings or ())) | ({"nodes": nodes} if nodes is not None else {})
        found = load_topology(source, overrides)
    if mermaid:
        typer.echo(drawing.mermaid(found), nl=False)
    elif write is None:
        raise UsageError("name the picture's file with -w FILE.svg, or ask for --mermaid")
    else:
        drawing.render(found, Path(write))
        typer.echo(write)
