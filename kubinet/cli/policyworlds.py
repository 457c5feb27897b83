"""Which world `kubinet policy` asks about: made up from manifests, or the running cluster; and who in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from kubinet.errors import UsageError
from kubinet.reach.choices import Behind, parse_choice, places
from kubinet.reach.probes import Probe, parse_probe
from kubinet.reach.world import Place, World

if TYPE_CHECKING:
    from kubinet.manifests import Manifest
    from kubinet.offline.building import MadeUp

CLUSTER = "cluster"
"""Written where manifests may stand: the running cluster."""


@dataclass(frozen=True, slots=True)
class Offline:
    """How a world is made up."""

    topology: str = "leaf-spine"
    nodes: int | None = None
    recursive: bool = False

    def build(self, manifests: "Iterable[Manifest]", namespace: str | None) -> "MadeUp":
        """The world of these manifests."""
        from kubinet.offline.building import world_of
        from topologies.resolve import load_topology

        overrides = {} if self.nodes is None else {"nodes": self.nodes}
        return world_of(manifests, load_topology(self.topology, overrides), namespace or "default")


def manifests_of(files: Iterable[str], recursive: bool = False) -> "list[Manifest]":
    """All objects of files, folders or standard input."""
    from kubinet.manifests import read_manifests

    return [manifest for file in files for manifest in read_manifests(file, recursive=recursive)]


def tell(made: "MadeUp") -> None:
    """What a user should know of a made-up world, on standard error."""
    for line in (made.plan, *made.remarks):
        typer.echo(line, err=True)


def live(cluster: str | None) -> World:
    """The running cluster."""
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.liveworld import world_of

    return world_of(cluster_of(cluster))


def two_worlds(
    old: str,
    new: str,
    common: Sequence[str],
    offline: Offline,
    namespace: str | None,
    cluster: str | None,
    *,
    instead: bool,
) -> tuple[World, World]:
    """The worlds of two sets of manifests with what both have, or the cluster and the cluster with manifests on top."""
    if CLUSTER not in (old, new):
        if instead:
            raise UsageError("--instead is about the cluster's policies; write cluster as OLD or NEW")
        both = manifests_of(common, offline.recursive)
        one, other = (
            offline.build([*both, *manifests_of([file], offline.recursive)], namespace) for file in (old, new)
        )
        tell(other)
        return one.world, other.world
    if old == new:
        raise UsageError("OLD and NEW are both the cluster; name a manifest for one of them")
    if common:
        raise UsageError("-f adds pods to manifests; the cluster has its own")
    base = live(cluster)
    written = offline.build(manifests_of([old if new == CLUSTER else new], offline.recursive), namespace).world
    changed = with_policies(base, written, instead=instead)
    return (base, changed) if old == CLUSTER else (changed, base)


def probes_of(words: Iterable[str]) -> list[Probe]:
    """`--port`, in order and once each; UsageError for what is none."""
    try:
        return list(dict.fromkeys(map(parse_probe, words)))
    except ValueError as error:
        raise UsageError(f"--port {error}") from error


def chosen(world: World, words: Sequence[str], namespaces: Sequence[str], option: str) -> list[Place]:
    """The places that an option names; without it the pods of the namespaces, of all where none is named.

    UsageError for a text that names nobody.
    """
    if not words:
        return [place for place in world.pods() if place.pod and (not namespaces or place.pod.namespace in namespaces)]
    found: dict[str, Place] = {}
    for text in words:
        try:
            choice = parse_choice(text, namespaces[0] if namespaces else "default")
            if isinstance(choice, Behind):
                raise UsageError(f"{option} {text}: a Service is no place; `kubinet policy test` asks about Services")
            here = places(choice, world)
        except ValueError as error:
            raise UsageError(f"{option} {error}") from error
        if not here:
            raise UsageError(f"{option} {text} names nobody in this world")
        found |= {place.name: place for place in here}
    return list(found.values())


def with_policies(base: World, other: World, *, instead: bool) -> World:
    """`base` with the policies and namespaces' labels of `other` on top of its own, or `instead` of them."""
    policies = {**({} if instead else base.state.policies), **other.state.policies}
    written = {name: labels for name, labels in other.state.namespaces.items() if len(labels) > 1}
    state = replace(base.state, policies=policies, namespaces={**base.state.namespaces, **written})
    return replace(base, state=state)
