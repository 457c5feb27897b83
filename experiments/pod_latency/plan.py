"""Which nodes are compared and in which order: pure functions of topology and seed."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experiments.stats import derived_seed
from experiments.underlay_path import Underlay
from kubinet.errors import InvalidInputError

PATHS: Final = ("same node", "same rack", "other rack")
WIRE: Final = "wire"
BARE: Final = "bare"
POD: Final = "pod"
NETWORKS: Final = (WIRE, BARE, POD)
MEANINGS: Final[Mapping[str, str]] = {
    WIRE: "a twin of the underlay's way (the same links and routers) between plain hosts, without any Open vSwitch",
    BARE: "node to node on the underlay's addresses: the nodes' own stacks behind their Open vSwitch (br-phy's tap)",
    POD: "pod to pod over the overlay: the nodes' Open vSwitch, but not the nodes' own stacks",
}
RTT: Final = "rtt"
THROUGHPUT: Final = "throughput"
CLIENT: Final = "client"

_MANIFESTS: Final = Path(__file__).with_name("manifests.yaml")
_PLACE: Final = re.compile(r"\$\{([a-z-]+)\}")


@dataclass(frozen=True, slots=True)
class Placement:
    """One way through the network: the client's node and the server's."""

    path: str
    source: str
    target: str

    @property
    def server_pod(self) -> str:
        """The name of the server pod in manifests.yaml."""
        return self.path.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One measurement to make."""

    placement: Placement
    network: str
    metric: str

    def __str__(self) -> str:
        return f"{self.placement.path}, {self.network}, {self.metric}"


def placements(underlay: Underlay, seed: int) -> tuple[tuple[Placement, ...], tuple[str, ...]]:
    """The ways to compare from one client node, and a note for each way that the topology does not have.

    The client's node is drawn among those with most kinds of neighbours. InvalidInputError below two nodes.
    """
    if len(underlay.nodes) < 2:
        raise InvalidInputError(
            f"pod_latency: the topology has {len(underlay.nodes)} node(s); it compares two, so add --nodes 2 or more"
        )
    generator = random.Random(derived_seed(seed, "pod_latency placements"))  # noqa: S311 - a design, not a secret
    targets: dict[str, dict[str, list[str]]] = {node: {PATHS[0]: [node]} for node in underlay.nodes}
    for path, same_rack in ((PATHS[1], True), (PATHS[2], False)):
        for source, target in underlay.pairs(same_rack=same_rack):
            targets[source].setdefault(path, []).append(target)
    most = max(len(ways) for ways in targets.values())
    client = generator.choice([node for node, ways in targets.items() if len(ways) == most])
    chosen = tuple(
        Placement(path, client, generator.choice(targets[client][path])) for path in PATHS if path in targets[client]
    )
    notes = tuple(
        f"row '{path}' is left out: on this topology no two different nodes "
        + ("share a rack" if path == PATHS[1] else "are in different racks")
        for path in PATHS
        if path not in targets[client]
    )
    return chosen, notes


def run_order(ways: Sequence[Placement], seed: int) -> tuple[PlannedCell, ...]:
    """Every measurement of one run, in an order drawn from its seed.

    Within one node there is no underlay to compare with, so that way is measured between pods only.
    """
    generator = random.Random(derived_seed(seed, "pod_latency order"))  # noqa: S311 - a design, not a secret
    order = [
        PlannedCell(way, network, metric)
        for way in ways
        for network in NETWORKS
        for metric in (RTT, THROUGHPUT)
        if network == POD or way.source != way.target
    ]
    generator.shuffle(order)
    return tuple(order)


def manifests(ways: Sequence[Placement]) -> str:
    """manifests.yaml with the chosen nodes; documents of ways that do not exist are left out."""
    nodes: Mapping[str, str] = {CLIENT: ways[0].source, **{way.server_pod: way.target for way in ways}}
    documents = []
    for document in _MANIFESTS.read_text(encoding="utf-8").split("\n---\n"):
        places = set(_PLACE.findall(document))
        if places <= nodes.keys():
            documents.append(_PLACE.sub(lambda match: nodes[match[1]], document))
    return "\n---\n".join(documents)
