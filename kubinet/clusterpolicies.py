"""Objects of the cluster-wide policy kinds (the API's JSON) to the values of `kubinet.policies`.

Source: the field documentation of policy.networking.k8s.io v1alpha1 (AdminNetworkPolicy, BaselineAdminNetworkPolicy)
and v1alpha2 (ClusterNetworkPolicy). A rule with a peer of an unknown kind fails closed as they ask for: one that
accepts matches nothing, any other denies everything; so does whatever else is not understood.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubinet.policies import (
    EVERYTHING,
    Action,
    Direction,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    PortMatch,
    PortRange,
    Rule,
    Tier,
)
from kubinet.policyparts import LISTS, PROTOCOLS, Object, Problems, blocks, selector


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a kind spells the same things."""

    actions: Mapping[str, Action]
    ports: str
    """The field of a rule."""


_ALLOW: Final = {"Allow": Action.ACCEPT, "Deny": Action.DENY}
_DIALECTS: Final = {
    "AdminNetworkPolicy": _Dialect({**_ALLOW, "Pass": Action.PASS}, "ports"),
    "BaselineAdminNetworkPolicy": _Dialect(_ALLOW, "ports"),
    "ClusterNetworkPolicy": _Dialect({action.value: action for action in Action}, "protocols"),
}
CLUSTER_KINDS: Final = tuple(_DIALECTS)
"""The kinds that `cluster_policy` reads."""


def cluster_policy(obj: Object, problems: Problems) -> Policy:
    """The value of an object of one of these kinds."""
    metadata, kind, spec = obj["metadata"], obj["kind"], obj.get("spec") or {}
    unknown = Problems()
    tier = _tier(kind, spec, unknown)
    subject = _pods(spec.get("subject") or {}, "spec.subject", unknown)
    problems.take(unknown, "the policy has no effect")
    rules: dict[Direction, tuple[Rule, ...]] = dict.fromkeys(Direction, ())
    if not unknown:
        rules = {direction: tuple(_rules(spec, direction, _DIALECTS[kind], problems)) for direction in Direction}
    return Policy(
        kind=kind,
        name=metadata["name"],
        namespace="",
        tier=tier,
        subject=subject or PodPeer(EVERYTHING),
        directions=frozenset(direction for direction, present in rules.items() if present),
        ingress=rules[Direction.INGRESS],
        egress=rules[Direction.EGRESS],
        priority=0 if kind == "BaselineAdminNetworkPolicy" else int(spec.get("priority") or 0),
    )


def _tier(kind: str, spec: Object, unknown: Problems) -> Tier:
    if kind == "BaselineAdminNetworkPolicy":
        return Tier.BASELINE
    if kind == "ClusterNetworkPolicy":
        if spec.get("tier") == "Baseline":
            return Tier.BASELINE
        if spec.get("tier") != "Admin":
            unknown.add("spec.tier", f"unknown tier {spec.get('tier')}")
    return Tier.ADMIN


def _rules(spec: Object, direction: Direction, dialect: _Dialect, problems: Problems) -> Iterator[Rule]:
    section, side = LISTS[direction]
    for index, rule in enumerate(spec.get(section) or ()):
        path, name, unknown = f"spec.{section}[{index}]", rule.get("name") or "", Problems()
        action = dialect.actions.get(rule.get("action") or "")
        if action is None:
            unknown.add(f"{path}.action", f"unknown action {rule.get('action')}")
        peers = tuple(_peers(rule.get(side) or (), direction, f"{path}.{side}", unknown))
        listed = rule.get(dialect.ports)
        ports = tuple(_ports(listed, f"{path}.{dialect.ports}", unknown)) if listed else None
        if action is not None and not unknown:
            yield Rule(peers, ports, action, name)
        elif action is Action.ACCEPT:
            problems.take(unknown, "the rule matches nothing")
            yield Rule((), None, action, name)
        else:
            problems.take(unknown, "the rule denies everything")
            yield Rule(None, None, Action.DENY, name)


def _peers(peers: Iterable[Object], direction: Direction, path: str, unknown: Problems) -> Iterator[Peer]:
    if not peers:
        unknown.add(path, "no peers")
    for index, peer in enumerate(peers):
        here = f"{path}[{index}]"
        match _only(peer):
            case "networks", value if direction is Direction.EGRESS:
                yield from blocks(value, (), f"{here}.networks", unknown)
            case "nodes", value if direction is Direction.EGRESS:
                yield NodePeer(selector(value, f"{here}.nodes", unknown))
            case "domainNames", _:
                unknown.add(f"{here}.domainNames", "domain names are not supported as peers")
            case _:
                pods = _pods(peer, here, unknown)
                if pods is not None:
                    yield pods


def _pods(peer: Object, path: str, unknown: Problems) -> PodPeer | None:
    match _only(peer):
        case "namespaces", value:
            return PodPeer(selector(value, f"{path}.namespaces", unknown))
        case "pods", value:
            namespaces = selector(value.get("namespaceSelector"), f"{path}.pods.namespaceSelector", unknown)
            return PodPeer(namespaces, selector(value.get("podSelector"), f"{path}.pods.podSelector", unknown))
    unknown.add(path, _instead(peer))
    return None


def _ports(ports: Iterable[Object], path: str, unknown: Problems) -> Iterator[PortMatch]:
    """Entries of `ports` (v1alpha1) and of `protocols` (v1alpha2), which have no field in common."""
    for index, entry in enumerate(ports):
        found: PortMatch | None = None
        match _only(entry):
            case "namedPort" | "destinationNamedPort", str(name):
                found = NamedPort(name, None)
            case "portNumber", {"port": number, **rest}:
                found = _range(rest.get("protocol"), number, number)
            case "portRange", {"start": first, "end": last, **rest}:
                found = _range(rest.get("protocol"), first, last)
            case ("tcp" | "udp" | "sctp") as protocol, {"destinationPort": {"number": number}}:
                found = _range(protocol.upper(), number, number)
            case ("tcp" | "udp" | "sctp") as protocol, {"destinationPort": {"range": {"start": first, "end": last}}}:
                found = _range(protocol.upper(), first, last)
        if found is None:
            unknown.add(f"{path}[{index}]", _instead(entry))
        else:
            yield found


def _range(protocol: object, first: int, last: int) -> PortRange | None:
    known = PROTOCOLS.get(str(protocol or "TCP"))
    return None if known is None else PortRange(known, first, last)


def _only(document: Object) -> tuple[str, Any] | None:
    """The one field that an object of exactly one field has."""
    given = [(name, value) for name, value in document.items() if value is not None]
    return given[0] if len(given) == 1 else None


def _instead(document: Object) -> str:
    given = ", ".join(sorted(name for name, value in document.items() if value is not None))
    return f"has {given or 'no field'}, not exactly one that is known here"
