"""Network policies: whom they isolate, what they allow, and the pods that they select now."""

from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head, selector_text

Object: TypeAlias = dict[str, Any]


def describe(obj: Object, related: Related) -> str:
    """As kubectl describes a network policy, and which pods it selects at present."""
    spec = obj.get("spec") or {}
    lines = Lines()
    head(lines, obj)
    lines.add("Created on", obj["metadata"].get("creationTimestamp"))
    lines.heading("Spec")
    selector = selector_text(spec.get("podSelector"))
    lines.add("PodSelector", selector or "<none> (Allowing the specific traffic to all pods in this namespace)", 2)
    chosen = [pod["metadata"]["name"] for pod in related.pods if is_subject(spec.get("podSelector"), pod)]
    lines.add("Selected pods", ", ".join(chosen), 2)
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    for kind, key, word in (("Ingress", "from", "ingress"), ("Egress", "to", "egress")):
        if kind not in types:
            lines.plain(f"Not affecting {word} traffic", 2)
            continue
        lines.heading(f"Allowing {word} traffic", 2)
        rules = spec.get(word)
        if not rules:
            lines.plain(f"<none> (Selected pods are isolated for {word} connectivity)", 4)
        for index, rule in enumerate(rules or ()):
            if index:
                lines.plain("----------", 4)
            _rule(lines, rule, key)
    lines.add("Policy Types", ", ".join(types), 2)
    lines.events(related.events)
    return lines.text()


def _rule(lines: Lines, rule: Object, key: str) -> None:
    ports = rule.get("ports")
    if not ports:
        lines.plain("To Port: <any> (traffic allowed to all ports)", 4)
    for port in ports or ():
        number = port.get("port", "<any>")
        end = f"-{port['endPort']}" if port.get("endPort") else ""
        lines.plain(f"To Port: {number}{end}/{port.get('protocol', 'TCP')}", 4)
    direction = key.capitalize()
    peers = rule.get(key)
    if not peers:
        lines.plain(f"{direction}: <any> (traffic not restricted by {'source' if key == 'from' else 'destination'})", 4)
    for peer in peers or ():
        lines.plain(f"{direction}:", 4)
        if "ipBlock" in peer:
            lines.plain(f"IPBlock: {peer['ipBlock']['cidr']}", 6)
            lines.plain(f"Except: {', '.join(peer['ipBlock'].get('except') or ())}".rstrip(), 6)
        if "namespaceSelector" in peer:
            lines.plain(f"NamespaceSelector: {selector_text(peer['namespaceSelector']) or '<none>'}", 6)
        if "podSelector" in peer:
            lines.plain(f"PodSelector: {selector_text(peer['podSelector']) or '<none>'}", 6)


def is_subject(selector: Object | None, pod: Object) -> bool:
    """Whether a policy with this selector is for the pod; those of the host network are not pods to policies."""
    return not (pod.get("spec") or {}).get("hostNetwork") and matches(selector, pod)


def matches(selector: Object | None, obj: Object) -> bool:
    """Whether a LabelSelector selects the object (the empty one selects all)."""
    labels = obj["metadata"].get("labels") or {}
    wanted = (selector or {}).get("matchLabels") or {}
    expressions = (selector or {}).get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _expression_holds(one, labels) for one in expressions
    )


def _expression_holds(one: Object, labels: Object) -> bool:
    present = one["key"] in labels
    listed = present and labels[one["key"]] in (one.get("values") or ())
    return bool(
        {"In": listed, "NotIn": not listed, "Exists": present, "DoesNotExist": not present}.get(one["operator"], False)
    )
