"""How many packets the flows of a walk have counted."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from controller.flow_view import parse_dump
from controller.walk.hops import SwitchHop, Walk
from controller.walk.parse import Step

if TYPE_CHECKING:
    from controller.walk.tracer import Tracer
    from kubinet.cluster import Cluster


class FlowName(NamedTuple):
    """A flow of a node, as both a trace and a dump name it."""

    node: str
    bridge: str
    table: int
    priority: int
    match: frozenset[str]


def name_of(node: str, step: Step) -> FlowName:
    """The flow that a step of a walk has matched."""
    return FlowName(node, step.bridge, step.number, step.priority, _words(step.match))


def bridges_of(walks: Iterable[Walk]) -> set[tuple[str, str]]:
    """Nodes and bridges that the walks pass."""
    hops = (hop for walk in walks for hop in walk.hops if isinstance(hop, SwitchHop))
    return {(hop.node, step.bridge) for hop in hops for step in hop.steps}


def packets(cluster: "Cluster", tracer: "Tracer", bridges: Iterable[tuple[str, str]]) -> Counter[FlowName]:
    """Packets by flow, when the datapath's own counts have been added to the flows'."""
    found: Counter[FlowName] = Counter()
    for node in sorted({node for node, _ in bridges}):
        tracer.trace(node, ["revalidator/wait"])
    for node, bridge in sorted(bridges):
        socket = f"unix:/run/kubinet/nodes/{node}/{bridge}.mgmt"
        text = cluster.run(["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", socket]).text
        for row in parse_dump(text, bridge=bridge):
            found[FlowName(node, bridge, row.number, row.priority, _words(row.match))] += row.packets
    return found


def _words(match: str) -> frozenset[str]:
    return frozenset(word for word in match.split(",") if word)
