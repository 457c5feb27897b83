"""Policies' parts in words, as kubectl writes selectors: for explanations."""

from collections.abc import Iterable

from kubinet.policies import (
    BlockPeer,
    NamedPort,
    NodePeer,
    Operator,
    Peer,
    PodPeer,
    Policy,
    PortMatch,
    Requirement,
    Selector,
    Tier,
)
from kubinet.transport import Protocol

_MOST = 3
"""Names in a list before the rest is only counted."""


def policy_words(policy: Policy) -> str:
    """`namespace/name` of a NetworkPolicy; the cluster-wide kinds are named."""
    return f"{policy.namespace}/{policy.name}" if policy.tier is Tier.NAMESPACE else policy.key


def rule_words(policy: Policy, index: int, name: str) -> str:
    """A rule by its index, from 0, and its name if it has one."""
    return f"{policy_words(policy)} rule {index}" + (f" ({name})" if name else "")


def list_words(names: Iterable[str]) -> str:
    """Names, the first few of many."""
    every = list(names)
    rest = len(every) - _MOST
    return ", ".join(every[:_MOST]) + (f" and {rest} more" if rest > 0 else "")


def selector_words(selector: Selector) -> str:
    """`app=front,tier in (a, b),!old`; empty for everything."""
    return ",".join(map(_requirement, selector.requirements))


def _requirement(requirement: Requirement) -> str:
    values = sorted(requirement.values)
    match requirement.operator:
        case Operator.IN if len(values) == 1:
            return f"{requirement.key}={values[0]}"
        case Operator.IN:
            return f"{requirement.key} in ({', '.join(values)})"
        case Operator.NOT_IN:
            return f"{requirement.key} notin ({', '.join(values)})"
        case Operator.EXISTS:
            return requirement.key
        case Operator.DOES_NOT_EXIST:
            return f"!{requirement.key}"


def peer_words(peer: Peer | None) -> str:
    """Whom a peer of a rule means; None: anybody."""
    match peer:
        case None:
            return "any peer"
        case PodPeer(namespaces=namespaces, pods=pods):
            own = selector_words(pods) or "every pod"
            if namespaces is None:
                return f"peer {own}"
            return f"peer {own} in " + (
                f"namespaces {selector_words(namespaces)}" if namespaces.requirements else "every namespace"
            )
        case BlockPeer(cidr=cidr, exceptions=exceptions):
            return f"peer {cidr}" + (f" except {', '.join(map(str, exceptions))}" if exceptions else "")
        case NodePeer(nodes=nodes):
            return "peer " + (f"nodes {selector_words(nodes)}" if nodes.requirements else "every node")


def port_words(port: PortMatch | None) -> str:
    """What a rule's port matches; None: everything."""
    match port:
        case None:
            return "any port"
        case NamedPort(name=name, protocol=protocol):
            return f"port {name}" + (f"/{protocol.name}" if protocol else "")
        case _:
            return _range(port.protocol, port.first, port.last)


def _range(protocol: Protocol, first: int, last: int) -> str:
    if (first, last) == (0, 65535):
        return f"any port/{protocol.name}"
    return f"port {first}/{protocol.name}" if first == last else f"ports {first}-{last}/{protocol.name}"


def packet_words(protocol: Protocol | None, port: int) -> str:
    """`8080/TCP`; without a protocol that has ports: what else there is, such as ICMP."""
    return f"{port}/{protocol.name}" if protocol else "a protocol without ports"
