"""Commands on workloads: scale, and rollouts."""

from typing import TYPE_CHECKING, Annotated

import typer

from kubinet.cli.app import Panel, command, group, into
from kubinet.cli.options import ClusterOption, NamespaceOption, ResourcesArgument

if TYPE_CHECKING:
    from kubinet.cli.selection import Target
    from kubinet.client import Client

rollout = group("rollout", Panel.OBJECTS, "Rollouts of deployments, daemonsets and statefulsets.")
RevisionOption = Annotated[int, typer.Option("--revision", min=0, help="Show this revision's pod template.")]


def _targets(client: "Client", resources: list[str], namespace: str | None) -> "list[Target]":
    from kubinet.cli.selection import Target, select
    from kubinet.errors import UsageError

    found = [
        Target(one.resource, (namespace or "default") if one.resource.namespaced else None, name)
        for one in select(client, resources)
        for name in one.names
    ]
    if not found:
        raise UsageError("name the objects, such as deployment/web")
    return found


@command(
    "scale",
    Panel.OBJECTS,
    ["kubinet scale deploy/web --replicas=5", "kubinet scale rs/web-x deploy/api --replicas=0 -n shop"],
)
def scale(
    resources: ResourcesArgument,
    replicas: Annotated[int, typer.Option("--replicas", min=0, help="How many pods.")],
    current: Annotated[
        int | None, typer.Option("--current-replicas", help="Only if it asks for so many pods now.")
    ] = None,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Set how many pods a deployment, replica set or stateful set asks for."""
    from kubinet.cli import rollouts
    from kubinet.cli.connection import client_of

    client = client_of(cluster)
    for target in _targets(client, resources, namespace):
        typer.echo(rollouts.scale(client, target, replicas, current))


@into(
    rollout,
    ("rollout", "status"),
    ["kubinet rollout status deploy/web", "kubinet rollout status deploy/web --timeout=30s"],
)
def status(
    resources: ResourcesArgument,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", "-w", help="Wait until it is complete.")] = True,
    timeout: Annotated[str, typer.Option("--timeout", help="How long to wait; 0 for no limit.")] = "0",
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Follow a rollout until it is complete; exit status 1 when it misses its deadline or the timeout."""
    from kubinet.cli import durations, rollouts
    from kubinet.cli.connection import client_of

    limit = durations.seconds(timeout, "--timeout")
    client = client_of(cluster)
    for target in _targets(client, resources, namespace):
        rollouts.follow(client, target, watch=watch, timeout=limit)


@into(
    rollout,
    ("rollout", "history"),
    ["kubinet rollout history deploy/web", "kubinet rollout history deploy/web --revision=2"],
)
def history(
    resources: ResourcesArgument,
    revision: RevisionOption = 0,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Show a deployment's revisions, or one revision's pod template."""
    from kubinet.cli import rollouts
    from kubinet.cli.connection import client_of
    from kubinet.cli.describing.workload import template_text
    from kubinet.cli.printers import name_of
    from kubinet.cli.table import text_table

    client = client_of(cluster)
    for target in _targets(client, resources, namespace):
        known = rollouts.revisions(client, target)
        shown = name_of(target.resource, target.name)
        if revision:
            one = rollouts.chosen(known, revision, target.name)
            typer.echo(f"{shown} with revision #{revision}\n{template_text(one.template)}")
            continue
        rows = [(entry.number, entry.cause or "<none>") for entry in known]
        typer.echo(f"{shown}\n{text_table(('REVISION', 'CHANGE-CAUSE'), rows)}")


@into(
    rollout,
    ("rollout", "undo"),
    ["kubinet rollout undo deploy/web", "kubinet rollout undo deploy/web --to-revision=2"],
)
def undo(
    resources: ResourcesArgument,
    revision: Annotated[
        int, typer.Option("--to-revision", min=0, help="The revision; 0: the one before the newest.")
    ] = 0,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Roll a deployment back to an earlier revision."""
    from kubinet.cli import rollouts
    from kubinet.cli.connection import client_of

    client = client_of(cluster)
    for target in _targets(client, resources, namespace):
        typer.echo(rollouts.undo(client, target, revision))


@into(rollout, ("rollout", "restart"), ["kubinet rollout restart deploy/web"])
def restart(resources: ResourcesArgument, namespace: NamespaceOption = None, cluster: ClusterOption = None) -> None:
    """Replace all pods by new ones of the same template, as a rollout does."""
    from datetime import UTC, datetime

    from kubinet.cli import rollouts
    from kubinet.cli.connection import client_of

    client = client_of(cluster)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for target in _targets(client, resources, namespace):
        typer.echo(rollouts.restart(client, target, now))


@into(rollout, ("rollout", "pause"), ["kubinet rollout pause deploy/web"])
def pause(resources: ResourcesArgument, namespace: NamespaceOption = None, cluster: ClusterOption = None) -> None:
    """Let changes of a deployment's template wait until it is resumed."""
    from kubinet.cli import rollouts
    from kubinet.cli.connection import client_of

    client = client_of(cluster)
    for target in _targets(client, resources, namespace):
        typer.echo(rollouts.pause(client, target, paused=True))


@into(rollout, ("rollout", "resume"), ["kubinet rollout resume deploy/web"])
def resume(resources: ResourcesArgument, namespace: NamespaceOption = None, cluster: ClusterOption = None) -> None:
    """Roll out the changes that waited while a deployment was paused."""
    from kubinet.cli import rollouts
    from kubinet.cli.connection import client_of

    client = client_of(cluster)
    for target in _targets(client, resources, namespace):
        typer.echo(rollouts.pause(client, target, paused=False))
