"""Nodes: addresses, conditions, capacity, the pods on it."""

from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head
from kubinet.cli.durations import age

Object: TypeAlias = dict[str, Any]


def describe(obj: Object, related: Related) -> str:
    """As kubectl describes a node, without what Kubinet's nodes do not have."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    lines = Lines()
    head(lines, obj, namespaced=False)
    lines.add("CreationTimestamp", obj["metadata"].get("creationTimestamp"))
    taints = [f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in spec.get("taints") or ()]
    lines.add("Taints", ", ".join(taints))
    lines.add("Unschedulable", str(bool(spec.get("unschedulable"))).lower())
    if status.get("conditions"):
        lines.heading("Conditions")
        rows = [
            (one["type"], one["status"], one.get("lastTransitionTime"), one.get("reason"), one.get("message"))
            for one in status["conditions"]
        ]
        lines.table(("Type", "Status", "LastTransitionTime", "Reason", "Message"), rows)
    lines.heading("Addresses")
    for address in status.get("addresses") or ():
        lines.add(address["type"], address["address"], 2)
    for label, key in (("Capacity", "capacity"), ("Allocatable", "allocatable")):
        if status.get(key):
            lines.heading(label)
            for name, amount in sorted(status[key].items()):
                lines.add(name, amount, 2)
    if status.get("nodeInfo"):
        lines.heading("System Info")
        for name, text in status["nodeInfo"].items():
            lines.add(name, text, 2)
    lines.add("PodCIDR", spec.get("podCIDR"))
    lines.add("PodCIDRs", ",".join(spec.get("podCIDRs") or ()))
    lines.heading(f"Non-terminated Pods ({len(related.pods)} in total)")
    if related.pods:
        lines.table(("Namespace", "Name", "IP", "Status", "Age"), [_pod(pod) for pod in related.pods])
    lines.events(related.events)
    return lines.text()


def _pod(pod: Object) -> tuple[object, ...]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    return (
        metadata.get("namespace"),
        metadata["name"],
        status.get("podIP"),
        status.get("phase"),
        age(metadata.get("creationTimestamp")),
    )
