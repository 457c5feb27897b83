"""How people name places: pods by name or labels, Services, nodes, hosts outside, addresses and blocks of them.

| text | means |
| --- | --- |
| `shop/web-0`, `shop/web-*`, `shop/*` | pods by name, with the wildcards of a shell |
| `shop/app=web`, `shop/tier in (a, b)` | pods of a namespace by a label selector |
| `*/app=web`, `team=a/app=web` | the same in namespaces by name or labels |
| `service/shop/web` | what stands behind a Service |
| `node/n1`, `node/*` | nodes' own stacks |
| `outside`, `outside/internet` | hosts outside |
| `203.0.113.7`, `203.0.113.0/24` | an address, or every address of a block |

A namespace that is called like one of these words is written `pod/node/…`. A name without a slash is a pod of the
namespace that is meant by default.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Final, TypeAlias

from kubinet.policies import BlockPeer, Policy, Selector
from kubinet.reach.words import is_selector, parse_selector
from kubinet.reach.world import Place, World
from kubinet.state import Service

_POD, _SERVICE, _NODE, _OUTSIDE = "pod", "service", "node", "outside"
_MOST_SAMPLES: Final = 4096


@dataclass(frozen=True, slots=True)
class Names:
    """Objects by their names, with wildcards, or by their labels."""

    pattern: str = "*"
    labels: Selector | None = None

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it means this object."""
        return fnmatchcase(name, self.pattern) if self.labels is None else self.labels.matches(labels)


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods."""

    namespaces: Names
    pods: Names


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes' own stacks."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Outside:
    """Hosts outside."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Block:
    """Every address of a block."""

    network: IPv4Network


@dataclass(frozen=True, slots=True)
class Behind:
    """A Service, as a destination."""

    namespace: str
    name: str


Choice: TypeAlias = Pods | Nodes | Outside | Block | Behind


def parse_choice(text: str, namespace: str = "default") -> Choice:
    """What the text means; ValueError for what means nothing. `namespace`: of names without one."""
    words = text.strip()
    block = _block(words)
    if block is not None:
        return block
    kind, slash, rest = words.partition("/")
    match kind:
        case "outside":
            return Outside(rest if slash else "*")
        case "node" if rest:
            return Nodes(rest)
        case "service" | "svc" if rest:
            left, inner, right = rest.partition("/")
            if not (left and (right or not inner)) or "/" in right:
                raise ValueError(f"{text!r}: write service/NAMESPACE/NAME")
            return Behind(left, right) if inner else Behind(namespace, left)
        case "pod" if rest:
            words = rest
    left, slash, right = _halves(words)
    if not slash:
        left, right = namespace, words
    if not left or not right:
        raise ValueError(f"{text!r} names nothing: write NAMESPACE/NAME, NAMESPACE/label=value, service/…, node/…, …")
    return Pods(_names(left), _names(right))


def _block(text: str) -> Block | None:
    if not text[:1].isdigit():
        return None
    try:
        return Block(IPv4Network(text))
    except AddressValueError:
        return None
    except ValueError as error:  # an address, but not a block's first one, or an impossible length
        raise ValueError(f"{text!r} is no block of addresses: {error}") from None


def _halves(words: str) -> tuple[str, str, str]:
    """At the first slash, unless it belongs to a label's key: `app.kubernetes.io/name=web` alone."""
    left, slash, right = words.partition("/")
    if slash and "." in left and not is_selector(left) and is_selector(right):
        return "", "", words
    return left, slash, right


def _names(text: str) -> Names:
    return Names(labels=parse_selector(text)) if is_selector(text) else Names(text)


def places(choice: Choice, world: World) -> tuple[Place, ...]:
    """The places that are meant; a Service is none, it is what `kubinet.reach.routes` goes through."""
    match choice:
        case Pods(namespaces, pods):
            return tuple(place for place in world.pods() if place.pod and _means(world, namespaces, pods, place))
        case Nodes(pattern):
            return tuple(place for place in world.nodes() if fnmatchcase(place.node, pattern))
        case Outside(pattern):
            return tuple(place for place in world.hosts() if fnmatchcase(place.name.partition("/")[2], pattern))
        case Block(network):
            return tuple(map(world.at, samples(network, world)))
        case Behind():
            return ()


def _means(world: World, namespaces: Names, pods: Names, place: Place) -> bool:
    pod = place.pod
    return (
        pod is not None
        and namespaces.matches(pod.namespace, world.state.namespaces.get(pod.namespace, {}))
        and pods.matches(pod.name, pod.labels)
    )


def service_of(choice: Behind, world: World) -> Service | None:
    """The Service, if it is there."""
    return world.state.services.get(f"{choice.namespace}/{choice.name}")


def samples(network: IPv4Network, world: World) -> list[IPv4Address]:
    """Addresses of a block that stand for all of it: one between any two borders at which policies' answer may change.

    Borders are those of the policies' own blocks and the addresses of pods and nodes. ValueError when there are too
    many to ask about.
    """
    first, end = int(network.network_address), int(network.broadcast_address) + 1
    borders = {first} | {number for number in _borders(world) if first < number < end}
    if len(borders) > _MOST_SAMPLES:
        raise ValueError(f"{network}: more than {_MOST_SAMPLES} parts of it may differ; name a smaller block")
    return [IPv4Address(number) for number in sorted(borders)]


def _borders(world: World) -> Iterator[int]:
    addresses = [pod.address for pod in world.state.pods.values()]
    addresses += [address for node in world.state.nodes.values() for address in (node.underlay.ip, node.pod_gateway)]
    for network in (*_blocks(world.state.policies.values()), *map(IPv4Network, addresses)):
        yield int(network.network_address)
        yield int(network.broadcast_address) + 1


def _blocks(policies: Iterable[Policy]) -> Iterator[IPv4Network]:
    for policy in policies:
        for rule in (*policy.ingress, *policy.egress):
            for peer in rule.peers or ():
                if isinstance(peer, BlockPeer):
                    yield peer.cidr
                    yield from peer.exceptions
