"""Which pods a selector selects, kept up to date: a changed pod costs one look per selector, not one per pod."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kubinet.policies import PodPeer, Selector
from kubinet.state import ClusterState, Pod


class Scope(NamedTuple):
    """Pods by namespace and labels; of one namespace by name, or of all that `namespaces` selects."""

    namespace: str | None
    namespaces: Selector | None
    pods: Selector

    @classmethod
    def of(cls, peer: PodPeer, namespace: str) -> "Scope":
        """A peer as a policy in `namespace` means it."""
        if peer.namespaces is None:
            return cls(namespace, None, peer.pods)
        return cls(None, peer.namespaces, peer.pods)

    def selects(self, pod: Pod, labels: Mapping[str, str]) -> bool:
        """Whether the pod is meant; `labels` are its namespace's."""
        if self.namespace is not None and pod.namespace != self.namespace:
            return False
        if self.namespaces is not None and not self.namespaces.matches(labels):
            return False
        return self.pods.matches(pod.labels)


@dataclass(slots=True, eq=False)
class Selection:
    """The pods of a scope. `pods` and `by_node` are other objects after a change, and the same without one."""

    scope: Scope
    pods: Mapping[str, Pod]
    """By key."""
    by_node: Mapping[str, tuple[Pod, ...]]
    """By the name of their node, in the order of their keys."""


@dataclass(slots=True)
class Selections:
    """The selections that somebody has asked for, in a state."""

    _pods: Mapping[str, Pod] = field(default_factory=dict)
    _namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _known: dict[Scope, Selection] = field(default_factory=dict)

    def update(self, state: ClusterState) -> None:
        """Go to another state."""
        relabelled = {
            name
            for name in state.namespaces.keys() | self._namespaces.keys()
            if state.namespaces.get(name) != self._namespaces.get(name)
        }
        changed = {
            key
            for key in state.pods.keys() | self._pods.keys()
            if state.pods.get(key) is not self._pods.get(key) or key.partition("/")[0] in relabelled
        }
        self._pods, self._namespaces = state.pods, state.namespaces
        for selection in self._known.values() if changed else ():
            pods = self._changed(selection, changed)
            if pods is not None:
                selection.pods, selection.by_node = pods, _by_node(pods)

    def of(self, scope: Scope) -> Selection:
        """The selection of a scope."""
        known = self._known.get(scope)
        if known is None:
            pods = {key: pod for key, pod in self._pods.items() if self._selects(scope, pod)}
            known = self._known[scope] = Selection(scope, pods, _by_node(pods))
        return known

    def keep(self, used: Container[Scope]) -> None:
        """Forget the selections of all other scopes."""
        for scope in [scope for scope in self._known if scope not in used]:
            del self._known[scope]

    def _selects(self, scope: Scope, pod: Pod) -> bool:
        return scope.selects(pod, self._namespaces.get(pod.namespace, {}))

    def _changed(self, selection: Selection, changed: Iterable[str]) -> Mapping[str, Pod] | None:
        after: dict[str, Pod] | None = None
        for key in changed:
            pod = self._pods.get(key)
            selected = pod if pod is not None and self._selects(selection.scope, pod) else None
            if selected is selection.pods.get(key):
                continue
            after = dict(selection.pods) if after is None else after
            if selected is None:
                del after[key]
            else:
                after[key] = selected
        return after


def _by_node(pods: Mapping[str, Pod]) -> Mapping[str, tuple[Pod, ...]]:
    found: dict[str, list[Pod]] = {}
    for key in sorted(pods):
        found.setdefault(pods[key].node, []).append(pods[key])
    return {node: tuple(own) for node, own in found.items()}
