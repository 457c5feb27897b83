"""Pieces that presets share."""

from typing import Any

ZONE = "topology.kubernetes.io/zone"
OUTSIDE = "internet"
"""The name of a preset's outside host."""
RATE = "100mbit"
"""The presets' default rate: what the userspace datapath carries with room to spare on two cores."""


def node(index: int, zone: str | None = None) -> dict[str, Any]:
    """Node n1, n2, …, with its zone (rack, site) as Kubernetes' own label."""
    return {"name": f"n{index}"} | ({"labels": {ZONE: zone}} if zone else {})


def link(a: str, b: str, **quantities: str | None) -> dict[str, Any]:
    """A link; quantities that are None or empty are left out."""
    return {"endpoints": [a, b]} | {name: value for name, value in quantities.items() if value}


def document(name: str, **spec: list[dict[str, Any]]) -> dict[str, Any]:
    """A Topology document with one outside host."""
    outside = [{"name": OUTSIDE}]
    return {
        "apiVersion": "kubinet.dev/v1",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"network": {}, **spec, "outside": outside},
    }
