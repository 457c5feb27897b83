"""The places of a cluster between which connections are asked about: pods, nodes' own stacks, hosts outside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from kubinet.policy import Party
from kubinet.state import ClusterState, Node, Pod

OUTSIDE_PREFIX = "outside/"
NODE_PREFIX = "node/"


@dataclass(frozen=True, slots=True)
class Place:
    """One of them, by the name that people give it."""

    name: str
    """`shop/web-1`, `node/n1`, `outside/internet`, or an address."""
    address: IPv4Address
    """By which it is reached."""
    pod: Pod | None = None
    node: str = ""
    """The node whose own stack it is."""
    sends_from: IPv4Address | None = None
    """The source address that its packets to pods have, where that is another one: a node's pod gateway."""

    @property
    def source(self) -> Party:
        """As the one who connects."""
        return Party(self.sends_from or self.address, self.pod, self.node)

    @property
    def destination(self) -> Party:
        """As the one who is connected to."""
        return Party(self.address, self.pod, self.node)

    @property
    def judged(self) -> bool:
        """Whether policies are about it: pods alone are."""
        return self.pod is not None


def pod_place(pod: Pod) -> Place:
    """A pod."""
    return Place(pod.key, pod.address, pod)


def node_place(node: Node) -> Place:
    """A node's own stack; pods of the host network are that, too."""
    return Place(f"{NODE_PREFIX}{node.name}", node.underlay.ip, node=node.name, sends_from=node.pod_gateway)


def outside_place(name: str, address: IPv4Address) -> Place:
    """A host outside of the cluster."""
    return Place(f"{OUTSIDE_PREFIX}{name}", address)


@dataclass(frozen=True, slots=True)
class World:
    """A cluster, real or made up from manifests, and the hosts around it."""

    state: ClusterState
    outside: Mapping[str, IPv4Address] = field(default_factory=dict)
    """Outside hosts by name."""
    ports: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    """By pod, the ports that its containers declare: number and protocol."""

    def pods(self) -> Iterator[Place]:
        """All pods, by name."""
        return (pod_place(pod) for _, pod in sorted(self.state.pods.items()))

    def nodes(self) -> Iterator[Place]:
        """All nodes, by their index."""
        return (node_place(node) for node in sorted(self.state.nodes.values(), key=lambda node: node.index))

    def hosts(self) -> Iterator[Place]:
        """All hosts outside, by name."""
        return (outside_place(name, address) for name, address in sorted(self.outside.items()))

    def at(self, address: IPv4Address) -> Place:
        """Who has an address; a nameless host outside where nobody in the cluster has it."""
        for pod in self.state.pods.values():
            if pod.address == address:
                return pod_place(pod)
        for node in self.state.nodes.values():
            if address in (node.underlay.ip, node.pod_gateway):
                return node_place(node)
        known = next((host for host in self.hosts() if host.address == address), None)
        return known or Place(str(address), address)
