"""Which Services select which pods, answered without looking at the others."""

from collections.abc import Iterable
from typing import TypeAlias

from controller.api.store import Key
from controller.workloads.endpoints import PodFacts, ServiceFacts

_Label: TypeAlias = tuple[str, str, str]
"""Namespace, key, value."""


class Selection:
    """Pods and selecting Services, indexed by label. A Service is filed under one label of its selector."""

    def __init__(self) -> None:
        self.services: dict[Key, ServiceFacts] = {}
        self.pods: dict[Key, PodFacts] = {}
        self._services_by: dict[_Label, dict[Key, None]] = {}
        self._pods_by: dict[_Label, dict[Key, None]] = {}
        self._pods_on: dict[str, dict[Key, None]] = {}
        self._filed: dict[Key, _Label] = {}

    def put_service(self, key: Key, service: ServiceFacts | None) -> None:
        """A Service's facts; None: it is gone or selects nothing."""
        if key in self.services:
            del self.services[key]
            _drop(self._services_by, self._filed.pop(key), key)
        if service is not None:
            self.services[key] = service
            labels = [(service.namespace, *pair) for pair in service.selector]
            label = min(labels, key=lambda label: len(self._services_by.get(label, ())))
            self._filed[key] = label
            self._services_by.setdefault(label, {})[key] = None

    def put_pod(self, key: Key, pod: PodFacts | None) -> None:
        """A pod's facts; None: it is gone."""
        old = self.pods.pop(key, None)
        if old is not None:
            for pair in old.labels:
                _drop(self._pods_by, (old.namespace, *pair), key)
            _drop(self._pods_on, old.node, key)
        if pod is not None:
            self.pods[key] = pod
            for pair in pod.labels:
                self._pods_by.setdefault((pod.namespace, *pair), {})[key] = None
            self._pods_on.setdefault(pod.node, {})[key] = None

    def selecting(self, pod: PodFacts | None) -> list[Key]:
        """The Services that select a pod."""
        if pod is None:
            return []
        candidates = (self._services_by.get((pod.namespace, *pair), {}) for pair in pod.labels)
        return [key for keys in candidates for key in keys if self.services[key].selects(pod)]

    def selected(self, service: ServiceFacts) -> list[PodFacts]:
        """The pods that a Service selects, by name."""
        return [self.pods[key] for key in sorted(self._candidates(service)) if service.selects(self.pods[key])]

    def selects_any(self, service: ServiceFacts) -> bool:
        """Whether there is a pod that a Service selects."""
        return any(service.selects(self.pods[key]) for key in self._candidates(service))

    def _candidates(self, service: ServiceFacts) -> Iterable[Key]:
        sets: Iterable[dict[Key, None]]
        sets = (self._pods_by.get((service.namespace, *pair), {}) for pair in service.selector)
        return min(sets, key=len)

    def on_node(self, node: str) -> list[PodFacts]:
        """The pods of a node."""
        return [self.pods[key] for key in self._pods_on.get(node, ())]


def _drop(index: dict[_Label, dict[Key, None]] | dict[str, dict[Key, None]], label: _Label | str, key: Key) -> None:
    entries: dict[_Label | str, dict[Key, None]] = index  # type: ignore[assignment]
    del entries[label][key]
    if not entries[label]:
        del entries[label]
