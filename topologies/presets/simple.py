"""Small shapes: one node, a star, a line, a ring, a dumbbell."""

from typing import Any

from topologies.presets.parts import OUTSIDE, RATE, document, link, node


def single(nodes: int = 1, rate: str = RATE) -> dict[str, Any]:
    """One node and the outside host behind a switch.

    n1 --- s1 --- internet
    """
    return star(nodes, rate) | {"metadata": {"name": "single"}}


def star(nodes: int = 3, rate: str = RATE, delay: str = "") -> dict[str, Any]:
    """All nodes and the outside host on one switch.

    n1 --- s1 --- n2 …     (s1 --- internet)
    """
    links = [link(f"n{i}", "s1", rate=rate, delay=delay) for i in range(1, nodes + 1)]
    return document(
        "star",
        nodes=[node(i) for i in range(1, nodes + 1)],
        switches=[{"name": "s1"}],
        links=[*links, link(OUTSIDE, "s1")],
    )


def linear(nodes: int = 3, rate: str = RATE, delay: str = "") -> dict[str, Any]:
    """A line of switches with a node at each; `delay` on the links between switches.

    n1     n2     n3
    |      |      |
    s1 --- s2 --- s3 --- internet
    """
    count = range(1, nodes + 1)
    return document(
        "linear",
        nodes=[node(i) for i in count],
        switches=[{"name": f"s{i}"} for i in count],
        links=[link(f"n{i}", f"s{i}", rate=rate) for i in count]
        + [link(f"s{i}", f"s{i + 1}", rate=rate, delay=delay) for i in count[:-1]]
        + [link(OUTSIDE, f"s{nodes}")],
    )


def ring(nodes: int = 4, rate: str = RATE, delay: str = "") -> dict[str, Any]:
    """A ring of routers with a node at each; traffic takes the shorter way, both ways where they are equal.

    n1 --- r1 --- r2 --- n2
           |      |
    n4 --- r4 --- r3 --- n3     (internet at r1)
    """
    count = range(1, nodes + 1)
    # Two routers make one link, not two parallel ones; one makes none.
    around = [(i, i % nodes + 1) for i in count if nodes > 2 or (nodes == 2 and i == 1)]
    return document(
        "ring",
        nodes=[node(i, f"r{i}") for i in count],
        routers=[{"name": f"r{i}"} for i in count],
        links=[link(f"n{i}", f"r{i}", rate=rate) for i in count]
        + [link(f"r{a}", f"r{b}", rate=rate, delay=delay) for a, b in around]
        + [link(OUTSIDE, "r1")],
    )


def dumbbell(nodes: int = 4, rate: str = RATE, bottleneck: str = "50mbit", delay: str = "") -> dict[str, Any]:
    """Half of the nodes on each side of one narrow link.

    n1, n2 --- s1 ---(bottleneck)--- s2 --- n3, n4, internet
    """
    count = range(1, nodes + 1)
    side = {i: "s1" if i <= (nodes + 1) // 2 else "s2" for i in count}
    return document(
        "dumbbell",
        nodes=[node(i, side[i]) for i in count],
        switches=[{"name": "s1"}, {"name": "s2"}],
        links=[link(f"n{i}", side[i], rate=rate) for i in count]
        + [link("s1", "s2", rate=bottleneck, delay=delay), link(OUTSIDE, "s2")],
    )
