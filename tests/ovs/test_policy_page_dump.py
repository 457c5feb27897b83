"""docs/policy.md shows what Open vSwitch holds: its example's flows, installed and dumped."""

import re

import pytest
from private_ovs import OpenVSwitch

from controller import policy_docs

pytestmark = pytest.mark.ovs


def canonical(line: str) -> tuple[frozenset[str], str]:
    """A flow's match without order, and its actions; Open vSwitch says tp_dst, and masked ports in hexadecimal."""
    match, _, actions = re.sub(r"^\s*(cookie=\S+, )?", "", line).replace(", ", ",").partition(" actions=")
    ports = re.sub(r"tp_dst=(0x[0-9a-f]+)/", lambda found: f"tp_dst={int(found[1], 16)}/", match)
    return frozenset(ports.replace("tcp_dst=", "tp_dst=").split(",")), actions


def test_the_pages_flows_are_what_the_bridge_dumps(ovs: OpenVSwitch) -> None:
    """Every flow of the example's listing is in the dump of n1's br-int, and nothing else is."""
    text = policy_docs.PAGE.read_text()
    shown = {canonical(line.partition("  #")[0]) for line in text.splitlines() if line.startswith("table=")}
    ovs.add_node(1, [])
    ovs.ofctl("add-flows", "br-int", "-", stdin="\n".join(flow.to_text() for flow in policy_docs.example_flows("n1")))
    assert {canonical(line) for line in ovs.dump("br-int")} == shown
    assert len(shown) == 12
