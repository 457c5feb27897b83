"""Where the vertices of a topology lie in a picture: pure geometry.

Fabrics are drawn in layers with the nodes at the bottom, rings and meshes as a circle with their nodes around it.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx

from topologies.model import Role, Topology

Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions in units of one box's width, and what kind of picture it is."""

    positions: Mapping[str, Position]
    layered: bool
    layers: Mapping[str, int]
    """0 for hosts, 1 for what they hang on, …"""


def lay_out(topology: Topology) -> Layout:
    """The positions of all vertices."""
    graph = networkx.Graph()
    graph.add_nodes_from(vertex.name for vertex in topology.vertices)
    graph.add_edges_from((link.a, link.b) for link in topology.links)
    hosts = {vertex.name for vertex in topology.vertices if vertex.role in (Role.NODE, Role.OUTSIDE)}
    devices = [vertex.name for vertex in topology.vertices if vertex.name not in hosts]
    inner = graph.subgraph(devices)
    layers = _layers(topology, graph)
    stacked = all(abs(layers[a] - layers[b]) == 1 for a, b in inner.edges)
    if stacked:
        return Layout(_in_layers(topology, graph, layers), True, layers)
    if networkx.is_forest(inner):
        flat = {name: 1 if name in inner else 0 for name in graph}
        return Layout(_in_layers(topology, graph, flat), True, flat)
    return Layout(_around(graph, devices, hosts), False, {name: int(name in inner) for name in graph})


def _layers(topology: Topology, graph: "networkx.Graph[str]") -> dict[str, int]:
    """Links to the nearest node; outside hosts lie one above what they hang on, or beside the nodes."""
    layers = {node.name: 0 for node in topology.nodes}
    outside = {host.name for host in topology.of(Role.OUTSIDE)}
    waiting = deque(layers)
    while waiting:
        here = waiting.popleft()
        for other in graph[here]:
            if other not in layers and other not in outside:
                layers[other] = layers[here] + 1
                waiting.append(other)
    for host in outside:
        above = max((layers.get(other, 0) for other in graph[host]), default=0)
        layers[host] = 0 if above <= 1 else above + 1
    return layers


def _in_layers(topology: Topology, graph: "networkx.Graph[str]", layers: Mapping[str, int]) -> dict[str, Position]:
    order = {vertex.name: index for index, vertex in enumerate(topology.vertices)}
    rows = [
        sorted((n for n in graph if layers[n] == row), key=order.__getitem__) for row in range(max(layers.values()) + 1)
    ]
    # Hosts of one device lie side by side, in the order of the devices.
    device_of = {host: min(graph[host], key=order.__getitem__, default=host) for host in rows[0]}
    bottom = sorted(rows[0], key=lambda host: (order[device_of[host]], order[host]))
    level = any(layers[a] == layers[b] for a, b in graph.edges)
    gap = 2.3 if level else 1.6  # links between devices of one layer have their labels in the gap
    x: dict[str, float] = {}
    place, last = 0.0, ""
    for host in bottom:
        place += 0.0 if not x else 1.15 if device_of[host] == last else gap
        x[host], last = place, device_of[host]
    height = 1.5 + 0.06 * place
    for number, row in enumerate(rows[1:], start=1):
        wanted = {
            name: _mean([x[other] for other in graph[name] if other in x and layers[other] < number]) for name in row
        }
        x |= _spread(row, wanted, width=place)
    return {name: (x[name], layers[name] * height) for name in graph}


def _spread(row: Sequence[str], wanted: Mapping[str, float], *, width: float) -> dict[str, float]:
    """Places in a row: at the middle of what hangs below, never closer than 1.3; evenly where all want the same."""
    ordered = sorted(row, key=lambda name: (wanted[name], row.index(name)))
    if len(row) > 1 and wanted[ordered[-1]] - wanted[ordered[0]] < width / 4:
        step = max(1.5, width / (len(row) + 1))
        start = width / 2 - step * (len(row) - 1) / 2
        return {name: start + step * index for index, name in enumerate(ordered)}
    places: dict[str, float] = {}
    previous = -math.inf
    for name in ordered:
        previous = max(wanted[name], previous + 1.3)
        places[name] = previous
    shift = _mean([wanted[name] - places[name] for name in ordered])
    return {name: place + shift for name, place in places.items()}


def _around(graph: "networkx.Graph[str]", devices: Sequence[str], hosts: set[str]) -> dict[str, Position]:
    """Devices on a circle in an order that crosses few links, each one's hosts outside of it."""
    circle = _ring_order(graph, devices)
    widest = max((sum(other in hosts for other in graph[device]) for device in circle), default=1)
    radius = max(1.6, len(circle) * max(1.5, 1.2 * widest) / (2 * math.pi))
    positions: dict[str, Position] = {}
    for index, device in enumerate(circle):
        angle = math.pi / 2 - 2 * math.pi * index / len(circle)
        positions[device] = (1.25 * radius * math.cos(angle), radius * math.sin(angle))
        own = [other for other in graph[device] if other in hosts]
        for place, host in enumerate(own):
            turn = angle - (place - (len(own) - 1) / 2) * 1.25 / (radius + 1.7)
            positions[host] = ((1.25 * radius + 2.5) * math.cos(turn), (radius + 1.7) * math.sin(turn))
    return positions


def _ring_order(graph: "networkx.Graph[str]", devices: Sequence[str]) -> list[str]:
    """Devices so that neighbours on the circle are mostly linked: a walk that takes the fewest-linked next one."""
    left = list(devices)
    walk = [left.pop(0)]
    while left:
        near = [name for name in left if name in graph[walk[-1]]]
        chosen = min(near or left, key=lambda name: sum(other in left for other in graph[name]))
        left.remove(chosen)
        walk.append(chosen)
    return walk


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
