"""`ClusterFacts` as JSON: written once by the underlay service, read by the others."""

import json
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from kubinet.state import ClusterFacts, Datapath, NetworkConfig, NodeFacts, OutsideFacts, Overlay


def facts_to_json(facts: ClusterFacts) -> str:
    """A JSON text that `facts_from_json` turns into an equal value."""
    network = facts.network
    document = {
        "name": facts.name,
        "managementAddress": str(facts.management_address),
        "network": {
            "overlay": network.overlay,
            "datapath": network.datapath,
            "podCIDR": str(network.pod_cidr),
            "nodeCIDRMaskSize": network.node_prefix_length,
            "serviceCIDR": str(network.service_cidr),
            "underlayCIDR": str(network.underlay_cidr),
            "managementCIDR": str(network.management_cidr),
            "mtu": network.underlay_mtu,
        },
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


def network_from_document(section: dict[str, Any]) -> NetworkConfig:
    """The value of a resolved Topology's `spec.network`."""
    return NetworkConfig(
        overlay=Overlay(section["overlay"]),
        datapath=Datapath(section["datapath"]),
        pod_cidr=IPv4Network(section["podCIDR"]),
        node_prefix_length=section["nodeCIDRMaskSize"],
        service_cidr=IPv4Network(section["serviceCIDR"]),
        underlay_cidr=IPv4Network(section["underlayCIDR"]),
        management_cidr=IPv4Network(section["managementCIDR"]),
        underlay_mtu=section["mtu"],
    )


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
