"""Endpoints in slices of at most 100, changed as little as possible: one endpoint's change touches one or two. Pure."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from controller.workloads.endpoints import Endpoint, Placed, PortSet

MAX_ENDPOINTS: Final = 100
"""Per slice; kube-controller-manager's default of `--max-endpoints-per-slice`."""

Id = TypeVar("Id", bound=Hashable)
"""What tells endpoints apart: a pod's name, or an address."""


@dataclass(slots=True)
class Slice(Generic[Id]):
    """One slice's contents, in the order in which they came."""

    ports: PortSet = ()
    endpoints: dict[Id, Endpoint] = field(default_factory=dict)


class SliceSet(Generic[Id]):
    """The slices of one Service. `dirty` and `removed` say what is still to be written."""

    def __init__(self, new_name: Callable[[], str], slices: Mapping[str, Slice[Id]] | None = None) -> None:
        self._new_name = new_name
        self.slices: dict[str, Slice[Id]] = dict(slices or {})
        self.dirty: dict[str, None] = {}
        self.removed: dict[str, None] = {}
        self._where: dict[Id, str] = {}
        for name, entry in self.slices.items():
            for identity in list(entry.endpoints):
                if identity in self._where:  # the same one twice: written by somebody else
                    del entry.endpoints[identity]
                    self.dirty[name] = None
                else:
                    self._where[identity] = name

    def set(self, identity: Id, placed: Placed | None) -> None:
        """Make one endpoint what it should be; None removes it."""
        name = self._where.get(identity)
        current = self.slices[name] if name is not None else None
        if placed is None:
            if name is not None:
                self._take(identity, name)
            return
        if current is not None and name is not None:
            if current.ports == placed.ports:
                if current.endpoints[identity] != placed.endpoint:
                    current.endpoints[identity] = placed.endpoint
                    self.dirty[name] = None
                return
            self._take(identity, name)
        self._put(identity, placed)

    def _take(self, identity: Id, name: str) -> None:
        del self._where[identity]
        del self.slices[name].endpoints[identity]
        self.dirty[name] = None

    def _put(self, identity: Id, placed: Placed) -> None:
        name = self._room(placed.ports)
        if name is None:
            name = self._new_name()
            self.slices[name] = Slice()
        entry = self.slices[name]
        entry.ports = placed.ports
        entry.endpoints[identity] = placed.endpoint
        self._where[identity] = name
        self.dirty[name] = None

    def _room(self, ports: PortSet) -> str | None:
        """A slice with room: one that is written anyway, else the fullest, else an empty one of any ports."""
        best: str | None = None
        most = -1
        for name, entry in self.slices.items():
            size = len(entry.endpoints)
            if size < MAX_ENDPOINTS and (entry.ports == ports or not size):
                if size and name in self.dirty:
                    return name
                if size > most:
                    best, most = name, size
        return best

    def replace(self, wanted: Mapping[Id, Placed]) -> None:
        """Make all endpoints what they should be. A slice whose endpoints all move to other ports gets those ports."""
        for name, entry in self.slices.items():
            ports = {wanted[identity].ports for identity in entry.endpoints if identity in wanted}
            if len(ports) == 1 and ports != {entry.ports}:
                entry.ports = ports.pop()
                self.dirty[name] = None
        for identity in [identity for identity in self._where if identity not in wanted]:
            self.set(identity, None)
        for identity, placed in wanted.items():
            self.set(identity, placed)

    def tidy(self) -> None:
        """Drop empty slices, all but one: a Service without endpoints has one slice that says so."""
        empty = [name for name, entry in self.slices.items() if not entry.endpoints]
        if len(empty) == len(self.slices):
            kept = empty.pop() if empty else self._new_name()
            if kept not in self.slices:
                self.slices[kept] = Slice()
                self.dirty[kept] = None
            elif self.slices[kept].ports:
                self.slices[kept].ports = ()
                self.dirty[kept] = None
        for name in empty:
            del self.slices[name]
            self.dirty.pop(name, None)
            self.removed[name] = None

    def written(self) -> None:
        """What was to be written is."""
        self.dirty.clear()
        self.removed.clear()
