"""Whether one rule of a policy matches a packet. For the oracle; remembers what it asked selectors about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, TypeAlias

from kubinet.policies import BlockPeer, Direction, NodePeer, Peer, PodPeer, Policy, PortMatch, PortRange, Selector
from kubinet.policywords import peer_words, port_words, rule_words
from kubinet.state import ClusterState, Pod
from kubinet.transport import Protocol


class Packet(NamedTuple):
    """A connection's first packet, seen from the pod that a policy selects."""

    address: IPv4Address
    """The other end's."""
    pod: Pod | None
    """The other end, if it is a pod."""
    destination: Pod | None
    """The pod at the end that is connected to, whose port names count."""
    protocol: Protocol | None
    port: int


_PeerMatcher: TypeAlias = Callable[[Packet], bool]


class Matchers:
    """The matchers of one state. Equal selections share one, which is asked once about each pod."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._pods: dict[tuple[PodPeer, str], PodMatcher] = {}
        self._nodes: dict[Selector, frozenset[IPv4Address]] = {}
        self._rules: dict[tuple[str, Direction], tuple[RuleMatcher, ...]] = {}

    def rules(self, policy: Policy, direction: Direction) -> "tuple[RuleMatcher, ...]":
        """The matchers of a policy's rules, in order."""
        known = self._rules.get((policy.key, direction))
        if known is None:
            count = len(policy.rules(direction))
            known = tuple(RuleMatcher(policy, direction, index, self) for index in range(count))
            self._rules[policy.key, direction] = known
        return known

    def pods(self, peer: PodPeer, namespace: str) -> "PodMatcher":
        """The matcher for the pods that a policy of this namespace means."""
        scope = (peer, namespace if peer.namespaces is None else "")
        known = self._pods.get(scope)
        if known is None:
            known = self._pods[scope] = PodMatcher(peer, scope[1], self._state.namespaces)
        return known

    def nodes(self, selector: Selector) -> frozenset[IPv4Address]:
        """The addresses of the nodes that are meant, on the underlay and as pod gateways."""
        known = self._nodes.get(selector)
        if known is None:
            nodes = [node for node in self._state.nodes.values() if selector.matches(node.labels)]
            known = frozenset(address for node in nodes for address in (node.underlay.ip, node.pod_gateway))
            self._nodes[selector] = known
        return known


@dataclass(slots=True)
class PodMatcher:
    """Whether a pod is selected."""

    _peer: PodPeer
    _namespace: str
    _labels: Mapping[str, Mapping[str, str]]
    _known: dict[str, bool] = field(default_factory=dict)

    def __call__(self, pod: Pod) -> bool:
        """The answer, from memory if the pod was asked about before."""
        key = pod.key
        answer = self._known.get(key)
        if answer is None:
            answer = self._known[key] = self._selects(pod)
        return answer

    def _selects(self, pod: Pod) -> bool:
        if self._peer.namespaces is None:
            there = pod.namespace == self._namespace
        else:
            there = self._peer.namespaces.matches(self._labels.get(pod.namespace, {}))
        return there and self._peer.pods.matches(pod.labels)


class RuleMatcher:
    """One rule of a policy, ready to be asked about packets."""

    def __init__(self, policy: Policy, direction: Direction, index: int, matchers: Matchers) -> None:
        self.policy = policy
        self.index = index
        self.rule = policy.rules(direction)[index]
        self._peers = None if self.rule.peers is None else [self._peer(peer, matchers) for peer in self.rule.peers]

    @property
    def key(self) -> str:
        """Of its policy, and its own index."""
        return f"{self.policy.key} rule {self.index}"

    @property
    def words(self) -> str:
        """Its policy's name, its index and its own name."""
        return rule_words(self.policy, self.index, self.rule.name)

    def has_peer(self, packet: Packet) -> bool:
        """Whether it is about the other end."""
        return self._peers is None or any(matcher(packet) for matcher in self._peers)

    def has_port(self, packet: Packet) -> bool:
        """Whether it is about the port."""
        return self.rule.ports is None or any(has_port(port, packet) for port in self.rule.ports)

    def matched(self, packet: Packet) -> str:
        """The peer and port, in words, by which it matches a packet that it matches."""
        peers = zip(self.rule.peers or (), self._peers or (), strict=True)
        peer = next((peer for peer, matcher in peers if matcher(packet)), None)
        port = next((port for port in self.rule.ports or () if has_port(port, packet)), None)
        return f"{peer_words(peer)}, {port_words(port)}"

    @property
    def ports(self) -> str:
        """Its ports in words."""
        return " or ".join(map(port_words, self.rule.ports or ())) or "no port"

    def _peer(self, peer: Peer, matchers: Matchers) -> _PeerMatcher:
        match peer:
            case PodPeer():
                selected = matchers.pods(peer, self.policy.namespace)
                return lambda packet: packet.pod is not None and selected(packet.pod)
            case BlockPeer():
                return lambda packet: peer.contains(packet.address)
            case NodePeer():
                addresses = matchers.nodes(peer.nodes)
                return lambda packet: packet.address in addresses


def has_port(port: PortMatch, packet: Packet) -> bool:
    """Whether the packet goes there. A name means the destination pod's port of this name, nothing without one."""
    if isinstance(port, PortRange):
        return port.protocol is packet.protocol and port.first <= packet.port <= port.last
    return packet.destination is not None and any(
        own.name == port.name
        and (own.protocol, own.number) == (packet.protocol, packet.port)
        and port.protocol in (None, own.protocol)
        for own in packet.destination.named_ports
    )
