"""Objects by the uid of the controller that owns them, kept as they change: no controller searches all objects."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeAlias, TypeVar

from controller.api.registry import POD, Kind
from controller.api.status import Object
from controller.api.store import Change, Key, Store
from controller.workloads.podstate import PodState, pod_state

Facts = TypeVar("Facts")


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the controller, if one manages the object."""
    owners = obj["metadata"].get("ownerReferences") or ()
    found: Object | None = next((owner for owner in owners if owner.get("controller")), None)
    return found


class OwnerIndex(Generic[Facts]):
    """A kind's objects by owner, and those without one by namespace, as what `facts` makes of each version.

    Make it before what listens to the kind and asks the index.
    """

    def __init__(self, store: Store, kind: Kind, facts: Callable[[Object], Facts]) -> None:
        self._facts = facts
        self._owned: dict[str, dict[Key, Facts]] = {}
        self._free: dict[str, dict[Key, Facts]] = {}
        self._place: dict[Key, tuple[bool, str]] = {}
        for stored in store.select(kind.key):
            metadata = stored.object["metadata"]
            self._put((metadata["namespace"], metadata["name"]), stored.object)
        self._stop = store.listen(kind.key, self._changed)

    def owned(self, uid: str) -> Mapping[Key, Facts]:
        """The objects of a controller, as they are now."""
        return self._owned.get(uid, {})

    def orphans(self, namespace: str) -> list[tuple[Key, Facts]]:
        """The objects of a namespace that no controller owns."""
        return list(self._free.get(namespace, {}).items())

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            self._drop(change.key)
        else:
            self._put(change.key, change.new.object)

    def _put(self, key: Key, obj: Object) -> None:
        owner = controller_of(obj)
        place = (True, str(owner["uid"])) if owner is not None else (False, key[0])
        if self._place.get(key) != place:
            self._drop(key)
            self._place[key] = place
        groups = self._owned if place[0] else self._free
        groups.setdefault(place[1], {})[key] = self._facts(obj)

    def _drop(self, key: Key) -> None:
        place = self._place.pop(key, None)
        if place is None:
            return
        groups = self._owned if place[0] else self._free
        group = groups[place[1]]
        del group[key]
        if not group:
            del groups[place[1]]

    def close(self) -> None:
        """Listen no more."""
        self._stop()


PodIndex: TypeAlias = OwnerIndex[PodState]


def index_pods(store: Store) -> PodIndex:
    """All pods."""
    return OwnerIndex(store, POD, pod_state)
