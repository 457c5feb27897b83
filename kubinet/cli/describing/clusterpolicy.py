"""Cluster-wide policies: when they decide, for which pods, and what their rules do."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head, selector_text
from kubinet.cli.describing.networkpolicy import is_subject, matches

Object: TypeAlias = dict[str, Any]


def describe(obj: Object, related: Related) -> str:
    """Tier and priority, the pods that it selects now, and its rules in the order in which they decide."""
    spec = obj.get("spec") or {}
    lines = Lines()
    head(lines, obj, namespaced=False)
    lines.add("Created on", obj["metadata"].get("creationTimestamp"))
    lines.heading("Spec")
    lines.add("Tier", spec.get("tier") or ("Baseline" if obj["kind"].startswith("Baseline") else "Admin"), 2)
    lines.add_some("Priority", spec.get("priority"), 2)
    lines.heading("Subject", 2)
    _peer(lines, spec["subject"], 4)
    lines.add("Selected pods", ", ".join(_selected(spec["subject"], related)), 2)
    for word, key in (("ingress", "from"), ("egress", "to")):
        rules = spec.get(word)
        if not rules:
            lines.plain(f"Not affecting {word} traffic", 2)
            continue
        lines.heading(f"{word.capitalize()} rules, the first that matches decides", 2)
        for index, rule in enumerate(rules):
            name = f" ({rule['name']})" if rule.get("name") else ""
            lines.plain(f"[{index}] {rule['action']}{name}", 4)
            _rule(lines, rule, key)
    for condition in (obj.get("status") or {}).get("conditions") or ():
        lines.add(f"Condition {condition['type']}", f"{condition['status']} ({condition.get('message', '')})")
    lines.events(related.events)
    return lines.text()


def _selected(subject: Object, related: Related) -> list[str]:
    pods = subject.get("pods") or {}
    spaces = subject.get("namespaces", pods.get("namespaceSelector"))
    chosen = {space["metadata"]["name"] for space in related.namespaces if matches(spaces, space)}
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in related.pods
        if pod["metadata"]["namespace"] in chosen and is_subject(pods.get("podSelector"), pod)
    ]


def _rule(lines: Lines, rule: Object, key: str) -> None:
    ports = _ports(rule)
    if not ports:
        lines.plain("To Port: <any>", 6)
    for port in ports:
        lines.plain(f"To Port: {port}", 6)
    for peer in rule[key]:
        lines.plain(f"{key.capitalize()}:", 6)
        _peer(lines, peer, 8)


def _peer(lines: Lines, peer: Object, indent: int) -> None:
    pods = peer.get("pods") or {}
    if "namespaces" in peer or "pods" in peer:
        spaces = selector_text(peer.get("namespaces", pods.get("namespaceSelector")))
        lines.plain(f"NamespaceSelector: {spaces or '<none> (all namespaces)'}", indent)
        lines.plain(f"PodSelector: {selector_text(pods.get('podSelector')) or '<none> (all pods)'}", indent)
    if "nodes" in peer:
        lines.plain(f"NodeSelector: {selector_text(peer['nodes']) or '<none> (all nodes)'}", indent)
    if "networks" in peer:
        lines.plain(f"Networks: {', '.join(peer['networks'])}", indent)
    if "domainNames" in peer:
        lines.plain(f"DomainNames: {', '.join(peer['domainNames'])} (not enforced: the rule matches nothing)", indent)


def _ports(rule: Object) -> Sequence[str]:
    """`80/TCP`, `80-90/UDP`, `web` (of any protocol), in both versions' spelling."""
    return [_admin_port(port) for port in rule.get("ports") or ()] + [
        _protocol(one) for one in rule.get("protocols") or ()
    ]


def _admin_port(port: Object) -> str:
    if "portNumber" in port:
        return f"{port['portNumber']['port']}/{port['portNumber'].get('protocol', 'TCP')}"
    if "portRange" in port:
        chosen = port["portRange"]
        return f"{chosen['start']}-{chosen['end']}/{chosen.get('protocol', 'TCP')}"
    return f"{port['namedPort']} (the pods' port of this name)"


def _protocol(one: Object) -> str:
    if "destinationNamedPort" in one:
        return f"{one['destinationNamedPort']} (the pods' port of this name)"
    ((name, told),) = one.items()
    port = told["destinationPort"]
    text = port["number"] if "number" in port else f"{port['range']['start']}-{port['range']['end']}"
    return f"{text}/{name.upper()}"
