"""The cluster as the SDN controller sees it, read from the API once: for commands that explain what it does."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from kubinet.kubernetes import cluster_state
from kubinet.serviceobjects import ServiceCache
from kubinet.state import ClusterState

if TYPE_CHECKING:
    from kubinet.client import Client


@dataclass(frozen=True, slots=True)
class View:
    """The controller's state, and what it does not look at."""

    state: ClusterState
    host_pods: dict[str, str] = field(default_factory=dict)
    """Nodes' names by the keys of pods of the host network."""
    outside: dict[str, IPv4Address] = field(default_factory=dict)
    """Addresses of outside hosts by name."""


def state_of(client: "Client") -> ClusterState:
    """The state as it is now."""
    return view_of(client).state


def view_of(client: "Client", outside: dict[str, IPv4Address] | None = None) -> View:
    """The state as it is now, with the pods that have their node's address."""
    nodes, pods = client.list("Node")["items"], client.list("Pod")["items"]
    state = cluster_state(client.get("Topology", "cluster"), nodes, pods, generation=0)

    def named(kind: str) -> dict[str, Any]:
        return {_key(obj): obj for obj in client.list(kind)["items"]}

    services = ServiceCache().services(named("Service"), named("EndpointSlice"), state.network.load_balancer)
    on_host = {_key(pod): pod["spec"].get("nodeName", "") for pod in pods if pod["spec"].get("hostNetwork")}
    return View(replace(state, services=services), on_host, outside or {})


def _key(obj: dict[str, Any]) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
