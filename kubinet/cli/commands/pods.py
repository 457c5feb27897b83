"""Commands on pods: exec, logs, and the events of a namespace."""

from typing import Annotated

import typer

from kubinet.cli import completing
from kubinet.cli.app import Panel, command
from kubinet.cli.options import (
    AllNamespacesOption,
    ClusterOption,
    ContainerOption,
    NamespaceOption,
    SelectorOption,
)
from kubinet.errors import UsageError


@command(
    "exec",
    Panel.OBJECTS,
    [
        "kubinet exec a -- ping -c3 10.244.1.2",
        "kubinet exec -it a -c shell -- sh",
        "kubinet exec -i a -- sh < script.sh",
    ],
)
def execute(
    pod: Annotated[
        str,
        typer.Argument(
            metavar="POD",
            help="The pod, NAME or pod/NAME; for deploy/NAME, svc/NAME … one of its pods.",
            autocompletion=completing.pods,
        ),
    ],
    argv: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARG]...", help="The program and its arguments.")],
    container: ContainerOption = None,
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Pass standard input on.")] = False,
    terminal: Annotated[bool, typer.Option("--tty", "-t", help="Give the program a terminal.")] = False,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Run a program in a pod's container; its exit status becomes ours."""
    from kubinet.cli import execution
    from kubinet.cli.connection import client_of
    from kubinet.cli.logs import default_container
    from kubinet.cli.podof import pod_of
    from kubinet.cli.selection import select_one

    client = client_of(cluster)
    resource, name = select_one(client, pod)
    where = namespace or "default"
    name = pod_of(client, resource.plural, name, where)
    found = client.get("pods", name, where)
    return execution.run(
        client,
        where,
        name,
        argv,
        container=container or default_container(found),
        stdin=stdin,
        terminal=terminal,
    )


@command(
    "logs",
    Panel.OBJECTS,
    ["kubinet logs a -f", "kubinet logs a -c init --timestamps", "kubinet logs -l app=web --prefix --tail=20"],
)
def logs(
    pod: Annotated[
        str | None,
        typer.Argument(metavar="[POD]", help="The pod; or choose several with -l.", autocompletion=completing.pods),
    ] = None,
    container_argument: Annotated[
        str | None, typer.Argument(metavar="[CONTAINER]", help="The container, as -c.")
    ] = None,
    container: ContainerOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is written.")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the container before its restart.")] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="The time before each line.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", help="The last lines only (-1: all; with -l 10 by default).")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Not older than this, such as 5m.")] = None,
    limit_bytes: Annotated[int | None, typer.Option("--limit-bytes", min=1, help="At most so many bytes.")] = None,
    all_containers: Annotated[bool, typer.Option("--all-containers", help="Every container of the pod.")] = False,
    prefix: Annotated[bool, typer.Option("--prefix", help="Pod and container before each line.")] = False,
    selector: SelectorOption = None,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Print what a container wrote to its standard output and error."""
    from kubinet.cli import durations
    from kubinet.cli import logs as reading
    from kubinet.cli.connection import client_of
    from kubinet.cli.podof import pod_of
    from kubinet.cli.selection import select_one

    if (pod is None) == (selector is None):
        raise UsageError("name a pod, or choose pods with -l")
    client = client_of(cluster)
    where = namespace or "default"
    if pod is not None:
        resource, name = select_one(client, pod)
        pods = [client.get("pods", pod_of(client, resource.plural, name, where), where)]
    else:
        pods = client.list("pods", where, label_selector=selector)["items"]
        if not pods:
            typer.echo(f"No resources found in {where} namespace.", err=True)
    options = reading.LogOptions(
        follow=follow,
        previous=previous,
        timestamps=timestamps,
        tail=tail if tail is not None else 10 if selector is not None else None,
        since=durations.seconds(since, "--since") if since is not None else None,
        limit_bytes=limit_bytes,
        prefix=prefix,
    )
    chosen = container or container_argument
    sources = [source for found in pods for source in reading.sources_of(found, chosen, every=all_containers)]
    return reading.show(client, sources, options)


@command(
    "port-forward",
    Panel.OBJECTS,
    [
        "kubinet port-forward web 8080:80",
        "kubinet port-forward service/shop :http",
        "kubinet port-forward pod/db 5432 9187 --address 0.0.0.0",
    ],
)
def port_forward(
    target: Annotated[
        str,
        typer.Argument(
            metavar="POD|KIND/NAME", help="A pod, or a service: then one of its pods.", autocompletion=completing.pods
        ),
    ],
    ports: Annotated[list[str], typer.Argument(metavar="[LOCAL:]REMOTE...", help="Numbers, or a port's name.")],
    address: Annotated[str, typer.Option("--address", help="Where to listen.")] = "127.0.0.1",
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Listen on local ports and pass connections on to a pod, until interrupted."""
    from kubinet.cli import forwarding
    from kubinet.cli.connection import client_of
    from kubinet.cli.selection import select_one

    client = client_of(cluster)
    resource, name = select_one(client, target)
    where = namespace or "default"
    pod, wanted = forwarding.resolve(client, resource.plural, name, where, [forwarding.parse(port) for port in ports])
    return forwarding.run(client, where, pod, wanted, address)


@command("events", Panel.OBJECTS, ["kubinet events", "kubinet events --for pod/a", "kubinet events -A --types=Warning"])
def events(
    about: Annotated[str | None, typer.Option("--for", metavar="KIND/NAME", help="Events of this object only.")] = None,
    types: Annotated[str | None, typer.Option("--types", help="Normal, Warning or both, separated by commas.")] = None,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the headers away.")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", help="json or yaml (default: a table).")] = None,
    cluster: ClusterOption = None,
) -> int:
    """List what happened, oldest first."""
    from kubinet.cli import happenings
    from kubinet.cli.connection import client_of
    from kubinet.cli.selection import Scope

    show = happenings.view(output, with_namespace=all_namespaces, show_headers=not no_headers)
    client = client_of(cluster)
    found = happenings.events(client, Scope(namespace, all_namespaces), about=about, types=types)
    if not found and not output:
        scope = "" if all_namespaces else f" in {namespace or 'default'} namespace."
        typer.echo(f"No events found{scope}", err=True)
        return 0
    typer.echo(show(found), nl=False)
    return 0
