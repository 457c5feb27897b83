"""What objects are called, and what their controllers make of them, as far as they tell as they are written. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from experiments.objectnames import ObjectName
from kubinet.manifests import Object

_KEPT_OF_BASE: Final = 58
"""A generated name is its base, cut to so many characters, and five at random (apiserver, SimpleNameGenerator)."""
_MADE_OF: Final[Mapping[str, str]] = {"Deployment": "ReplicaSet", "CronJob": "Job"}
"""Kinds whose controllers make objects of the kind at the right, named after them: `web-5d4f8`."""
_PLACES: Final = ("Pod", "Service")
"""Kinds whose objects are places of an experiment."""

Key: TypeAlias = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class ObjectNames:
    """What some objects are called, and the pods that their controllers make."""

    pods: frozenset[Key]
    """Pods whose whole name is known."""
    generated: Mapping[Key, str]
    """Namespace and beginning of pods' names that have random ends, to what makes them: `Deployment 'web'`."""
    stateful: Mapping[Key, range]
    """StatefulSets, to the numbers that their pods get."""
    services: frozenset[Key]
    named: frozenset[ObjectName]
    """Every object that has its name already, pods too."""
    begun: frozenset[ObjectName]
    """Objects other than pods of whose names the beginning is known."""
    kinds: frozenset[str]
    """Kinds that the objects define (CustomResourceDefinition), and of which somebody else may make some."""


def names_of(objects: Iterable[Object]) -> ObjectNames:
    """The names that follow from objects as they are written."""
    generated: dict[Key, str] = {}
    stateful: dict[Key, range] = {}
    named, begun, kinds = set[ObjectName](), set[ObjectName](), set[str]()
    for one in objects:
        metadata, kind, spec = one["metadata"], one["kind"], _mapping(one.get("spec"))
        namespace, name = metadata.get("namespace") or "default", metadata.get("name") or ""
        base = f"{name}-" if name else metadata.get("generateName") or ""
        if kind in _MADE_OF:
            begun.add(ObjectName(_MADE_OF[kind], base, namespace))
        if kind == "CustomResourceDefinition":
            kinds.add(str(_mapping(spec.get("names")).get("kind")))
        if name:
            named.add(ObjectName(kind, name, namespace))
        elif kind == "Pod":
            generated[namespace, base] = "a Pod with generateName"
        else:
            begun.add(ObjectName(kind, base, namespace))
        if kind == "StatefulSet" and name:
            stateful[namespace, name] = _ordinals(spec)
        elif name and {"template", "jobTemplate"} & spec.keys():
            generated[namespace, base[:_KEPT_OF_BASE]] = f"{kind} '{name}'"
    pods, services = (frozenset((one.namespace, one.name) for one in named if one.kind == kind) for kind in _PLACES)
    return ObjectNames(pods, generated, stateful, services, frozenset(named), frozenset(begun), frozenset(kinds))


def _ordinals(spec: Mapping[str, Any]) -> range:
    replicas, start = spec.get("replicas", 1), _mapping(spec.get("ordinals")).get("start", 0)
    if not (isinstance(replicas, int) and isinstance(start, int)):
        return range(0)  # the API refuses it
    return range(start, start + replicas)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
