"""PolicyTest documents: expectations that users write, read and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from kubinet.documents import Path, Where, check_document
from kubinet.errors import InvalidInputError
from kubinet.reach.choices import Behind, Choice, parse_choice
from kubinet.reach.portwords import Ports, parse_ports
from kubinet.reach.routes import Verdict


@dataclass(frozen=True, slots=True)
class Named:
    """A choice with the words that it was written in."""

    words: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Expectation:
    """Who may, or may not, reach whom on what."""

    name: str
    sources: tuple[Named, ...]
    destinations: tuple[Named, ...]
    ports: tuple[Ports, ...]
    expect: Verdict
    """ALLOWED or DENIED."""
    only_sources: bool = False
    """No other pod reaches the destinations."""
    only_destinations: bool = False
    """The sources reach no other pod."""
    policy: str = ""
    """Which policy decides; empty: any."""


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One document."""

    name: str
    expectations: tuple[Expectation, ...]
    manifests: tuple[str, ...] = ()
    """Beside the document's own file."""
    topology: str | None = None
    nodes: int | None = None
    namespace: str = "default"


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of PolicyTest documents."""
    loaded: dict[str, Any] = json.loads(files("kubinet.reach").joinpath("policytest.schema.json").read_text())
    return loaded


def parse_policy_test(document: Mapping[str, Any], where: Where) -> PolicyTest:
    """The test that a document declares; InvalidInputError for what it may not say."""
    check_document(document, schema(), where)
    spec = document["spec"]
    namespace = spec.get("namespace", "default")
    return PolicyTest(
        name=document["metadata"]["name"],
        expectations=tuple(_expectation(spec, index, namespace, where) for index in range(len(spec["expectations"]))),
        manifests=tuple(spec.get("manifests", ())),
        topology=spec.get("topology"),
        nodes=spec.get("nodes"),
        namespace=namespace,
    )


def _expectation(spec: Mapping[str, Any], index: int, namespace: str, where: Where) -> Expectation:
    entry = spec["expectations"][index]
    path: list[str | int] = ["spec", "expectations", index]
    sources = _places(entry, "from", path, namespace, where)
    destinations = _places(entry, "to", path, namespace, where)
    if any(isinstance(one.choice, Behind) for one in sources):
        raise InvalidInputError(f"{where([*path, 'from'])}: a Service sends nothing; name the pods behind it")
    if "ports" in entry:
        ports = _ports(entry["ports"], [*path, "ports"], where)
    elif "ports" in spec:
        ports = _ports(spec["ports"], ["spec", "ports"], where)
    else:
        raise InvalidInputError(f"{where(path)}: names no ports; write ports: [80/TCP], or any for all of them")
    if any(isinstance(one.choice, Behind) for one in destinations) and any(one.wide for one in ports):
        raise InvalidInputError(f"{where(path)}: a Service is asked about single ports: its own, such as 80/TCP")
    expect, only = Verdict(entry["expect"]), entry.get("only")
    if only and expect is not Verdict.ALLOWED:
        raise InvalidInputError(f"{where([*path, 'only'])}: goes with expect: allowed")
    return Expectation(
        name=entry.get("name") or _name(entry, sources, destinations, ports),
        sources=sources,
        destinations=destinations,
        ports=ports,
        expect=expect,
        only_sources=only == "from",
        only_destinations=only == "to",
        policy=entry.get("policy", ""),
    )


def _name(
    entry: Mapping[str, Any], sources: tuple[Named, ...], destinations: tuple[Named, ...], ports: tuple[Ports, ...]
) -> str:
    left, right = (", ".join(one.words for one in side) for side in (sources, destinations))
    return f"{left} > {right} on {', '.join(map(str, ports))} is {entry['expect']}"


def _places(entry: Mapping[str, Any], field: str, path: Path, namespace: str, where: Where) -> tuple[Named, ...]:
    given = entry[field]
    found = []
    for number, text in enumerate([given] if isinstance(given, str) else given):
        here = [*path, field] if isinstance(given, str) else [*path, field, number]
        try:
            found.append(Named(text, parse_choice(text, namespace)))
        except ValueError as error:
            raise InvalidInputError(f"{where(here)}: {error}") from error
    return tuple(found)


def _ports(given: Any, path: Path, where: Where) -> tuple[Ports, ...]:
    listed = given if isinstance(given, list) else [given]
    found = []
    for number, text in enumerate(listed):
        here = [*path, number] if isinstance(given, list) else path
        try:
            found.append(parse_ports(text))
        except ValueError as error:
            raise InvalidInputError(f"{where(here)}: {error}") from error
    return tuple(found)
