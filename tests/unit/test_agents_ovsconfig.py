"""What a node's Open vSwitch shall hold, and the OVSDB operations that bring it there."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from agents.ovsconfig import (
    Bridge,
    Interface,
    add_ports,
    bridge_operations,
    node_bridges,
    pod_interface_row,
    port_problems,
    remove_ports,
    root_operations,
)
from kubinet.state import ClusterFacts, Datapath, NetworkConfig, NodeFacts, Overlay

NODE = NodeFacts(
    name="n3",
    index=3,
    pid=1,
    interface="n3-eth0",
    mac="02:00:00:00:00:03",
    underlay=IPv4Interface("172.18.1.3/24"),
    gateway=None,
    gateway_mac=None,
    management=IPv4Interface("172.30.0.3/16"),
    pod_cidr=IPv4Network("10.244.3.0/24"),
)
FACTS = ClusterFacts("test", NetworkConfig(), IPv4Address("172.30.255.254"), (NODE,))
EMPTY: dict[str, dict[str, Any]] = {
    table: {} for table in ("Open_vSwitch", "Bridge", "Controller", "Port", "Interface")
}


def _facts(**network: Any) -> ClusterFacts:
    return replace(FACTS, network=NetworkConfig(**network))


def _ports(bridge: Bridge) -> dict[str, tuple[str, int | None]]:
    return {interface.name: (interface.kind, interface.port) for interface in bridge.interfaces}


def test_a_node_has_two_bridges_with_the_documented_ports() -> None:
    """br-int holds gateway 2, patch 4 and tunnel 1; br-phy the underlay interface 1 and patch 2."""
    inner, outer = node_bridges(FACTS, NODE)
    assert _ports(inner) == {
        "br-int": ("internal", None),
        "gw0": ("internal", 2),
        "int-to-phy": ("patch", 4),
        "tun0": ("vxlan", 1),
    }
    assert _ports(outer) == {"br-phy": ("internal", None), "n3-eth0": ("", 1), "phy-to-int": ("patch", 2)}
    assert (inner.datapath_id, outer.datapath_id) == (0x100000003, 0x200000003)
    assert (inner.mac, outer.mac) == (None, "02:00:00:00:00:03")
    assert {inner.controller, outer.controller} == {"tcp:172.30.255.254:6653"}


def test_patch_ports_name_each_other() -> None:
    """The two bridges' patch ports are peers of one another."""
    inner, outer = node_bridges(FACTS, NODE)
    patches = {i.name: i.options["peer"] for bridge in (inner, outer) for i in bridge.interfaces if i.kind == "patch"}
    assert patches == {"int-to-phy": "phy-to-int", "phy-to-int": "int-to-phy"}


@pytest.mark.parametrize(
    ("overlay", "tunnel", "mtu"),
    [(Overlay.VXLAN, ("vxlan", 1), 1450), (Overlay.GENEVE, ("geneve", 1), 1450), (Overlay.DIRECT, None, 1500)],
)
def test_the_overlay_decides_tunnel_and_mtu(overlay: Overlay, tunnel: tuple[str, int] | None, mtu: int) -> None:
    """VXLAN and Geneve have a tunnel port and 50 bytes less for pods; without encapsulation there is neither."""
    inner, _ = node_bridges(_facts(overlay=overlay), NODE)
    assert _ports(inner).get("tun0") == tunnel
    gateway = next(interface for interface in inner.interfaces if interface.name == "gw0")
    assert (gateway.mtu, gateway.mac) == (mtu, "0a:58:0a:f4:03:01")


@pytest.mark.parametrize(
    ("datapath", "bridge_type", "underlay_type"),
    [(Datapath.NETDEV, "netdev", ""), (Datapath.AFXDP, "netdev", "afxdp"), (Datapath.SYSTEM, "system", "")],
)
def test_the_datapath_decides_the_types_of_bridges_and_devices(
    datapath: Datapath, bridge_type: str, underlay_type: str
) -> None:
    """AF_XDP is the userspace datapath with ports of its own type; the kernel's datapath is `system`."""
    _, outer = node_bridges(_facts(datapath=datapath), NODE)
    assert outer.columns()["datapath_type"] == bridge_type
    assert _ports(outer)["n3-eth0"] == (underlay_type, 1)


def test_bridges_drop_everything_until_the_controller_has_spoken() -> None:
    """Fail mode secure, both OpenFlow versions, no in-band flows, the given datapath id and MAC address."""
    _, outer = node_bridges(FACTS, NODE)
    assert outer.columns() == {
        "datapath_type": "netdev",
        "fail_mode": "secure",
        "protocols": ["set", ["OpenFlow13", "OpenFlow15"]],
        "other_config": [
            "map",
            [["datapath-id", "0000000200000003"], ["disable-in-band", "true"], ["hwaddr", "02:00:00:00:00:03"]],
        ],
    }


def test_a_pods_port_says_whose_it_is() -> None:
    """The port's external ids hold the pod's uid, its MAC address and its address."""
    row = pod_interface_row("p-0123456789", 105, Datapath.NETDEV, "uid-1", IPv4Address("10.244.3.5"))
    assert row.columns() == {
        "type": "",
        "options": ["map", []],
        "external_ids": [
            "map",
            [["attached-mac", "0a:58:0a:f4:03:05"], ["iface-id", "uid-1"], ["kubinet-address", "10.244.3.5"]],
        ],
        "ofport_request": 105,
    }


def test_an_empty_database_gets_both_bridges_in_one_transaction() -> None:
    """Every row that is referred to by a uuid-name is inserted in the same transaction."""
    operations = root_operations(EMPTY) + bridge_operations(node_bridges(FACTS, NODE), EMPTY)
    inserted = [(op["table"], op["row"].get("name")) for op in operations if op["op"] == "insert"]
    assert inserted.count(("Open_vSwitch", None)) == 1
    assert {name for table, name in inserted if table == "Bridge"} == {"br-int", "br-phy"}
    assert {name for table, name in inserted if table == "Port"} == {
        *("br-int", "gw0", "int-to-phy", "tun0", "br-phy", "n3-eth0", "phy-to-int"),
    }
    symbols = [op["uuid-name"] for op in operations if "uuid-name" in op]
    assert len(symbols) == len(set(symbols))
    assert set(_references(operations)) <= set(symbols)
    assert all(symbol.replace("_", "").isalnum() for symbol in symbols)


def _references(value: Any) -> list[str]:
    if isinstance(value, list) and len(value) == 2 and value[0] == "named-uuid":
        return [value[1]]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for child in children for found in _references(child)]


def _rows(*ports: str) -> dict[str, dict[str, Any]]:
    """A database with br-int and these ports."""
    return EMPTY | {
        "Open_vSwitch": {"root": {"cur_cfg": 1, "next_cfg": 1}},
        "Bridge": {"b1": {"name": "br-int", "ports": ["set", []], "controller": ["uuid", "c1"]}},
        "Controller": {"c1": {"target": "tcp:172.30.255.254:6653"}},
        "Port": {f"port-{name}": {"name": name} for name in ports},
        "Interface": {
            f"if-{name}": {"name": name, "ofport": 100 + position, "error": ["set", []]}
            for position, name in enumerate(ports)
        },
    }


def test_repeating_the_set_up_inserts_nothing_that_exists() -> None:
    """With bridge and ports there, only their columns are updated; a missing port is inserted."""
    inner, _ = node_bridges(FACTS, NODE)
    rows = _rows("br-int", "gw0", "int-to-phy")
    operations = root_operations(rows) + bridge_operations([inner], rows)
    assert [op["table"] for op in operations if op["op"] == "insert"] == ["Interface", "Port"]
    assert [op["row"]["name"] for op in operations if op["op"] == "insert"] == ["tun0", "tun0"]
    updated = [(op["table"], op["where"]) for op in operations if op["op"] == "update"]
    assert ("Open_vSwitch", []) in updated
    assert ("Controller", [["_uuid", "==", ["uuid", "c1"]]]) in updated
    assert ("Interface", [["name", "==", "gw0"]]) in updated


def test_many_pods_ports_are_one_mutation_of_the_bridge() -> None:
    """Three new ports are inserted and put into the bridge's set together."""
    interfaces = [Interface(f"p-{number}", port=100 + number) for number in range(3)]
    operations = add_ports("br-int", interfaces, _rows())
    mutations = [op for op in operations if op["op"] == "mutate"]
    assert len(operations) == 7
    assert [op["where"] for op in mutations] == [[["name", "==", "br-int"]]]
    column, mutator, (kind, names) = mutations[0]["mutations"][0]
    assert (column, mutator, kind, len(names)) == ("ports", "insert", "set", 3)


def test_removing_ports_ignores_those_that_are_gone() -> None:
    """Only existing ports are taken out of the bridge; without any there is no operation."""
    rows = _rows("p-1", "p-2")
    assert remove_ports("br-int", ["p-1", "p-9"], rows) == [
        {
            "op": "mutate",
            "table": "Bridge",
            "where": [["name", "==", "br-int"]],
            "mutations": [["ports", "delete", ["set", [["uuid", "port-p-1"]]]]],
        }
    ]
    assert remove_ports("br-int", ["p-9"], rows) == []


def test_problems_of_ports_are_told_in_words() -> None:
    """A missing row, an error of Open vSwitch and another OpenFlow port are each reported; right ports are not."""
    rows = _rows("p-1", "p-2", "p-3")
    rows["Interface"]["if-p-2"]["error"] = "could not open network device p-2 (No such device)"
    wanted = [Interface("p-1", port=100), Interface("p-2", port=101), Interface("p-3", port=7), Interface("p-4")]
    assert port_problems(wanted, rows) == [
        "port p-2: could not open network device p-2 (No such device)",
        "port p-3: OpenFlow port 102 instead of 7",
        "port p-4 is not in the database",
    ]
