"""The live copies of what policies are made of: Namespaces, and the policy kinds that the API serves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubinet.client import Object
from kubinet.informer import Informer
from kubinet.policyobjects import KINDS

_NAMESPACE = "Namespace"


@dataclass(frozen=True, slots=True)
class PolicyObjects:
    """What the copies hold at one moment."""

    namespaces: Mapping[str, Object]
    policies: Mapping[str, Object]
    """Of all kinds, by `Kind/namespace/name` or `Kind/name` (as `Policy.key`)."""
    versions: Mapping[str, int]
    """The resourceVersion up to which each kind is complete."""


class PolicySources:
    """An informer for each kind. A kind that the API does not serve has none, and nobody waits for it."""

    def __init__(self, served: Callable[[str], bool], informer: Callable[[str], Informer]) -> None:
        """`served`: whether the API has a kind; `informer`: makes the one of a kind."""
        self.kinds = (_NAMESPACE, *filter(served, KINDS))
        self._informers = {kind: informer(kind) for kind in self.kinds}

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All of them, to be started."""
        return tuple(self._informers.values())

    def take(self) -> PolicyObjects:
        """What is there now; each kind's objects together with their version."""
        views = {kind: informer.view() for kind, informer in self._informers.items()}
        return PolicyObjects(
            namespaces=views[_NAMESPACE][0],
            policies={
                f"{kind}/{key}": obj
                for kind, (objects, _) in views.items()
                if kind != _NAMESPACE
                for key, obj in objects.items()
            },
            versions={kind: version for kind, (_, version) in views.items()},
        )
