"""Generations: what a node's published number promises about its flows. Pure.

An agent starts a pod's containers when its node has realised the version of the write that gave the pod its address.
So that a pod never runs without the policies that were there before it, generation g promises all pods, all namespaces
and all policies as they were at resourceVersion g. Versions are global over all kinds, and each kind is watched by
itself: the watch of pods says how far it has come (P), and tells in its order when other kinds changed
(`kubinet.informer.View.changes`). The copy of a kind whose last change up to P has been seen is complete up to P,
however long ago that change was.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kubinet.policies import Action, NamedPort, PodPeer, Policy, Rule, Tier


class Generations(NamedTuple):
    """What a state, or a bridge's flows, are complete up to; resourceVersions."""

    pods: int = 0
    """Of pods, namespaces and policies."""
    endpoints: int = 0
    """Of EndpointSlices."""
    services: int = 0
    """Of Services."""
    policies: int = 0
    """The last change of policies and namespaces that is contained, with all before it."""
    topology: int = 0
    """Of the object `Topology/cluster`."""


class Completeness:
    """How far states are complete that are put together from several watches; never goes back."""

    def __init__(self) -> None:
        self._complete: dict[str, int] = {}
        self._policies = 0

    def of(self, pods: int, changes: Mapping[str, int] | None, versions: Mapping[str, int]) -> tuple[int, int]:
        """The generations of pods and of policies of a state.

        `pods`: the version up to which its pods are complete. `changes`: of each other kind the last change up to
        that version, or a later one; None where it is not known. `versions`: up to which each other kind is complete.
        """
        # Why this holds: if a kind is complete up to v, and its last change up to P was at c <= v, then it did not
        # change in (c, P], so what is known of it is complete up to P. While v < c it is complete up to v at least,
        # and up to whatever was found before. The order in which the copies are taken makes no difference to this: one
        # that is taken later knows more. Pods are taken first, so that what they depend on has most likely come.
        last = changes or {}
        current = {kind for kind, version in versions.items() if kind in last and version >= last[kind]}
        for kind, version in versions.items():
            known = max(self._complete.get(kind, 0), version)
            self._complete[kind] = max(known, pods) if kind in current else known
        if current == versions.keys():
            self._policies = max((self._policies, *last.values()))
        return min((pods, *self._complete.values())), self._policies


def everywhere(policies: Iterable[Policy]) -> bool:
    """Whether other nodes must know a pod before it may run.

    A rule that denies, or that leaves the tier before a later rule accepts, has to know the pods at the other end: who
    does not know a pod's address lets its packets through. Rules that accept fail the other way: what is unknown
    waits. Rules for everybody, for nodes and for blocks of addresses do not depend on pods.
    """
    return any(
        rule.action is not Action.ACCEPT and _knows_pods(rule)
        for policy in policies
        if policy.tier is not Tier.NAMESPACE
        for rule in (*policy.ingress, *policy.egress)
    )


def _knows_pods(rule: Rule) -> bool:
    # A named port is one of the pod that is the destination, whoever else is a peer.
    return any(isinstance(peer, PodPeer) for peer in rule.peers or ()) or any(
        isinstance(port, NamedPort) for port in rule.ports or ()
    )


def published(realised: Mapping[str, int | None], *, wait_for_all: bool) -> Mapping[str, int]:
    """What each node says that it has realised, of what its own flows include.

    None: the node's bridges are not connected. It says 0 and nobody waits for it; its flows are what they were, and
    a controller that waited for it would stop the whole cluster. `wait_for_all`: see `everywhere`.
    """
    connected = [generation for generation in realised.values() if generation is not None]
    least = min(connected, default=0)
    return {
        name: 0 if generation is None else least if wait_for_all else generation
        for name, generation in realised.items()
    }
