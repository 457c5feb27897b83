"""Commands that change a part of objects: label, annotate, patch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubinet.cli import completing
from kubinet.cli.app import Panel, command
from kubinet.cli.options import (
    AllNamespacesOption,
    ClusterOption,
    NamespaceOption,
    ResourcesArgument,
    SelectorOption,
)
from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.cli.changing import Kind

WordsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="KIND NAME... | KIND/NAME... KEY=VALUE... [KEY-...]",
        help="Objects, then changes.",
        autocompletion=completing.resources,
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Also where another value is set.")]
EveryOption = Annotated[bool, typer.Option("--all", help="All objects of the kind.")]


def _pairs_command(name: str, kind: "Kind", examples: list[str]) -> None:
    """Register the command that sets labels, or annotations."""

    def change(
        words: WordsArgument,
        overwrite: OverwriteOption = False,
        every: EveryOption = False,
        selector: SelectorOption = None,
        namespace: NamespaceOption = None,
        all_namespaces: AllNamespacesOption = False,
        cluster: ClusterOption = None,
    ) -> None:
        from kubinet.cli import changing
        from kubinet.cli.connection import client_of
        from kubinet.cli.selection import Scope

        objects, pairs = changing.Pairs.of(kind, words)
        client = client_of(cluster)
        which = changing.Which(Scope(namespace, all_namespaces), selector, every)
        for target in changing.targets(client, objects, which):
            typer.echo(changing.change_pairs(client, target, pairs, overwrite=overwrite))

    change.__doc__ = f"Set {kind} of objects, or remove them."
    command(name, Panel.OBJECTS, examples)(change)


_pairs_command(
    "label",
    "labels",
    ["kubinet label pod web tier=front", "kubinet label node n1 zone-", "kubinet label pods --all env=lab --overwrite"],
)
_pairs_command(
    "annotate",
    "annotations",
    ["kubinet annotate svc/web kubinet.dev/load-balancer=maglev --overwrite", "kubinet annotate ns shop owner-"],
)


@command(
    "patch",
    Panel.OBJECTS,
    [
        """kubinet patch svc web -p '{"spec": {"externalTrafficPolicy": "Local"}}'""",
        """kubinet patch deploy/web --type=json -p '[{"op": "remove", "path": "/spec/paused"}]'""",
    ],
)
def patch(
    resources: ResourcesArgument,
    text: Annotated[str | None, typer.Option("--patch", "-p", metavar="PATCH", help="The patch, JSON or YAML.")] = None,
    file: Annotated[Path | None, typer.Option("--patch-file", metavar="FILE", help="The same from a file.")] = None,
    kind: Annotated[str, typer.Option("--type", metavar="strategic|merge|json", help="How it is meant.")] = "strategic",
    subresource: Annotated[str | None, typer.Option("--subresource", help="Such as status or scale.")] = None,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Change fields of objects by a patch."""
    from kubinet.cli import changing
    from kubinet.cli.connection import client_of
    from kubinet.cli.selection import Scope

    body = changing.read_patch(text, file)
    client = client_of(cluster)
    found = list(changing.targets(client, resources, changing.Which(Scope(namespace))))
    if not found:
        raise UsageError("name the objects, such as deployment/web")
    for target in found:
        typer.echo(changing.patch(client, target, body, kind, subresource))
