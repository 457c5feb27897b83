"""`ClusterFacts` as JSON: written once by the underlay service, read by the others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Final

from kubinet.state import (
    Algorithm,
    ClusterFacts,
    Datapath,
    Established,
    NetworkConfig,
    NodeFacts,
    OutsideFacts,
    Overlay,
    ServiceProxy,
)


def facts_to_json(facts: ClusterFacts) -> str:
    """A JSON text that `facts_from_json` turns into an equal value."""
    document = {
        "name": facts.name,
        "managementAddress": str(facts.management_address),
        "network": network_to_document(facts.network),
        "nodes": [
            {
                "name": node.name,
                "index": node.index,
                "pid": node.pid,
                "interface": node.interface,
                "mac": node.mac,
                "underlay": str(node.underlay),
                "gateway": str(node.gateway) if node.gateway else None,
                "gatewayMAC": node.gateway_mac,
                "management": str(node.management),
                "podCIDR": str(node.pod_cidr),
                "labels": dict(node.labels),
            }
            for node in facts.nodes
        ],
        "outside": [{"name": host.name, "pid": host.pid, "address": str(host.address)} for host in facts.outside],
    }
    return json.dumps(document, indent=1)


def facts_from_json(text: str) -> ClusterFacts:
    """The value that `facts_to_json` wrote."""
    document = json.loads(text)
    return ClusterFacts(
        name=document["name"],
        network=network_from_document(document["network"]),
        management_address=IPv4Address(document["managementAddress"]),
        nodes=tuple(_node(node) for node in document["nodes"]),
        outside=tuple(
            OutsideFacts(host["name"], host["pid"], IPv4Address(host["address"])) for host in document["outside"]
        ),
    )


def network_to_document(network: NetworkConfig) -> dict[str, Any]:
    """A resolved Topology's `spec.network`; `network_from_document` reads it back."""
    return {
        "overlay": str(network.overlay),
        "datapath": str(network.datapath),
        "podCIDR": str(network.pod_cidr),
        "nodeCIDRMaskSize": network.node_prefix_length,
        "serviceCIDR": str(network.service_cidr),
        "underlayCIDR": str(network.underlay_cidr),
        "managementCIDR": str(network.management_cidr),
        "loadBalancerCIDR": str(network.load_balancer_cidr),
        "mtu": network.underlay_mtu,
        "services": str(network.services),
        "loadBalancer": str(network.load_balancer),
        "established": str(network.established),
        "dnsReplicas": network.dns_replicas,
        **({"dnsUpstream": network.dns_upstream} if network.dns_upstream else {}),
    }


def network_from_document(section: Mapping[str, Any]) -> NetworkConfig:
    """The value of a Topology's `spec.network`, defaults filled in; its fields were checked before."""
    default = NetworkConfig()
    given = {name: read(section[key]) for key, (name, read) in _NETWORK_FIELDS.items() if key in section}
    if given.get("datapath") == "auto":
        given["datapath"] = default.datapath  # until a machine has chosen
    return replace(default, **given)


def _datapath(text: str) -> Datapath | str:
    return text if text == "auto" else Datapath(text)


_NETWORK_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "overlay": ("overlay", Overlay),
    "datapath": ("datapath", _datapath),
    "podCIDR": ("pod_cidr", IPv4Network),
    "nodeCIDRMaskSize": ("node_prefix_length", int),
    "serviceCIDR": ("service_cidr", IPv4Network),
    "underlayCIDR": ("underlay_cidr", IPv4Network),
    "managementCIDR": ("management_cidr", IPv4Network),
    "loadBalancerCIDR": ("load_balancer_cidr", IPv4Network),
    "mtu": ("underlay_mtu", int),
    "services": ("services", ServiceProxy),
    "loadBalancer": ("load_balancer", Algorithm),
    "established": ("established", Established),
    "dnsReplicas": ("dns_replicas", int),
    "dnsUpstream": ("dns_upstream", str),
}


def _node(node: dict[str, Any]) -> NodeFacts:
    return NodeFacts(
        name=node["name"],
        index=node["index"],
        pid=node["pid"],
        interface=node["interface"],
        mac=node["mac"],
        underlay=IPv4Interface(node["underlay"]),
        gateway=IPv4Address(node["gateway"]) if node["gateway"] else None,
        gateway_mac=node["gatewayMAC"],
        management=IPv4Interface(node["management"]),
        pod_cidr=IPv4Network(node["podCIDR"]),
        labels=node["labels"],
    )
