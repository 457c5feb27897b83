"""The running cluster as a `World`, read from the API once."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from kubinet.kubernetes import StateReader, declared_ports
from kubinet.policyobjects import KINDS
from kubinet.reach.world import World
from kubinet.serviceobjects import ServiceCache

if TYPE_CHECKING:
    from kubinet.client import Client
    from kubinet.cluster import Cluster


def world_of(cluster: "Cluster") -> World:
    """Everything that policies and Services depend on, and the outside hosts."""
    return read(cluster.client, {host.name: host.address for host in cluster.facts.outside})


def read(client: "Client", outside: Mapping[str, IPv4Address]) -> World:
    """The same from an API server, with outside hosts that are known otherwise."""

    def items(kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.list(kind)["items"]
        return found

    def named(kind: str) -> dict[str, dict[str, Any]]:
        return {_key(obj): obj for obj in items(kind)}

    pods = items("Pod")
    # A list's items have no kind of their own.
    policies = [{"kind": kind, **obj} for kind in KINDS if client.serves(kind) for obj in items(kind)]
    state = StateReader().read(client.get("Topology", "cluster"), items("Node"), pods, 0, items("Namespace"), policies)
    services = ServiceCache().services(named("Service"), named("EndpointSlice"), state.network.load_balancer)
    ports = {_key(pod): tuple(declared_ports(pod)) for pod in pods}
    return World(replace(state, services=services), outside, ports)


def _key(obj: dict[str, Any]) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
