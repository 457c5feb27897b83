"""The oracle: what policies say about a connection, judged from the specification and explained in words.

Pure, and without any knowledge of flows: it is compared with what the flows do and with real packets. Sources:
Kubernetes' documentation of Network Policies and the field documentation of NetworkPolicy (networking.k8s.io/v1),
AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy (policy.networking.k8s.io). Rules are numbered
from 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from kubinet.policies import Action, Direction, Policy, Tier
from kubinet.policymatch import Matchers, Packet, RuleMatcher
from kubinet.policywords import list_words, packet_words, policy_words
from kubinet.state import ClusterState, Pod
from kubinet.transport import Protocol


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a connection as policies see it."""

    address: IPv4Address
    pod: Pod | None = None
    """The pod that has it."""
    node: str = ""
    """The node whose own stack it is (pods on the host network are that, too), else empty."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policies of one end say."""

    allowed: bool
    direction: Direction
    tier: Tier | None
    """Which tier decided; None: none did, which Kubernetes allows, or a standing exception."""
    policy: str = ""
    """Key of the policy whose rule decided; empty if none did."""
    rule: int | None = None
    """Its index, from 0."""
    isolated_by: tuple[str, ...] = ()
    """Keys of the NetworkPolicies that isolate the pod in this direction, sorted."""
    passed: tuple[str, ...] = ()
    """`key rule i` of the Pass rules met on the way."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Both ends' rulings; a connection needs both."""

    allowed: bool
    egress: Ruling
    ingress: Ruling


class Oracle:
    """Judges connections in one state; what it finds out about pods and selectors it remembers. For one thread."""

    def __init__(self, state: ClusterState) -> None:
        self._pods = {pod.address: pod for pod in state.pods.values()}
        self._stacks = {
            address: node.name for node in state.nodes.values() for address in (node.underlay.ip, node.pod_gateway)
        }
        self._matchers = Matchers(state)
        policies = sorted(state.policies.values(), key=lambda one: (one.priority, one.kind, one.name, one.namespace))
        self._policies = [(policy, self._matchers.pods(policy.subject, policy.namespace)) for policy in policies]
        self._about: dict[tuple[str, Direction], _PodPolicies] = {}

    def party(self, address: IPv4Address) -> Party:
        """Who has an address: a pod, a node's own stack (on the underlay or as pod gateway), or somebody outside."""
        pod = self._pods.get(address)
        return Party(address, pod, "" if pod else self._stacks.get(address, ""))

    def judge(
        self,
        source: Party,
        destination: Party,
        protocol: Protocol | None,
        port: int = 0,
        *,
        through_service: bool = False,
    ) -> Judgement:
        """Whether a connection may be made.

        `destination` is what remains after a Service's translation, never a Service's address. `protocol` None is
        something without ports (ICMP). `through_service` matters where a pod reaches itself: by a Service the packet
        leaves the pod, and cluster-wide rules count, though NetworkPolicies do not.
        """
        itself = source.pod is not None and destination.pod is not None and source.pod.key == destination.pod.key
        if itself and not through_service:
            return _ITSELF
        to = destination.pod
        egress = self._ruling(
            Direction.EGRESS, source, destination, Packet(destination.address, to, to, protocol, port), itself
        )
        ingress = self._ruling(
            Direction.INGRESS, destination, source, Packet(source.address, source.pod, to, protocol, port), itself
        )
        return Judgement(egress.allowed and ingress.allowed, egress, ingress)

    def _ruling(self, direction: Direction, subject: Party, peer: Party, packet: Packet, itself: bool) -> Ruling:
        pod = subject.pod
        if pod is None:
            return _UNJUDGED[direction]
        if direction is Direction.INGRESS and peer.node and peer.node == pod.node:
            return _OWN_NODE
        key = (pod.key, direction)
        about = self._about.get(key)
        if about is None:
            selecting = [policy for policy, selects in self._policies if selects(pod)]
            about = self._about[key] = _PodPolicies.of(direction, selecting, self._matchers)
        return about.ruling(packet, itself=itself)


def _allowed(direction: Direction, reason: str) -> Ruling:
    return Ruling(True, direction, None, reason=reason)


_ITSELF: Final = Judgement(
    True, *(_allowed(direction, "a pod always reaches itself") for direction in (Direction.EGRESS, Direction.INGRESS))
)
_OWN_NODE: Final = _allowed(Direction.INGRESS, "a node always reaches its own pods")
_UNJUDGED: Final = {
    Direction.EGRESS: _allowed(Direction.EGRESS, "policies are for pods: what nodes and outside hosts send is free"),
    Direction.INGRESS: _allowed(Direction.INGRESS, "policies are for pods: nodes and outside hosts are free to reach"),
}


@dataclass(frozen=True, slots=True)
class _PodPolicies:
    """The policies that select one pod, for one direction: what all rulings about it start from."""

    direction: Direction
    admin: tuple[RuleMatcher, ...]
    """In the order of evaluation, as those of the baseline."""
    namespace: tuple[RuleMatcher, ...]
    baseline: tuple[RuleMatcher, ...]
    isolated_by: tuple[str, ...]
    isolation: str
    """In words."""
    default: str
    """Why a packet is allowed that nothing decides about."""

    @classmethod
    def of(cls, direction: Direction, policies: Iterable[Policy], matchers: Matchers) -> "_PodPolicies":
        """Of the policies that select the pod, in the order of evaluation."""
        rules: dict[Tier, list[RuleMatcher]] = {tier: [] for tier in Tier}
        isolating: list[Policy] = []
        others: list[Policy] = []
        for policy in policies:
            if direction not in policy.directions:
                continue
            (isolating if policy.tier is Tier.NAMESPACE else others).append(policy)
            rules[policy.tier] += matchers.rules(policy, direction)
        word = direction.lower()
        default = f"no policy selects it for {word}"
        if others:
            default = f"not isolated for {word}, and no rule of {list_words(map(policy_words, others))} decides"
        return cls(
            direction=direction,
            admin=tuple(rules[Tier.ADMIN]),
            namespace=tuple(rules[Tier.NAMESPACE]),
            baseline=tuple(rules[Tier.BASELINE]),
            isolated_by=tuple(sorted(policy.key for policy in isolating)),
            isolation=f"isolated for {word} by {list_words(map(policy_words, isolating))}",
            default=default,
        )

    def ruling(self, packet: Packet, *, itself: bool) -> Ruling:
        """Of the tiers in their order. NetworkPolicies do not count where a pod reaches itself."""
        passed: list[RuleMatcher] = []
        decided = self._first(Tier.ADMIN, self.admin, packet, passed)
        if decided is None and self.isolated_by and not itself:
            decided = self._isolated(packet, passed)
        if decided is None:
            decided = self._first(Tier.BASELINE, self.baseline, packet, passed)
        return decided or self._ruling(True, None, passed, "a pod always reaches itself" if itself else self.default)

    def _first(
        self, tier: Tier, rules: tuple[RuleMatcher, ...], packet: Packet, passed: list[RuleMatcher]
    ) -> Ruling | None:
        for matcher in rules:
            if matcher.has_port(packet) and matcher.has_peer(packet):
                if matcher.rule.action is Action.PASS:
                    passed.append(matcher)
                    return None
                allowed = matcher.rule.action is Action.ACCEPT
                words = f"{'allowed' if allowed else 'denied'} by {matcher.words}: {matcher.matched(packet)}"
                return self._ruling(allowed, tier, passed, words, matcher)
        return None

    def _isolated(self, packet: Packet, passed: list[RuleMatcher]) -> Ruling:
        near: RuleMatcher | None = None
        for matcher in self.namespace:
            if matcher.has_peer(packet):
                if matcher.has_port(packet):
                    words = f"{self.isolation}; allowed by {matcher.words}: {matcher.matched(packet)}"
                    return self._ruling(True, Tier.NAMESPACE, passed, words, matcher)
                near = near or matcher
        words = f"{self.isolation}; no rule allows it"
        if near is not None:
            went = packet_words(packet.protocol, packet.port)
            words += f": {near.words} allows the peer {near.ports}, not {went}"
        return self._ruling(False, Tier.NAMESPACE, passed, words)

    def _ruling(
        self,
        allowed: bool,
        tier: Tier | None,
        passed: list[RuleMatcher],
        words: str,
        by: RuleMatcher | None = None,
    ) -> Ruling:
        return Ruling(
            allowed=allowed,
            direction=self.direction,
            tier=tier,
            policy=by.policy.key if by else "",
            rule=by.index if by else None,
            isolated_by=self.isolated_by,
            passed=tuple(one.key for one in passed),
            reason="; ".join([*(f"passed by {one.words}" for one in passed), words]),
        )
