"""What a node's Open vSwitch shall hold, and the OVSDB operations (RFC 7047) that bring it there. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Final

from kubinet.addressing import (
    GATEWAY_INTERFACE,
    GATEWAY_PORT,
    INTEGRATION_BRIDGE,
    INTEGRATION_PATCH_PORT,
    TUNNEL_PORT,
    UNDERLAY_PORT,
    UPLINK_BRIDGE,
    UPLINK_PATCH_PORT,
    datapath_id,
    gateway_address,
    pod_mac,
)
from kubinet.state import ClusterFacts, Datapath, NodeFacts, Overlay

CONTROLLER_PORT: Final = 6653
"""IANA's OpenFlow port; the controller listens there on the management address."""
TUNNEL_INTERFACE: Final = "tun0"
_UPLINK_PATCH: Final = "int-to-phy"
_INTEGRATION_PATCH: Final = "phy-to-int"
_PROBE_MILLISECONDS: Final = 5000
_BACKOFF_MILLISECONDS: Final = 1000

Operation = dict[str, Any]
Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The mirror of `agents.ovsrpc.Ovsdb`: table -> row uuid -> columns."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One port with its one interface."""

    name: str
    kind: str = ""
    port: int | None = None
    """OpenFlow port number; None for a bridge's own port."""
    mac: str | None = None
    mtu: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    shaped: bool = False
    """Its queueing discipline is the emulated link's: Open vSwitch must not replace it."""

    def columns(self) -> dict[str, Any]:
        """The Interface row."""
        row: dict[str, Any] = {
            "type": self.kind,
            "options": _map(self.options),
            "external_ids": _map(self.external_ids),
        }
        if self.port is not None:
            row["ofport_request"] = self.port
        if self.mac is not None:
            row["mac"] = self.mac
        if self.mtu is not None:
            row["mtu_request"] = self.mtu
        return row


@dataclass(frozen=True, slots=True)
class Bridge:
    """One bridge with all ports that are not pods'."""

    name: str
    datapath_id: int
    datapath: Datapath
    interfaces: tuple[Interface, ...]
    controller: str
    mac: str | None = None

    def columns(self) -> dict[str, Any]:
        """The Bridge row without its ports and controller."""
        other = {"datapath-id": f"{self.datapath_id:016x}", "disable-in-band": "true"}
        if self.mac is not None:
            other["hwaddr"] = self.mac
        return {
            "datapath_type": "system" if self.datapath is Datapath.SYSTEM else "netdev",
            "fail_mode": "secure",
            "protocols": ["set", ["OpenFlow13", "OpenFlow15"]],
            "other_config": _map(other),
        }


def node_bridges(facts: ClusterFacts, node: NodeFacts) -> tuple[Bridge, Bridge]:
    """The two bridges of a node."""
    network = facts.network
    gateway = gateway_address(node.pod_cidr)
    controller = f"tcp:{facts.management_address}:{CONTROLLER_PORT}"
    inner = [
        Interface(INTEGRATION_BRIDGE, "internal"),
        Interface(GATEWAY_INTERFACE, "internal", GATEWAY_PORT, pod_mac(gateway), network.pod_mtu),
        Interface(_UPLINK_PATCH, "patch", UPLINK_PATCH_PORT, options={"peer": _INTEGRATION_PATCH}),
    ]
    if network.overlay is not Overlay.DIRECT:
        options = {"remote_ip": "flow", "key": "flow"}
        inner.append(Interface(TUNNEL_INTERFACE, network.overlay.value, TUNNEL_PORT, options=options))
    outer = [
        Interface(UPLINK_BRIDGE, "internal", mtu=network.underlay_mtu),
        Interface(node.interface, port_kind(network.datapath), UNDERLAY_PORT, shaped=True),
        Interface(_INTEGRATION_PATCH, "patch", INTEGRATION_PATCH_PORT, options={"peer": _UPLINK_PATCH}),
    ]
    return (
        Bridge(
            INTEGRATION_BRIDGE,
            datapath_id(node.index, INTEGRATION_BRIDGE),
            network.datapath,
            tuple(inner),
            controller,
        ),
        Bridge(
            UPLINK_BRIDGE,
            datapath_id(node.index, UPLINK_BRIDGE),
            network.datapath,
            tuple(outer),
            controller,
            node.mac,
        ),
    )


def port_kind(datapath: Datapath) -> str:
    """The Interface type of an existing network device, such as a pod's veth."""
    return "afxdp" if datapath is Datapath.AFXDP else ""


def pod_interface_row(name: str, port: int, datapath: Datapath, pod_uid: str, address: IPv4Address) -> Interface:
    """The port of one pod; external ids tell whose it is (iface-id is the integrators' word for it)."""
    identity = {"iface-id": pod_uid, "attached-mac": pod_mac(address), "kubinet-address": str(address)}
    return Interface(name, port_kind(datapath), port, external_ids=identity)


def root_operations(rows: Rows) -> list[Operation]:
    """Make or update the one row of table Open_vSwitch; its uuid-name is `root` when it is made here."""
    # Pods' statistics are read over OpenFlow: writing them into the database each 5 s costs a wake-up per node.
    # One handler and one revalidator: a node of an emulated cluster has a fraction of a core.
    other = {"stats-update-interval": "60000", "n-handler-threads": "1", "n-revalidator-threads": "1"}
    row = {"other_config": _map(other)}
    if rows["Open_vSwitch"]:
        return [{"op": "update", "table": "Open_vSwitch", "where": [], "row": row}]
    return [{"op": "insert", "table": "Open_vSwitch", "row": row}]


def bridge_operations(bridges: Iterable[Bridge], rows: Rows) -> list[Operation]:
    """What makes the bridges and their fixed ports as wanted, whatever of them exists; pods' ports stay."""
    operations: list[Operation] = []
    for bridge in bridges:
        operations += _existing_bridge(bridge, rows) if _uuid(rows, "Bridge", bridge.name) else _new_bridge(bridge)
    return operations


def add_ports(bridge: str, interfaces: Sequence[Interface], rows: Rows) -> list[Operation]:
    """Add ports to an existing bridge; one that exists gets the wanted columns."""
    operations: list[Operation] = []
    names = []
    for interface in interfaces:
        if _uuid(rows, "Port", interface.name):
            where = [["name", "==", interface.name]]
            operations.append({"op": "update", "table": "Interface", "where": where, "row": interface.columns()})
        else:
            operations += _insert_port(interface)
            names.append(["named-uuid", _symbol(interface.name)])
    if names:
        mutation = ["ports", "insert", ["set", names]]
        where = [["name", "==", bridge]]
        operations.append({"op": "mutate", "table": "Bridge", "where": where, "mutations": [mutation]})
    return operations


def remove_ports(bridge: str, names: Iterable[str], rows: Rows) -> list[Operation]:
    """Take ports out of a bridge (their rows go with them); unknown ones are no error."""
    found = [["uuid", uuid] for name in names if (uuid := _uuid(rows, "Port", name))]
    if not found:
        return []
    mutation = ["ports", "delete", ["set", found]]
    return [{"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]], "mutations": [mutation]}]


def port_problems(interfaces: Iterable[Interface], rows: Rows) -> list[str]:
    """What is not as wanted after ovs-vswitchd has configured the ports: missing devices, other port numbers."""
    actual = {row["name"]: row for row in rows["Interface"].values()}
    problems = []
    for wanted in interfaces:
        row = actual.get(wanted.name)
        if row is None:
            problems.append(f"port {wanted.name} is not in the database")
        elif row["error"] != ["set", []]:
            problems.append(f"port {wanted.name}: {row['error']}")
        elif wanted.port is not None and row["ofport"] != wanted.port:
            problems.append(f"port {wanted.name}: OpenFlow port {row['ofport']} instead of {wanted.port}")
    return problems


def _new_bridge(bridge: Bridge) -> list[Operation]:
    operations = [operation for interface in bridge.interfaces for operation in _insert_port(interface)]
    controller = {
        "target": bridge.controller,
        "max_backoff": _BACKOFF_MILLISECONDS,
        "inactivity_probe": _PROBE_MILLISECONDS,
    }
    row = {
        **bridge.columns(),
        "name": bridge.name,
        "ports": ["set", [["named-uuid", _symbol(interface.name)] for interface in bridge.interfaces]],
        "controller": ["named-uuid", _symbol("controller", bridge.name)],
    }
    return [
        *operations,
        _insert("Controller", controller, _symbol("controller", bridge.name)),
        _insert("Bridge", row, _symbol("bridge", bridge.name)),
        {
            "op": "mutate",
            "table": "Open_vSwitch",
            "where": [],
            "mutations": [["bridges", "insert", ["named-uuid", _symbol("bridge", bridge.name)]]],
        },
    ]


def _existing_bridge(bridge: Bridge, rows: Rows) -> list[Operation]:
    controllers = rows["Bridge"][str(_uuid(rows, "Bridge", bridge.name))]["controller"]
    operations: list[Operation] = [
        {
            "op": "update",
            "table": "Bridge",
            "where": [["name", "==", bridge.name]],
            "row": bridge.columns(),
        }
    ]
    if controllers[0] == "uuid":
        row = {"target": bridge.controller, "max_backoff": _BACKOFF_MILLISECONDS}
        where = [["_uuid", "==", controllers]]
        operations.append({"op": "update", "table": "Controller", "where": where, "row": row})
    return operations + add_ports(bridge.name, bridge.interfaces, rows)


def _insert_port(interface: Interface) -> list[Operation]:
    device = {**interface.columns(), "name": interface.name}
    port: dict[str, Any] = {
        "name": interface.name,
        "interfaces": ["named-uuid", _symbol("interface", interface.name)],
    }
    operations = []
    if interface.shaped:
        # Without a QoS row Open vSwitch removes whatever discipline it finds on a port (ovs-vswitchd.conf.db(5)).
        port["qos"] = ["named-uuid", _symbol("qos", interface.name)]
        operations = [_insert("QoS", {"type": "linux-noop"}, _symbol("qos", interface.name))]
    return [
        *operations,
        _insert("Interface", device, _symbol("interface", interface.name)),
        _insert("Port", port, _symbol(interface.name)),
    ]


def _insert(table: str, row: Mapping[str, Any], symbol: str) -> Operation:
    return {"op": "insert", "table": table, "row": dict(row), "uuid-name": symbol}


def _symbol(*words: str) -> str:
    """A uuid-name; RFC 7047 allows letters, digits and underscores only."""
    return "row_" + "_".join(words).encode().hex()


def _uuid(rows: Rows, table: str, name: str) -> str | None:
    return next((uuid for uuid, row in rows[table].items() if row["name"] == name), None)


def _map(values: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in sorted(values.items())]]
