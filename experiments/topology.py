"""A resolved Topology document as experiments see it: nodes with racks, links, network section."""

from collections.abc import Mapping
from typing import Any, Final

from experiments.underlay_path import Underlay, UnderlayLink
from kubinet.state import NetworkConfig
from topologies.document import parse_topology, spell
from topologies.model import Link, Topology, Vertex

RACK_LABELS: Final = ("topology.kubernetes.io/rack", "topology.kubernetes.io/zone")
"""Node labels that name a node's rack, the first one present wins; without any, the switch or router it hangs on."""


def underlay_of(document: Mapping[str, Any]) -> Underlay:
    """Nodes, racks and links; InvalidInputError when the document is not a resolved Topology."""
    topology = _parsed(document)
    racks = {node.name: _rack(node, topology) for node in topology.nodes}
    return Underlay(racks, tuple(_link(link) for link in topology.links))


def network_of(document: Mapping[str, Any]) -> NetworkConfig:
    """The network section."""
    return _parsed(document).network


def _parsed(document: Mapping[str, Any]) -> Topology:
    return parse_topology(document, lambda path: f"topology: {spell(path)}")


def _link(link: Link) -> UnderlayLink:
    return UnderlayLink(
        name=link.name,
        a=link.a,
        b=link.b,
        rate_mbit=None if link.rate is None else link.rate / 1e6,
        delay_ms=link.delay * 1e3,
        jitter_ms=link.jitter * 1e3,
        loss=link.loss,
    )


def _rack(node: Vertex, topology: Topology) -> str:
    for label in RACK_LABELS:
        if label in node.labels:
            return node.labels[label]
    return next((link.other(node.name) for link in topology.links if node.name in (link.a, link.b)), node.name)
