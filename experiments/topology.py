"""A resolved Topology document as experiments see it: the only module here that knows the document's fields."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, Final

from experiments.records import Figure
from experiments.underlay_path import DeclaredPath, Underlay, UnderlayLink
from kubinet.errors import InvalidInputError
from kubinet.state import NetworkConfig, Overlay

RACK_LABELS: Final = ("topology.kubernetes.io/rack", "topology.kubernetes.io/zone")
"""Node labels that name a node's rack, the first one present wins; without any, the switch or router it hangs on."""

_QUANTITY: Final = re.compile(r"(?P<number>[0-9.]+)\s*(?P<unit>[a-z%]*)")
_RATES: Final = {"bit": 1e-6, "kbit": 1e-3, "mbit": 1.0, "gbit": 1e3}
_TIMES: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SHARES: Final = {"%": 0.01}


def underlay_of(document: Mapping[str, Any]) -> Underlay:
    """Nodes, racks and links; InvalidInputError when the document is not a resolved Topology."""
    try:
        spec = document["spec"]
        links = tuple(_link(link) for link in spec["links"])
        racks = {str(node["name"]): _rack(node, links) for node in spec["nodes"]}
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"topology: not a resolved Topology document ({error!r})") from error
    return Underlay(racks, links)


def network_of(document: Mapping[str, Any]) -> NetworkConfig:
    """The network section; fields that it lacks have Kubinet's defaults."""
    section = document.get("spec", {}).get("network", {})
    known: dict[str, Any] = {}
    if "overlay" in section:
        known["overlay"] = Overlay(section["overlay"])
    if "podCIDR" in section:
        known["pod_cidr"] = IPv4Network(section["podCIDR"])
    return NetworkConfig(**known)


def picture_of(document: Mapping[str, Any], paths: Sequence[DeclaredPath]) -> Figure | None:
    """The topology drawn with the measured ways on top; None when it cannot be drawn."""
    return None


def _link(link: Mapping[str, Any]) -> UnderlayLink:
    a, b = link["endpoints"]
    rate = link.get("rate")
    return UnderlayLink(
        str(a),
        str(b),
        rate_mbit=None if rate is None else _quantity(rate, _RATES),
        delay_ms=_quantity(link.get("delay", 0), _TIMES),
        jitter_ms=_quantity(link.get("jitter", 0), _TIMES),
        loss=_quantity(link.get("loss", 0), _SHARES),
    )


def _quantity(text: object, units: Mapping[str, float]) -> float:
    if isinstance(text, int | float):
        return float(text)
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match["unit"] not in units:
        raise ValueError(f"{text!r} is not a quantity")
    return float(match["number"]) * units[match["unit"]]


def _rack(node: Mapping[str, Any], links: Sequence[UnderlayLink]) -> str:
    labels = node.get("labels") or {}
    for label in RACK_LABELS:
        if label in labels:
            return str(labels[label])
    name = str(node["name"])
    return next((link.other(name) for link in links if name in (link.a, link.b)), name)
