"""Topology documents: checked against the JSON Schema and turned into `topologies.model.Topology`, and back.

Errors name file, line, field and remedy.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any, TypeVar

from kubinet.documents import Path, Where, check_document, spell
from kubinet.errors import InvalidInputError
from kubinet.facts import network_from_document, network_to_document
from kubinet.state import NetworkConfig
from kubinet.units import (
    format_duration,
    format_percent,
    format_rate,
    parse_duration,
    parse_percent,
    parse_queue,
    parse_rate,
)
from topologies.model import SECTIONS, Link, Topology, Vertex

__all__ = ["parse_topology", "schema", "spell", "to_document"]

_Value = TypeVar("_Value")


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of Topology files."""
    text = files("topologies").joinpath("schema/topology.schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def parse_topology(document: Mapping[str, Any], where: Where) -> Topology:
    """The topology that a document declares; InvalidInputError for what it may not say."""
    check_document(document, schema(), where)
    spec = document["spec"]
    section = spec.get("network", {})
    return Topology(
        name=document["metadata"]["name"],
        network=_network(section, where),
        datapath_requested=section.get("datapath", "auto"),
        vertices=tuple(_vertices(spec, where)),
        links=tuple(_links(spec, where)),
    )


def to_document(topology: Topology) -> dict[str, Any]:
    """The resolved document: every default filled in; `parse_topology` reads it back to an equal value."""
    spec: dict[str, Any] = {
        "network": {**network_to_document(topology.network), "datapath": topology.datapath_requested},
    }
    for role, name in SECTIONS.items():
        spec[name] = [_vertex_document(vertex) for vertex in topology.of(role)]
    spec["links"] = [_link_document(link) for link in topology.links]
    return {
        "apiVersion": "kubinet.dev/v1",
        "kind": "Topology",
        "metadata": {"name": topology.name},
        "spec": spec,
    }


def _vertex_document(vertex: Vertex) -> dict[str, Any]:
    document: dict[str, Any] = {"name": vertex.name}
    if vertex.labels:
        document["labels"] = dict(vertex.labels)
    if vertex.pod_cidr is not None:
        document["podCIDR"] = str(vertex.pod_cidr)
    if vertex.dns is not None:
        document["dns"] = {name: list(map(str, addresses)) for name, addresses in vertex.dns.items()}
    return document


def _link_document(link: Link) -> dict[str, Any]:
    document: dict[str, Any] = {"name": link.name, "endpoints": [link.a, link.b]}
    if link.rate is not None:
        document["rate"] = format_rate(link.rate)
    for name in ("delay", "jitter"):
        if getattr(link, name):
            document[name] = format_duration(getattr(link, name))
    if link.loss:
        document["loss"] = format_percent(link.loss)
    if link.queue is not None:
        document["queue"] = str(link.queue)
    if link.mtu is not None:
        document["mtu"] = link.mtu
    return document


def _network(section: Mapping[str, Any], where: Where) -> NetworkConfig:
    for name in (name for name in section if name.endswith("CIDR")):
        _read(section, name, _cidr, None, ["spec", "network", name], where)
    return network_from_document(section)


def _vertices(spec: Mapping[str, Any], where: Where) -> list[Vertex]:
    found = []
    for role, section in SECTIONS.items():
        for index, entry in enumerate(spec.get(section, ())):
            path: list[str | int] = ["spec", section, index, "podCIDR"]
            pod_cidr = _read(entry, "podCIDR", _cidr, None, path, where)
            dns = _dns(entry, ["spec", section, index, "dns"], where)
            found.append(Vertex(entry["name"], role, entry.get("labels", {}), pod_cidr, dns))
    return found


def _cidr(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError) as error:
        raise ValueError(f"'{text}' is no IPv4 network such as 10.244.0.0/16: {error}") from error


def _dns(entry: Mapping[str, Any], path: Path, where: Where) -> Mapping[str, tuple[IPv4Address, ...]] | None:
    if "dns" not in entry:
        return None
    given = {name: [value] if isinstance(value, str) else value for name, value in entry["dns"].items()}

    def addresses(values: Sequence[str]) -> tuple[IPv4Address, ...]:
        return tuple(map(IPv4Address, values))

    return {name: _read(given, name, addresses, (), [*path, name], where) for name in given}


def _links(spec: Mapping[str, Any], where: Where) -> list[Link]:
    section = spec.get("defaults", {}).get("link", {})
    defaults = _quantities(Link("", "", ""), section, ["spec", "defaults", "link"], where)
    return [_link(index, entry, defaults, where) for index, entry in enumerate(spec.get("links", ()))]


def _link(index: int, entry: Mapping[str, Any], defaults: Link, where: Where) -> Link:
    a, b = entry["endpoints"]
    named = replace(defaults, name=entry.get("name") or f"{a}-{b}", a=a, b=b, own=frozenset(entry))
    return _quantities(named, entry, ["spec", "links", index], where)


def _quantities(link: Link, section: Mapping[str, Any], path: Path, where: Where) -> Link:
    """The link with what the section says of its quantities."""

    def read(field: str, parse: Callable[[Any], _Value], default: _Value) -> _Value:
        return _read(section, field, parse, default, [*path, field], where)

    return replace(
        link,
        rate=read("rate", parse_rate, link.rate),
        delay=read("delay", parse_duration, link.delay),
        jitter=read("jitter", parse_duration, link.jitter),
        loss=read("loss", parse_percent, link.loss),
        queue=read("queue", parse_queue, link.queue),
        mtu=section.get("mtu", link.mtu),
    )


def _read(
    section: Mapping[str, Any], name: str, parse: Callable[[Any], _Value], default: _Value, path: Path, where: Where
) -> _Value:
    if name not in section:
        return default
    try:
        return parse(section[name])
    except ValueError as error:
        raise InvalidInputError(f"{where(path)}: {error}") from error
