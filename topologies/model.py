"""A topology as a value: what a Topology file or a preset declares, before any address is chosen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from kubinet.documents import Path
from kubinet.errors import InvalidInputError
from kubinet.state import NetworkConfig
from kubinet.units import Queue


class PlanError(InvalidInputError):
    """A topology whose addresses cannot be chosen; the text names no place, `path` is the document's field."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


class Role(StrEnum):
    """What a vertex of the underlay is."""

    NODE = "node"
    SWITCH = "switch"
    ROUTER = "router"
    OUTSIDE = "outside"


SECTIONS: Final[Mapping[Role, str]] = {
    Role.NODE: "nodes",
    Role.SWITCH: "switches",
    Role.ROUTER: "routers",
    Role.OUTSIDE: "outside",
}
"""The lists of a document's `spec` by the role of what they hold, in the order of `Topology.vertices`."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """A node, switch, router or outside host."""

    name: str
    role: Role
    labels: Mapping[str, str] = field(default_factory=dict)
    pod_cidr: IPv4Network | None = None
    """Only for nodes: a pod CIDR that the user chose."""
    dns: Mapping[str, tuple[IPv4Address, ...]] | None = None
    """Only for outside hosts: what its name server answers, beside the host's own name; None: it has no server."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two vertices; each quantity holds for each direction on its own."""

    name: str
    a: str
    b: str
    rate: float | None = None
    """Bits per second on layer 2; None: as fast as the machine can."""
    delay: float = 0.0
    """Seconds one way, added to what the machine takes."""
    jitter: float = 0.0
    """Standard deviation of the delay, seconds."""
    loss: float = 0.0
    """Probability that a packet is lost."""
    queue: Queue | None = None
    mtu: int | None = None
    """Bytes; None: the network section's MTU."""
    own: frozenset[str] = field(default=frozenset(), compare=False)
    """The fields that its own entry in the document gives; others have the values of `defaults.link`."""

    def other(self, end: str) -> str:
        """The end that is not `end`."""
        return self.b if end == self.a else self.a

    @property
    def impaired(self) -> bool:
        """Whether it needs more than a rate: delay, jitter or loss."""
        return bool(self.delay or self.jitter or self.loss)


@dataclass(frozen=True, slots=True)
class Topology:
    """The underlay and the network section of a cluster."""

    name: str
    network: NetworkConfig
    datapath_requested: str
    """`auto`, or one of `kubinet.state.Datapath`."""
    vertices: tuple[Vertex, ...]
    links: tuple[Link, ...]

    def of(self, role: Role) -> Iterator[Vertex]:
        """The vertices of a role, in the file's order."""
        return (vertex for vertex in self.vertices if vertex.role is role)

    @property
    def nodes(self) -> tuple[Vertex, ...]:
        """The nodes, in order: their position decides index and pod CIDR."""
        return tuple(self.of(Role.NODE))

    def role(self, name: str) -> Role:
        """The role of the vertex of that name."""
        return next(vertex.role for vertex in self.vertices if vertex.name == name)
