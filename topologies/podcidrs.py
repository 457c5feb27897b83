"""Which pod CIDR each node has: a pure function of the topology."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from topologies.model import PlanError, Topology


def choose_pod_cidrs(topology: Topology) -> dict[str, IPv4Network]:
    """Chosen pod CIDRs as they are, the others in the nodes' order from what is left; PlanError where one misfits."""
    network = topology.network
    chosen: dict[str, IPv4Network] = {}
    for index, node in enumerate(topology.nodes):
        if node.pod_cidr is None:
            continue
        problem = _problem(node.pod_cidr, network.pod_cidr, chosen)
        if problem:
            raise PlanError(
                ("spec", "nodes", index, "podCIDR"), f"node '{node.name}': podCIDR {node.pod_cidr} {problem}"
            )
        chosen[node.name] = node.pod_cidr
    free = _free(network.pod_cidr, network.node_prefix_length, chosen)
    try:
        return {node.name: chosen.get(node.name) or next(free) for node in topology.nodes}
    except StopIteration as error:
        raise PlanError(
            ("spec", "network", "podCIDR"),
            f"network: podCIDR {network.pod_cidr} has no /{network.node_prefix_length} left for every node beside the "
            "nodes' own podCIDRs; widen it",
        ) from error


def _problem(asked: IPv4Network, whole: IPv4Network, chosen: Mapping[str, IPv4Network]) -> str:
    if not asked.subnet_of(whole):
        return f"is outside network.podCIDR {whole}; choose a part of it"
    other = next((name for name, taken in chosen.items() if asked.overlaps(taken)), None)
    return f"overlaps {chosen[other]} of node '{other}'; choose separate ones" if other is not None else ""


def _free(whole: IPv4Network, size: int, chosen: Mapping[str, IPv4Network]) -> Iterator[IPv4Network]:
    subnets = whole.subnets(new_prefix=size)
    return (one for one in subnets if not any(one.overlaps(taken) for taken in chosen.values()))
