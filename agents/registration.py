"""A node's Node object: what the agent tells the API about its node."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from kubinet.client import Client
from kubinet.errors import ApiError
from kubinet.kubernetes import GATEWAY, GATEWAY_MAC, INDEX, UNDERLAY_ADDRESS, UNDERLAY_MAC
from kubinet.state import NodeFacts
from kubinet.version import __version__

Object = dict[str, Any]

KUBELET_VERSION: Final = "v1.32.0-kubinet"
"""Clients compare this with the API's version; the suffix says that no kubelet runs here."""
_RESERVED_ADDRESSES: Final = 3
"""Network address, gateway and broadcast address of a pod CIDR."""
_CONDITIONS: Final = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "the machine's memory is not watched per node"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "the machine's disk is not watched per node"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "the machine's processes are not watched per node"),
    ("Ready", "True", "KubeletReady", "Open vSwitch and the node's interfaces are set up"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What all nodes have in common: the machine that they are emulated on."""

    cpus: int
    memory: int
    """Kibibytes."""
    kernel: str
    os_image: str
    architecture: str
    """In Go's words, as Kubernetes uses them: amd64, arm64."""
    machine_id: str
    boot_id: str


def this_machine() -> Machine:
    """Read the machine's facts from the kernel and /etc/os-release."""
    system = os.uname()
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    release = dict(line.split("=", 1) for line in _text("/etc/os-release").splitlines() if "=" in line)
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory=int(meminfo["MemTotal"].split()[0]),
        kernel=system.release,
        os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(system.machine, system.machine),
        machine_id=_text("/etc/machine-id").strip(),
        boot_id=_text("/proc/sys/kernel/random/boot_id").strip(),
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # a minimal machine has no such file; the object's field is then empty
        return ""


def pod_capacity(pod_cidr: IPv4Network) -> int:
    """How many pods with addresses of their own the node can hold."""
    return max(0, pod_cidr.num_addresses - _RESERVED_ADDRESSES)


def node_object(node: NodeFacts, machine: Machine, now: str) -> Object:
    """The whole Node object; `now` is an RFC 3339 time for its conditions."""
    annotations = {
        INDEX: str(node.index),
        UNDERLAY_ADDRESS: str(node.underlay),
        UNDERLAY_MAC: node.mac,
    }
    if node.gateway is not None:
        annotations[GATEWAY] = str(node.gateway)
    if node.gateway_mac is not None:
        annotations[GATEWAY_MAC] = node.gateway_mac
    labels = {
        **node.labels,
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
    }
    cidr = str(node.pod_cidr)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "annotations": annotations, "labels": labels},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": _status(node, machine, now),
    }


def _status(node: NodeFacts, machine: Machine, now: str) -> Object:
    resources = {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory}Ki",
        "pods": str(pod_capacity(node.pod_cidr)),
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": str(node.underlay.ip)},
            {"type": "Hostname", "address": node.name},
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": [_condition(*condition, now) for condition in _CONDITIONS],
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.machine_id,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": f"kubinet://{__version__}",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        },
    }


def _condition(kind: str, status: str, reason: str, message: str, now: str) -> Mapping[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


def register(client: Client, node: NodeFacts, machine: Machine) -> None:
    """Create the Node, or bring the existing one to the present facts; ApiError when the API refuses."""
    wanted = node_object(node, machine, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    try:
        client.create(wanted)
    except ApiError as error:
        if error.status != 409:
            raise
    else:
        return
    metadata = {key: wanted["metadata"][key] for key in ("annotations", "labels")}
    client.patch("Node", node.name, {"metadata": metadata, "spec": wanted["spec"]})
    client.patch("Node", node.name, {"status": wanted["status"]}, subresource="status")
