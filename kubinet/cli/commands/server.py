"""Commands about the API server: its kinds, and how other clients reach it."""

from typing import Annotated

import typer

from kubinet.cli.app import Panel, command
from kubinet.cli.options import ClusterOption, Facts, FactsOption


@command("api-resources", Panel.OBJECTS, ["kubinet api-resources", "kubinet api-resources -o json"])
def api_resources(output: FactsOption = Facts.TABLE, cluster: ClusterOption = None) -> None:
    """List the kinds of objects that the API serves, with their short names."""
    from kubinet.cli.connection import client_of
    from kubinet.cli.printers import to_json
    from kubinet.cli.table import text_table

    found = client_of(cluster).resources()
    if output is Facts.JSON:
        document = [
            {
                "name": one.plural,
                "shortNames": list(one.short_names),
                "apiVersion": one.group_version,
                "namespaced": one.namespaced,
                "kind": one.kind,
                "verbs": list(one.verbs),
            }
            for one in found
        ]
        typer.echo(to_json(document), nl=False)
        return
    rows = [
        (one.plural, ",".join(one.short_names), one.group_version, str(one.namespaced).lower(), one.kind)
        for one in found
    ]
    typer.echo(text_table(("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"), rows), nl=False)


@command(
    "kubeconfig",
    Panel.OBJECTS,
    ["kubinet kubeconfig > cluster.kubeconfig", "export KUBECONFIG=$(kubinet kubeconfig --path)"],
)
def kubeconfig(
    path: Annotated[
        bool, typer.Option("--path", help="Write it into the cluster's state folder and print the file's name.")
    ] = False,
    cluster: ClusterOption = None,
) -> None:
    """Print a kubeconfig with which kubectl and client libraries reach the cluster."""
    from kubinet.cli.connection import cluster_of

    found = cluster_of(cluster)
    text = found.kubeconfig()
    if not path:
        typer.echo(text, nl=False)
        return
    import os

    file = found.info.state_dir / "kubeconfig"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    typer.echo(str(file))
