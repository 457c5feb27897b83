"""A wide-area network from a GraphML file of the Internet Topology Zoo's form: delays from coordinates."""

import math
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import networkx

from kubinet.errors import InvalidInputError
from kubinet.units import format_duration
from topologies.presets.parts import OUTSIDE, RATE, document, link, node

_EARTH_RADIUS = 6_371_008.8
"""Mean radius, metres (IUGG)."""
_FIBRE_SPEED = 299_792_458 * 2 / 3
"""Light in fibre, metres per second."""


def wan(nodes: int = 4, graph: str = "", rate: str = RATE, delay_scale: float = 1.0) -> dict[str, Any]:
    """A router per city, nodes at the cities in turn; one-way delay of a link = great-circle distance over 2/3 c.

    `graph`: a GraphML file whose vertices have `Latitude`, `Longitude` and `label` (default: a small European map of
    ours). `delay_scale` multiplies all delays; 0 leaves them out. Cities without coordinates have links without delay.
    """
    if not 0 <= delay_scale < math.inf:
        raise InvalidInputError(f"preset wan: delay_scale must be a number from 0, not {delay_scale:g}")
    if graph:
        cities = _read(Path(graph))
    else:
        with as_file(files("topologies.presets").joinpath("europe.graphml")) as path:
            cities = _read(path)
    names = {city: f"r{i}" for i, city in enumerate(cities.nodes, start=1)}
    homes = list(names.values())
    where = {i: homes[(i - 1) % len(homes)] for i in range(1, nodes + 1)}
    between = [
        link(names[a], names[b], rate=rate, delay=_delay(graph, cities, a, b, delay_scale))
        for a, b in sorted({(a, b) for a, b, *_ in cities.edges if a != b}, key=str)
    ]
    labels = {names[city]: str(data.get("label", city)) for city, data in cities.nodes(data=True)}
    return document(
        "wan",
        nodes=[node(i, _label(labels[where[i]])) for i in where],
        routers=[{"name": name, "labels": {"kubinet.dev/city": labels[name]}} for name in homes],
        links=[*(link(f"n{i}", where[i], rate=rate) for i in where), *between, link(OUTSIDE, homes[0])],
    )


def _read(path: Path) -> "networkx.Graph[str]":
    try:
        graph = networkx.Graph(networkx.read_graphml(path))
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path}: there is no such GraphML file") from error
    except Exception as error:  # the XML parser and networkx raise many kinds; all mean that the file is no GraphML
        raise InvalidInputError(f"{path}: not a GraphML file: {error}") from error
    if graph.number_of_nodes() == 0:
        raise InvalidInputError(f"{path}: the graph has no vertices")
    return graph


def _delay(path: str, graph: "networkx.Graph[str]", a: str, b: str, scale: float) -> str:
    ends = [_coordinates(path, end, graph.nodes[end]) for end in (a, b)]
    if None in ends:
        return ""
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, end)) for end in ends if end is not None)
    chord = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    seconds = 2 * _EARTH_RADIUS * math.asin(math.sqrt(min(chord, 1.0))) / _FIBRE_SPEED * scale
    return format_duration(round(seconds, 6)) if seconds >= 1e-6 else ""


def _coordinates(path: str, city: str, data: Mapping[str, Any]) -> tuple[float, float] | None:
    """Degrees north and east; None where the file does not say."""
    found = []
    for field, limit in (("Latitude", 90), ("Longitude", 180)):
        if field not in data:
            return None
        try:
            degrees = float(data[field])
        except ValueError:
            degrees = math.nan
        if not -limit <= degrees <= limit:
            label = data.get("label", city)
            raise InvalidInputError(
                f"{path}: vertex {city!r} ({label}): {field} must be degrees from -{limit} to {limit}, "
                f"not {str(data[field])!r}; leave it out where it is not known"
            )
        found.append(degrees)
    return found[0], found[1]


def _label(text: str) -> str:
    """A city's name as a Kubernetes label value."""
    kept = "".join(one if one.isalnum() and one.isascii() else "-" for one in text).strip("-")
    return kept[:63] or "city"
