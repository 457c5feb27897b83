"""`kubinet status`: a running cluster's parts, nodes, flows, generation and memory."""

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from kubinet.cli.processes import memory_of
from kubinet.cli.table import text_table
from kubinet.errors import ApiError

if TYPE_CHECKING:
    from kubinet.cluster import Cluster

Object: TypeAlias = dict[str, Any]


def collect(cluster: "Cluster") -> Object:
    """The facts as one document, the same for people and programs."""
    client = cluster.client
    nodes = client.list("nodes")["items"]
    pods = client.list("pods")["items"]
    realised = _dataplane(cluster)
    by_node = Counter(pod.get("spec", {}).get("nodeName") for pod in pods)
    phases = Counter(pod.get("status", {}).get("phase", "Unknown") for pod in pods)
    memory = memory_of(cluster.info.pid)
    return {
        "name": cluster.name,
        "url": cluster.info.url,
        "network": cluster.topology.get("spec", {}).get("network", {}),
        "services": {name: dict(facts) for name, facts in cluster.services().items()},
        "nodes": [_node(node, by_node[node["metadata"]["name"]], realised) for node in nodes],
        "pods": dict(sorted(phases.items())),
        "memoryBytes": {
            "services": memory.services,
            "switches": memory.switches,
            "workloads": memory.workloads,
            "total": memory.total,
        },
        "timings": dict(cluster.timings),
    }


def _dataplane(cluster: "Cluster") -> Object:
    try:
        document = cluster.client.get("Dataplane", "cluster")
    except ApiError as error:
        if error.status != 404:
            raise
        return {}
    realised: Object = (document.get("status") or {}).get("nodes") or {}
    return realised


def _node(node: Object, pods: int, realised: Object) -> Object:
    name = node["metadata"]["name"]
    status = node.get("status", {})
    ready = next((one["status"] for one in status.get("conditions", ()) if one["type"] == "Ready"), "Unknown")
    address = next((one["address"] for one in status.get("addresses", ()) if one["type"] == "InternalIP"), None)
    return {
        "name": name,
        "ready": ready == "True",
        "address": address,
        "podCIDR": node.get("spec", {}).get("podCIDR"),
        "pods": pods,
        "dataplane": realised.get(name, {}),
    }


def text(found: Object) -> str:
    """The facts for people."""
    network = found["network"]
    words = [str(network[key]) for key in ("overlay", "datapath") if network.get(key)]
    lines = [f"Cluster {found['name']}  {found['url']}" + (f"  ({', '.join(words)})" if words else ""), ""]
    nodes = [
        (
            node["name"],
            "Ready" if node["ready"] else "NotReady",
            node["address"],
            node["podCIDR"],
            node["pods"],
            _flows(node["dataplane"]),
            node["dataplane"].get("generation"),
        )
        for node in found["nodes"]
    ]
    lines.append(text_table(("NODE", "STATUS", "ADDRESS", "PODS-CIDR", "PODS", "FLOWS", "GENERATION"), nodes))
    services = [
        (name, facts.get("state"), facts.get("pid"), facts.get("restarts")) for name, facts in found["services"].items()
    ]
    lines.append(text_table(("SERVICE", "STATE", "PID", "RESTARTS"), services))
    pods = ", ".join(f"{count} {phase}" for phase, count in found["pods"].items()) or "none"
    memory = {key: f"{value / 2**20:.0f} MiB" for key, value in found["memoryBytes"].items()}
    lines.append(f"Pods: {pods}")
    lines.append(
        f"Memory: {memory['total']} (services {memory['services']}, switches {memory['switches']}, "
        f"pods and hosts {memory['workloads']})"
    )
    return "\n".join(lines) + "\n"


def _flows(dataplane: Object) -> object:
    """Flows, per bridge where the controller says so."""
    bridges = dataplane.get("bridges")
    if isinstance(bridges, dict):
        return ", ".join(f"{name} {facts.get('flows')}" for name, facts in sorted(bridges.items()))
    flows = dataplane.get("flows")
    if isinstance(flows, dict):
        return ", ".join(f"{name} {count}" for name, count in sorted(flows.items()))
    return flows
