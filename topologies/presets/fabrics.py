"""Data centre fabrics: every switch is a router, paths are equal-cost."""

from typing import Any

from kubinet.errors import InvalidInputError
from topologies.presets.parts import OUTSIDE, RATE, document, link, node


def leaf_spine(
    nodes: int = 4, leaves: int = 2, spines: int = 2, rate: str = RATE, fabric_rate: str = "", delay: str = ""
) -> dict[str, Any]:
    """Racks (leaf routers) fully meshed to spine routers; `delay` on the links between them.

    spine1    spine2
     |    \\  /   |
    leaf1 /  \\ leaf2 --- internet
    |   |      |   |
    n1  n2     n3  n4
    """
    if leaves < 1 or spines < 1:
        raise InvalidInputError("preset leaf-spine: leaves and spines must be at least 1")
    rack = {i: f"leaf{(i - 1) * leaves // nodes + 1}" for i in range(1, nodes + 1)}
    mesh = [(f"leaf{x}", f"spine{y}") for x in range(1, leaves + 1) for y in range(1, spines + 1)]
    return document(
        "leaf-spine",
        nodes=[node(i, rack[i]) for i in rack],
        routers=[{"name": f"spine{y}"} for y in range(1, spines + 1)]
        + [{"name": f"leaf{x}"} for x in range(1, leaves + 1)],
        links=[link(f"n{i}", rack[i], rate=rate) for i in rack]
        + [link(a, b, rate=fabric_rate or rate, delay=delay) for a, b in mesh]
        + [link(OUTSIDE, f"leaf{leaves}")],
    )


def fat_tree(nodes: int = 0, k: int = 4, rate: str = RATE, delay: str = "") -> dict[str, Any]:
    """A k-ary fat tree (Al-Fares, Loukissas, Vahdat, SIGCOMM 2008): k pods of k/2 edge and k/2 aggregation routers.

    (k/2)^2 core routers; at most k^3/4 nodes (default: all), spread over the fabric's pods. Outside host: at core c1.
    """
    if k < 2 or k % 2:
        raise InvalidInputError(f"preset fat-tree: k={k} must be an even number of at least 2")
    half, room = k // 2, k**3 // 4
    nodes = nodes or room
    if nodes > room:
        raise InvalidInputError(f"preset fat-tree: k={k} has room for {room} nodes, not {nodes}; use a larger k")
    edges = [f"e{pod}x{x}" for x in range(half) for pod in range(k)]
    # Nodes go to one pod of the fabric after the other, so that few nodes are already far apart.
    home = {i: edges[(i - 1) % len(edges)] for i in range(1, nodes + 1)}
    uplinks = [(f"e{pod}x{x}", f"a{pod}x{y}") for pod in range(k) for x in range(half) for y in range(half)]
    core = [(f"a{pod}x{y}", f"c{y * half + z + 1}") for pod in range(k) for y in range(half) for z in range(half)]
    return document(
        "fat-tree",
        nodes=[node(i, home[i]) for i in home],
        routers=[{"name": f"c{i}"} for i in range(1, half * half + 1)]
        + [{"name": f"a{pod}x{y}"} for pod in range(k) for y in range(half)]
        + [{"name": name} for name in sorted(edges)],
        links=[link(f"n{i}", home[i], rate=rate) for i in home]
        + [link(a, b, rate=rate, delay=delay) for a, b in [*uplinks, *core]]
        + [link(OUTSIDE, "c1")],
    )
