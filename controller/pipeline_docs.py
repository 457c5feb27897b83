"""Writes docs/pipeline.md from the pipeline's page: `python -m controller.pipeline_docs [FILE]`."""

import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

from controller import compile as compiler
from controller.openflow.flow import Category
from controller.pipeline import BRIDGES, CONTROLLER_METER, DENIED_METER, TABLES, Priority, Table, table_named
from controller.registers import CT_BITS, REGISTERS, SNAT_PORTS, Place, Zone
from kubinet.state import ClusterState, NetworkConfig, Node, Overlay, Pod

PAGE: Final = Path(__file__).parents[1] / "docs" / "pipeline.md"


def example(overlay: Overlay) -> ClusterState:
    """Two nodes and two pods, as shown on the page."""
    nodes = {
        name: Node(
            name=name,
            index=index,
            underlay=IPv4Interface(f"172.18.{index}.2/24"),
            underlay_mac=f"02:00:00:00:00:0{index}",
            pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
            gateway=IPv4Address(f"172.18.{index}.1"),
            gateway_mac=f"02:ff:00:00:00:0{index}",
        )
        for index, name in ((1, "n1"), (2, "n2"))
    }
    pods = {
        f"default/{name}": Pod("default", name, node, IPv4Address(address))
        for name, node, address in (("a", "n1", "10.244.1.2"), ("b", "n2", "10.244.2.2"))
    }
    return ClusterState(NetworkConfig(overlay=overlay), nodes, pods)


def page() -> str:
    """The whole document."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# The OpenFlow pipeline",
        "",
        "Written by `python -m controller.pipeline_docs` from `controller/pipeline.py`; a test compares. Do not edit.",
        "",
        "Every flow is a pure function of the cluster's state (`controller/features/`), has an owner (a Kubernetes",
        "object) and is sent in an atomic bundle. `kubinet flows NODE` shows them with table names and owners.",
    )
    for bridge in BRIDGES:
        yield from (
            "",
            f"## {bridge}",
            "",
            "| table | name | matches | next | does |",
            "| --- | --- | --- | --- | --- |",
        )
        yield from (_table_row(table) for table in TABLES if table.bridge == bridge)
    yield from ("", "## Registers", "", "| name | bits |", "| --- | --- |")
    yield from (f"| {name} | `{bits}` |" for name, bits in REGISTERS.items())
    yield from ("", "## Marks of connections", "", "| name | bits |", "| --- | --- |")
    yield from (f"| {name} | `{bits}` |" for name, bits in CT_BITS.items())
    places = ", ".join(f"{place.value} {place.name.lower()}" for place in Place)
    yield from ("", f"SOURCE, DESTINATION and CT_SOURCE hold a place: {places}.", "", "## Priorities", "")
    yield ", ".join(f"{priority.name} {priority.value}" for priority in Priority) + "."
    yield from ("", "## Connection tracking", "")
    yield "Zones, the same on every node: " + ", ".join(f"{zone.value} {zone.name}" for zone in Zone) + "."
    first, last = SNAT_PORTS
    yield f"Sources are translated to ports {first} to {last}."
    yield from ("", "## Meters", "")
    yield f"{DENIED_METER.id}: copies of denied packets that the controller gets while `kubinet policy log` runs,"
    yield f"{DENIED_METER.rate} a second and {DENIED_METER.burst} at once on each node. Flows above those of PolicyDeny"
    yield "make them (LOG is added to the priority); while nobody logs there are none."
    yield ""
    yield "controller (OFPM_CONTROLLER): first packets of connections that the controller chooses an endpoint for,"
    yield f"{CONTROLLER_METER.rate} a second and {CONTROLLER_METER.burst} at once on each node. No flow names it."
    categories = ", ".join(f"{category.value} {category.name.lower()}" for category in Category)
    yield from (
        "",
        "## Cookies",
        "",
        "`generation:16 | category:8 | flags:8 | object:32`. The generation grows whenever a bridge is programmed",
        "anew, and tells stale flows from present ones; no flow that Kubinet manages has the top bit. The object is",
        "the first 32 bits of the SHA-256 of the owner's name (`Pod/default/a`).",
        f"Categories: {categories}.",
    )
    for overlay in Overlay:
        yield from ("", f"## Example: node n1 of two, overlay {overlay}", "")
        yield from _example(overlay)


def _table_row(table: Table) -> str:
    matches = ", ".join(sorted(f"`{field.name}`" for field in table.matches))
    gotos = ", ".join(sorted(table.gotos, key=lambda name: table_named(name).number))
    return f"| {table.number} | {table.name} | {matches} | {gotos} | {table.purpose} |"


def _example(overlay: Overlay) -> Iterator[str]:
    state = example(overlay)
    shown = {bridge: program.table() for bridge, program in compiler.programs(state, state.nodes["n1"]).items()}
    plain = example(Overlay.VXLAN)
    known = {bridge: program.table() for bridge, program in compiler.programs(plain, plain.nodes["n1"]).items()}
    if overlay is not Overlay.VXLAN:
        yield from ("Only what differs from VXLAN:", "")
    yield "```"
    for bridge in BRIDGES:
        for key, flow in sorted(shown[bridge].items(), key=lambda item: (item[0].table, -item[0].priority)):
            if overlay is Overlay.VXLAN or known[bridge].get(key) != flow:
                yield f"{bridge} {flow.to_text()}  # {flow.owner}"
    yield "```"


def main() -> None:
    """Write the page."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page())


if __name__ == "__main__":
    main()
