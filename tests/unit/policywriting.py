"""Short ways to write policies as wire objects."""

from collections.abc import Mapping, Sequence
from typing import Any

Document = dict[str, Any]


def labels(**wanted: str) -> Document:
    """A selector by labels; without any it selects everything."""
    return {"matchLabels": wanted} if wanted else {}


def one_of(key: str, *values: str, operator: str = "In") -> Document:
    """A selector by an expression."""
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


def pods(selector: Document | None = None, *, of: Document | None = None) -> Document:
    """A peer of a NetworkPolicy; `of` selects namespaces."""
    return {
        **({} if selector is None else {"podSelector": selector}),
        **({} if of is None else {"namespaceSelector": of}),
    }


def block(cidr: str, *exceptions: str) -> Document:
    """A peer of a NetworkPolicy."""
    return {"ipBlock": {"cidr": cidr, **({"except": list(exceptions)} if exceptions else {})}}


def port(number: int | str | None = None, protocol: str | None = None, end: int | None = None) -> Document:
    """A port of a NetworkPolicy."""
    given = {"port": number, "protocol": protocol, "endPort": end}
    return {key: value for key, value in given.items() if value is not None}


def rule(peers: Sequence[Document] | None = None, ports: Sequence[Document] | None = None) -> Document:
    """A rule of a NetworkPolicy, with `peers` for `from` or `to`."""
    return {
        **({} if peers is None else {"peers": list(peers)}),
        **({} if ports is None else {"ports": list(ports)}),
    }


def network_policy(
    name: str,
    selector: Document | None = None,
    *,
    namespace: str = "x",
    ingress: Sequence[Document] | None = None,
    egress: Sequence[Document] | None = None,
) -> Document:
    """A NetworkPolicy with the types of the directions that are given."""
    spec: Document = {"podSelector": selector or {}, "policyTypes": []}
    for direction, side, rules in (("ingress", "from", ingress), ("egress", "to", egress)):
        if rules is not None:
            spec["policyTypes"].append(direction.capitalize())
            spec[direction] = [{{"peers": side}.get(key, key): value for key, value in one.items()} for one in rules]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def cluster_policy(kind: str, name: str, subject: Document, *, version: str, **spec: Any) -> Document:
    """A policy of a cluster-wide kind."""
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"subject": subject, **spec},
    }


def with_rule(policy: Mapping[str, Any], direction: str, index: int, rule: Document) -> Document:
    """The same policy with another rule at an index."""
    rules = list(policy["spec"][direction])
    rules[index] = rule
    return {**policy, "spec": {**policy["spec"], direction: rules}}


def swapped(policy: Mapping[str, Any], first: int, second: int) -> Document:
    """The same policy with two rules of every direction that it has in each other's place."""
    spec = dict(policy["spec"])
    for direction in ("ingress", "egress"):
        if direction in spec:
            rules = list(spec[direction])
            rules[first], rules[second] = rules[second], rules[first]
            spec[direction] = rules
    return {**policy, "spec": spec}
