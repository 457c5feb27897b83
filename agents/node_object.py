"""The Node object that an agent registers and keeps up to date. Pure."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kubinet.addressing import gateway_address, pod_mac
from kubinet.kubernetes import GATEWAY, GATEWAY_MAC, INDEX, UNDERLAY_ADDRESS, UNDERLAY_MAC
from kubinet.state import NodeFacts
from kubinet.version import __version__

Object = dict[str, Any]

_KUBELET_VERSION: Final = "v1.32.0-kubinet"
"""Clients read it as the Kubernetes release whose behaviour to expect; the API says the same."""
POD_GATEWAY: Final = "kubinet.dev/pod-gateway"
POD_GATEWAY_MAC: Final = "kubinet.dev/pod-gateway-mac"


@dataclass(frozen=True, slots=True)
class Machine:
    """What every node of the cluster shares: the machine under it."""

    cpus: int
    memory: int
    """Bytes."""
    kernel: str
    os_image: str
    architecture: str
    """In Go's words, as Kubernetes labels it: amd64, arm64."""
    boot_id: str


def timestamp(when: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_capacity(node: NodeFacts) -> int:
    """Pods that have room in the node's pod CIDR: all its addresses but network, gateway and broadcast."""
    return max(0, node.pod_cidr.num_addresses - 3)


def node_object(node: NodeFacts, machine: Machine, conditions: list[Object]) -> Object:
    """The whole object for registration."""
    annotations = {
        INDEX: str(node.index),
        UNDERLAY_ADDRESS: str(node.underlay),
        UNDERLAY_MAC: node.mac,
        POD_GATEWAY: str(gateway_address(node.pod_cidr)),
        POD_GATEWAY_MAC: pod_mac(gateway_address(node.pod_cidr)),
    }
    if node.gateway is not None:
        annotations[GATEWAY] = str(node.gateway)
        annotations[GATEWAY_MAC] = node.gateway_mac or ""
    labels = {
        **node.labels,
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels, "annotations": annotations},
        "spec": {"podCIDR": str(node.pod_cidr), "podCIDRs": [str(node.pod_cidr)]},
        "status": node_status(node, machine, conditions),
    }


def node_status(node: NodeFacts, machine: Machine, conditions: list[Object]) -> Object:
    """The object's status."""
    resources = {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory // 1024}Ki",
        "pods": str(pod_capacity(node)),
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": str(node.underlay.ip)},
            {"type": "Hostname", "address": node.name},
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": conditions,
        "nodeInfo": {
            "machineID": uuid.uuid5(uuid.NAMESPACE_DNS, node.name).hex,
            "systemUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, node.name)),
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": f"kubinet://{__version__}",
            "kubeletVersion": _KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        },
    }


def conditions(now: datetime, before: list[Object], *, ready: bool, reason: str, message: str) -> list[Object]:
    """Conditions Ready and NetworkUnavailable; an unchanged one keeps its transition time from `before`."""
    known: Mapping[str, Object] = {entry["type"]: entry for entry in before}
    wanted = (
        ("NetworkUnavailable", "False" if ready else "True", "OpenVSwitch", "Open vSwitch is up" if ready else message),
        ("Ready", "True" if ready else "False", reason, message),
    )
    found = []
    for kind, status, why, text in wanted:
        old = known.get(kind)
        changed = old is None or old["status"] != status
        found.append(
            {
                "type": kind,
                "status": status,
                "reason": why,
                "message": text,
                "lastHeartbeatTime": timestamp(now),
                "lastTransitionTime": timestamp(now) if changed or old is None else old["lastTransitionTime"],
            }
        )
    return found
