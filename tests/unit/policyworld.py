"""Cases of network policies as data: a cluster, what changes in it step by step, and the truth table after each step.

Nothing here knows the oracle. Whoever tests policies can use a case: `Case.worlds` gives the cluster after each step;
`state_of` makes the controller's input of it; a test with a real cluster pins pods to the nodes that `World.node_of`
says and fills in real addresses with `resolve`.

Tables are lines about pods by patterns (fnmatch) of `namespace/name`, sources on the left; what no line denies is
allowed:
- `x/a y/* > z/c`: these sources do not reach these destinations,
- `only x/b > x/a`: of all sources only these reach the destination,
- `x/a > only y/*`: the sources reach only these of all destinations.
A pod and itself are never meant.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeAlias

from kubinet.policyobjects import policy_from_object
from kubinet.state import ClusterState, ContainerPort, NetworkConfig, Node, Pod
from kubinet.transport import Protocol

Labels: TypeAlias = Mapping[str, str]
Pair: TypeAlias = tuple[str, str]
NAME = "kubernetes.io/metadata.name"
OUTSIDE = IPv4Address("198.51.100.7")
"""An outside host's, `outside/host` in tables."""


@dataclass(frozen=True)
class World:
    """A cluster: labels of namespaces, of pods (`namespace/name`) and of nodes, and the policies' wire objects."""

    namespaces: Mapping[str, Labels]
    pods: Mapping[str, Labels]
    ports: Sequence[ContainerPort]
    """Of every pod, all with names."""
    placement: Mapping[str, str]
    """The node of pods by their own name, in whatever namespace."""
    nodes: Mapping[str, Labels] = field(default_factory=lambda: {"n1": {}, "n2": {}, "n3": {}})
    policies: Mapping[Pair, Any] = field(default_factory=dict)
    """By kind and `namespace/name` or name; addresses in them are placeholders (`resolve`)."""

    def node_of(self, pod: str) -> str:
        """The node that a pod is on."""
        return self.placement[pod.partition("/")[2]]


@dataclass(frozen=True)
class Apply:
    """Create a policy, or replace the one of the same name."""

    policy: Any

    def __call__(self, world: World) -> World:
        return replace(world, policies={**world.policies, _key(self.policy): self.policy})


@dataclass(frozen=True)
class Delete:
    """Delete a policy."""

    policy: Any

    def __call__(self, world: World) -> World:
        return replace(world, policies={k: v for k, v in world.policies.items() if k != _key(self.policy)})


@dataclass(frozen=True)
class Namespace:
    """Create a namespace or give it other labels; None: delete it with its pods."""

    name: str
    labels: Labels | None

    def __call__(self, world: World) -> World:
        if self.labels is not None:
            return replace(world, namespaces={**world.namespaces, self.name: {**self.labels, NAME: self.name}})
        return replace(
            world,
            namespaces={name: labels for name, labels in world.namespaces.items() if name != self.name},
            pods={pod: labels for pod, labels in world.pods.items() if pod.partition("/")[0] != self.name},
        )


@dataclass(frozen=True)
class SetPod:
    """Create a pod or give it other labels; None: delete it."""

    pod: str
    labels: Labels | None

    def __call__(self, world: World) -> World:
        others = {pod: labels for pod, labels in world.pods.items() if pod != self.pod}
        if self.labels is None:
            return replace(world, pods=others)
        return replace(world, pods={**world.pods, self.pod: self.labels})


Change: TypeAlias = Apply | Delete | Namespace | SetPod


@dataclass(frozen=True)
class Step:
    """What is done, and the lines of the table of each probe (`80/TCP`) afterwards."""

    changes: tuple[Change, ...]
    tables: Mapping[str, tuple[str, ...]]

    def denied(self, probe: str, names: Iterable[str]) -> frozenset[Pair]:
        """The pairs of source and destination that are denied."""
        everybody = list(names)
        return frozenset(pair for line in self.tables[probe] for pair in _pairs(line, everybody))


@dataclass(frozen=True)
class Case:
    """A case of an upstream suite, or one of our own."""

    name: str
    upstream: str
    """What it covers."""
    world: World
    steps: tuple[Step, ...]
    others: tuple[str, ...] = ()
    """Besides the pods: `node/NAME` (its own stack) and `outside/host`. Pairs of two of them are never judged."""

    def worlds(self) -> Iterator[tuple[World, Step]]:
        """The cluster after each step."""
        world = self.world
        for step in self.steps:
            for change in step.changes:
                world = change(world)
            yield world, step

    def names(self, world: World) -> list[str]:
        """Who stands in the table."""
        return [*world.pods, *self.others]

    def pairs(self, world: World) -> list[Pair]:
        """Every cell of the table."""
        names = self.names(world)
        return [(s, d) for s in names for d in names if s != d and not {s, d} <= set(self.others)]


def steps(*each: tuple[Sequence[Change], Mapping[str, Sequence[str]]], probes: Sequence[str]) -> tuple[Step, ...]:
    """Steps whose tables say `*` for all other probes."""
    return tuple(
        Step(tuple(changes), {probe: tuple(table[probe] if probe in table else table["*"]) for probe in probes})
        for changes, table in each
    )


def _key(policy: Any) -> Pair:
    metadata = policy["metadata"]
    return policy["kind"], "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def _pairs(line: str, names: list[str]) -> Iterator[Pair]:
    left, _, right = line.partition(" > ")
    sources, destinations = _some(left, names), _some(right, names)
    assert right, f"{line}: no ' > '"
    assert not ("only " in left and "only " in right), line
    for source in names:
        for destination in names:
            if source != destination and (source in sources) and (destination in destinations):
                yield source, destination


def _some(text: str, names: list[str]) -> set[str]:
    only, patterns = text.startswith("only "), text.removeprefix("only ").split()
    for pattern in patterns:
        assert "/" in pattern or pattern == "*", f"{pattern}: not of the form namespace/name"
    return {name for name in names if any(fnmatchcase(name, one) for one in patterns) is not only}


def node(name: str, labels: Labels) -> Node:
    """Node `n3` has the underlay address 172.18.0.4 and the block 10.244.3.0/24."""
    index = int(name[1:])
    return Node(
        name=name,
        index=index,
        underlay=IPv4Interface(f"172.18.0.{index + 1}/24"),
        underlay_mac=f"02:00:00:00:00:{index:02x}",
        pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
        labels=labels,
    )


def state_of(world: World) -> ClusterState:
    """The SDN controller's input: pods have the first free addresses of their nodes."""
    nodes = {name: node(name, labels) for name, labels in world.nodes.items()}
    pods: dict[str, Pod] = {}
    for key, labels in world.pods.items():
        namespace, _, name = key.partition("/")
        where = nodes[world.node_of(key)]
        taken = sum(1 for pod in pods.values() if pod.node == where.name)
        address = where.pod_cidr.network_address + 2 + taken
        pods[key] = Pod(namespace, name, where.name, address, labels, named_ports=tuple(world.ports))
    places = {**{key: str(pod.address) for key, pod in pods.items()}}
    places |= {
        f"node of {name}": str(nodes[where].pod_cidr) for name, where in world.placement.items() if where in nodes
    }
    policies = [policy_from_object(resolve(policy, places)) for policy in world.policies.values()]
    return ClusterState(
        network=NetworkConfig(),
        nodes=nodes,
        pods=pods,
        namespaces=world.namespaces,
        policies={policy.key: policy for policy in policies},
    )


def resolve(document: Any, places: Mapping[str, str]) -> Any:
    """A policy with real addresses: `<x/a>` is a pod's, `<node of a>` the block of the node where pods `a` are."""
    if isinstance(document, str):
        return re.sub("<([^<>]+)>", lambda match: places[match[1]], document)
    if isinstance(document, dict):
        return {key: resolve(value, places) for key, value in document.items()}
    if isinstance(document, list):
        return [resolve(value, places) for value in document]
    return document


def probe(text: str) -> tuple[Protocol | None, int]:
    """`80/TCP` in parts; `ICMP` has no port."""
    if text == "ICMP":
        return None, 0
    number, _, protocol = text.partition("/")
    return Protocol[protocol], int(number)
