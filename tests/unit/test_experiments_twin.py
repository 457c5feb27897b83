"""The underlay's way between two nodes as a topology of its own."""

from experiments.twin import twin_topology
from topologies.document import to_document
from topologies.model import Role
from topologies.resolve import load_topology


def test_a_twin_has_the_way_and_nothing_else() -> None:
    """From n1 to n2 of a leaf-spine of four nodes: both as plain hosts, their leaves, one spine, four links."""
    whole = load_topology("leaf-spine", {"nodes": 4, "spines": 2, "rate": "50mbit"})
    racks = {link.a: link.b for link in whole.links if link.a in ("n1", "n2")}
    twin = twin_topology(to_document(whole), "n1", "n2")
    roles = {vertex.name: vertex.role for vertex in twin.vertices}
    assert {name for name, role in roles.items() if role is Role.OUTSIDE} == {"n1", "n2"}
    assert {name for name, role in roles.items() if role is Role.ROUTER} >= set(racks.values())
    assert len(twin.links) == (2 if len(set(racks.values())) == 1 else 4)
    assert {link.rate for link in twin.links if link.a in racks} == {50e6}
    assert twin.nodes == ()
