"""Policy objects (the API's JSON) to the values of `kubinet.policies`.

Source: the field documentation of networking.k8s.io/v1 NetworkPolicy; `kubinet.clusterpolicies` has the cluster-wide
kinds. What is not understood fails closed, and `unsupported` says so.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from kubinet.clusterpolicies import CLUSTER_KINDS, cluster_policy
from kubinet.errors import InvalidInputError
from kubinet.policies import Direction, NamedPort, Peer, PodPeer, Policy, PortMatch, PortRange, Rule, Tier
from kubinet.policyparts import LISTS, PROTOCOLS, Object, Problems, blocks, selector

KINDS: Final = ("NetworkPolicy", *CLUSTER_KINDS)
"""Every kind that is a network policy."""


def policy_from_object(obj: Object) -> Policy:
    """The value of a policy object of any kind; `InvalidInputError` for other objects."""
    return _read(obj, Problems())


def unsupported(obj: Object) -> list[str]:
    """What of a policy object is not enforced as it is written: the field's path, why, and what happens instead."""
    problems = Problems()
    _read(obj, problems)
    return problems.found


def _read(obj: Object, problems: Problems) -> Policy:
    kind = obj.get("kind")
    if kind == "NetworkPolicy":
        return _network_policy(obj, problems)
    if kind in CLUSTER_KINDS:
        return cluster_policy(obj, problems)
    raise InvalidInputError(f"{kind or 'an object without kind'} is no network policy; these are: {', '.join(KINDS)}")


def _network_policy(obj: Object, problems: Problems) -> Policy:
    metadata, spec, unknown = obj["metadata"], obj.get("spec") or {}, Problems()
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    rules = {one: tuple(_rules(spec, one, problems)) if one in types else () for one in Direction}
    subject = PodPeer(None, selector(spec.get("podSelector"), "spec.podSelector", unknown))
    problems.take(unknown, "the policy selects no pods")
    return Policy(
        kind="NetworkPolicy",
        name=metadata["name"],
        namespace=metadata.get("namespace") or "default",
        tier=Tier.NAMESPACE,
        subject=subject,
        directions=frozenset(one for one in Direction if one in types),
        ingress=rules[Direction.INGRESS],
        egress=rules[Direction.EGRESS],
    )


def _rules(spec: Object, direction: Direction, problems: Problems) -> Iterator[Rule]:
    section, side = LISTS[direction]
    for index, rule in enumerate(spec.get(section) or ()):
        path, unknown = f"spec.{section}[{index}]", Problems()
        peers, ports = rule.get(side), rule.get("ports")
        yield Rule(
            peers=tuple(_peers(peers, f"{path}.{side}", unknown)) if peers else None,
            ports=tuple(_ports(ports, f"{path}.ports", unknown)) if ports else None,
        )
        problems.take(unknown, "it allows nothing")


def _peers(peers: Iterable[Object], path: str, unknown: Problems) -> Iterator[Peer]:
    for index, peer in enumerate(peers):
        here = f"{path}[{index}]"
        block, namespaces, pods = (peer.get(name) for name in ("ipBlock", "namespaceSelector", "podSelector"))
        if block is not None and namespaces is None and pods is None:
            yield from blocks([block["cidr"]], block.get("except") or (), f"{here}.ipBlock", unknown)
        elif block is None and (namespaces is not None or pods is not None):
            yield PodPeer(
                None if namespaces is None else selector(namespaces, f"{here}.namespaceSelector", unknown),
                selector(pods, f"{here}.podSelector", unknown),
            )
        else:
            unknown.add(here, "neither an ipBlock alone nor selectors alone")


def _ports(ports: Iterable[Object], path: str, unknown: Problems) -> Iterator[PortMatch]:
    for index, entry in enumerate(ports):
        protocol, port = PROTOCOLS.get(entry.get("protocol") or "TCP"), entry.get("port")
        if protocol is None:
            unknown.add(f"{path}[{index}].protocol", f"unknown protocol {entry['protocol']}")
        elif port is None:
            yield PortRange(protocol)
        elif isinstance(port, str):
            yield NamedPort(port, protocol)
        else:
            yield PortRange(protocol, port, entry.get("endPort") or port)
