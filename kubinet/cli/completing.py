"""What a shell completes beside commands and options: kinds and names, nodes, clusters, presets, experiments.

The cluster that the command line names is asked, or the only one that runs. Where none answers nothing is offered, and
nothing is said: the line that somebody types is no place for errors.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from kubinet.errors import KubinetError

if TYPE_CHECKING:
    from kubinet.client import Client

Completer = Callable[[typer.Context, str], list[str]]


def _offered(found: Callable[[typer.Context, str], Iterable[str]]) -> Completer:
    """What of it begins as the word does, in order; nothing where the cluster cannot be asked."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return sorted({name for name in found(ctx, incomplete) if name.startswith(incomplete)})
        except KubinetError:
            return []

    return complete


def _client(ctx: typer.Context) -> "Client":
    from kubinet.cli.connection import client_of

    return client_of(ctx.params.get("cluster"))


def _names(ctx: typer.Context, kind: str) -> list[str]:
    """The names of a kind's objects, in the namespace of the command line."""
    client = _client(ctx)
    resource = client.resource(kind)
    everywhere = not resource.namespaced or ctx.params.get("all_namespaces")
    namespace = None if everywhere else ctx.params.get("namespace") or "default"
    return [one["metadata"]["name"] for one in client.list(kind, namespace)["items"]]


def _kinds(ctx: typer.Context) -> list[str]:
    return [resource.plural for resource in _client(ctx).resources() if "get" in resource.verbs]


def _with_kind(ctx: typer.Context, incomplete: str) -> list[str]:
    """`pod/a` for `pod/`."""
    kind = incomplete.partition("/")[0]
    return [f"{kind}/{name}" for name in _names(ctx, kind)]


@_offered
def resources(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """A kind, then names of that kind; after `KIND/` its names."""
    if "/" in incomplete:
        return _with_kind(ctx, incomplete)
    words = ctx.params.get("resources") or ctx.params.get("words") or ()
    return _names(ctx, words[0]) if words else _kinds(ctx)


@_offered
def pods(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """A pod's name; after `KIND/` its names."""
    return _with_kind(ctx, incomplete) if "/" in incomplete else _names(ctx, "pods")


@_offered
def nodes(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """A node's name."""
    return _names(ctx, "nodes")


@_offered
def namespaces(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """A namespace's name."""
    return _names(ctx, "namespaces")


@_offered
def clusters(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """A running cluster's name."""
    from kubinet import launcher

    return [info.name for info in launcher.list_clusters() if info.alive]


@_offered
def presets(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """A preset's name; the shell offers files where none begins so."""
    from topologies.presets import PRESETS

    return PRESETS


@_offered
def experiments(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """An experiment's name; the shell offers files where none begins so."""
    from experiments.registry import list_experiments

    return [entry.name for entry in list_experiments()]
