"""The cluster as the SDN controller sees it, read from the API once: for commands that explain what it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from kubinet.cli.tracenames import NamedService, named_services
from kubinet.kubernetes import cluster_state, declared_ports
from kubinet.policies import Policy
from kubinet.policyobjects import KINDS, policy_from_object
from kubinet.serviceobjects import ServiceCache
from kubinet.state import ClusterState

if TYPE_CHECKING:
    from kubinet.client import Client


@dataclass(frozen=True, slots=True)
class View:
    """The controller's state, and what it does not look at."""

    state: ClusterState
    host_pods: Mapping[str, str] = field(default_factory=dict)
    """Nodes' names by the keys of pods of the host network."""
    outside: Mapping[str, IPv4Address] = field(default_factory=dict)
    """Addresses of outside hosts by name."""
    ports: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    """By pod, the ports that its containers declare: number and protocol."""
    named: Mapping[str, NamedService] = field(default_factory=dict)
    """Services that only DNS knows: headless ones and ExternalNames."""


def state_of(client: "Client") -> ClusterState:
    """The state as it is now."""
    return view_of(client).state


def view_of(client: "Client", outside: Mapping[str, IPv4Address] | None = None) -> View:
    """The state as it is now, with the pods that have their node's address."""
    nodes, pods = client.list("Node")["items"], client.list("Pod")["items"]
    state = cluster_state(client.get("Topology", "cluster"), nodes, pods, generation=0)

    def named(kind: str) -> dict[str, Any]:
        return {_key(obj): obj for obj in client.list(kind)["items"]}

    labels = {obj["metadata"]["name"]: obj["metadata"].get("labels") or {} for obj in client.list("Namespace")["items"]}
    services, slices = named("Service"), named("EndpointSlice")
    state = replace(
        state,
        services=ServiceCache().services(services, slices, state.network.load_balancer),
        namespaces=labels,
        policies={policy.key: policy for policy in _policies(client)},
    )
    on_host = {_key(pod): pod["spec"].get("nodeName", "") for pod in pods if pod["spec"].get("hostNetwork")}
    ports = {_key(pod): tuple(declared_ports(pod)) for pod in pods}
    return View(state, on_host, outside or {}, ports, named_services(services.values(), slices.values()))


def _policies(client: "Client") -> Iterator[Policy]:
    for kind in KINDS:
        for obj in client.list(kind)["items"]:
            yield policy_from_object({**obj, "kind": kind})


def _key(obj: dict[str, Any]) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
