"""What can exist in a run's cluster, as far as its topology and manifests tell for sure. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from experiments.design.objectsnamed import Key, ObjectNames
from experiments.near import listed, meant
from experiments.placenames import PlaceName

OWN_NAMESPACES: Final = "kube-"
"""The cluster itself has objects in namespaces that begin so; they are not looked at."""
_ALWAYS: Final = frozenset({("default", "kubernetes")})
"""Services of every cluster."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_MOST_NUMBERS: Final = 1000
"""So many pods of a StatefulSet can be what somebody meant."""
_MADE_BY_OBJECTS: Final = ("pod", "service")


@dataclass(frozen=True, slots=True)
class Existing:
    """What one run's cluster has."""

    topology: Mapping[str, Any]
    """The resolved Topology document."""
    objects: tuple[ObjectNames, ...]
    complete: bool
    """Whether no other object can come into being."""
    scaled: bool
    """Whether the timeline changes numbers of replicas."""

    def problem(self, word: str, place: PlaceName) -> str:
        """Why this place, written as `word`, cannot exist, what is near and what there is; empty where it may."""
        if place.kind == "address" or self.may_exist(place):
            return ""
        if "/" in word:
            there, subject, names = list(self.words(place.kind)), f"'{word}'", list(self._elsewhere(place))
            near = self.hint(place) or (f" (did you mean '{names[0]}'?)" if names else meant(word, there))
        else:
            there, subject = self._declared(place.kind), f"link '{word}'"
            near = meant(word, there)
        where = "the manifests" if place.kind in _MADE_BY_OBJECTS else "the topology"
        kinds = "outside hosts" if place.kind == "outside" else f"{place.kind}s"
        return f"there is no {subject}{near}; {kinds} of {where}: {listed(there)}"

    def may_exist(self, place: PlaceName) -> bool:
        """Whether nothing speaks against it."""
        if place.kind not in _MADE_BY_OBJECTS:
            return place.name in self._declared(place.kind)
        key = (place.namespace, place.name)
        if not self.complete or place.namespace.startswith(OWN_NAMESPACES):
            return True
        if place.kind == "service":
            return key in _ALWAYS or any(key in one.services for one in self.objects)
        return any(key in one.pods or self._is_made(key, one) for one in self.objects)

    def _is_made(self, key: Key, names: ObjectNames) -> bool:
        namespace, name = key
        if any(within == namespace and name.startswith(base) and name != base for within, base in names.generated):
            return True
        owner, _, digits = name.rpartition("-")
        numbers = names.stateful.get((namespace, owner))
        if numbers is None or not _NUMBER.fullmatch(digits):
            return False
        return self.scaled or int(digits) in numbers

    def hint(self, place: PlaceName) -> str:
        """What is to be said of a workload object's own name, which none of its pods has."""
        if place.kind != "pod":
            return ""
        for names in self.objects:
            if (place.namespace, place.name) in names.stateful:
                return f" (the pods of StatefulSet '{place.name}' have numbers, such as {place.name}-0)"
            maker = names.generated.get((place.namespace, f"{place.name}-"))
            if maker is not None:
                return f" (the pods of {maker} have generated names; a StatefulSet's have known ones)"
        return ""

    def _elsewhere(self, place: PlaceName) -> Iterator[str]:
        """Places of this name that are of another kind or in another namespace."""
        for kind in ("pod", "service", "node", "outside"):
            yield from (word for word in self.words(kind) if word.rpartition("/")[2] == place.name)

    def words(self, kind: str) -> Iterator[str]:
        """What there is of a kind, as an experiment writes it."""
        if kind not in _MADE_BY_OBJECTS:
            yield from (f"{kind}/{name}" for name in self._declared(kind))
            return
        keys = {key for one in self.objects for key in (one.pods if kind == "pod" else one.services)}
        yield from (f"{kind}/{_spelled(*key)}" for key in sorted(keys))
        if kind == "pod":
            for names in self.objects:
                for (namespace, name), numbers in sorted(names.stateful.items()):
                    yield from (f"pod/{_spelled(namespace, name)}-{number}" for number in numbers[:_MOST_NUMBERS])
            yield from (f"pod/{_spelled(*key)}…" for one in self.objects for key in sorted(one.generated))

    def _declared(self, kind: str) -> list[str]:
        """Names of the topology's nodes, links or outside hosts."""
        section = "outside" if kind == "outside" else f"{kind}s"
        return [str(one["name"]) for one in self.topology["spec"].get(section, ())]


def _spelled(namespace: str, name: str) -> str:
    return name if namespace == "default" else f"{namespace}/{name}"
