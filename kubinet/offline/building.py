"""Manifests to a `World`: what the SDN controller would know once everything in them runs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.api.registry import NAMESPACE
from controller.api.status import Object
from controller.workloads.endpoints import Placed, ServiceFacts, place, pod_facts, service_facts
from kubinet.kubernetes import declared_ports, pod_from_object
from kubinet.manifests import Manifest
from kubinet.offline.completing import Collected, collect, ended
from kubinet.offline.expanding import pods_of
from kubinet.offline.plan import ServiceRanges, Site, settle, site_of
from kubinet.policyobjects import KINDS, policy_from_object, unsupported
from kubinet.reach.world import World
from kubinet.serviceobjects import SERVICE_NAME, service_from_objects, service_key
from kubinet.state import ClusterState, Service
from topologies.model import Topology


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A world, and what a user should know of how it was made."""

    world: World
    plan: str
    """Where nodes and addresses come from, in one sentence."""
    remarks: tuple[str, ...]
    """What is left out or not enforced as it is written."""


def world_of(manifests: Iterable[Manifest], topology: Topology, namespace: str = "default") -> MadeUp:
    """The world; InvalidInputError for a manifest that the API would refuse. `namespace`: of objects without one."""
    return build(collect(manifests, namespace), topology)


def build(collected: Collected, topology: Topology) -> MadeUp:
    """The world of complete objects."""
    site = site_of(topology, collected.of("Node"))
    pods = pods_of(collected, {name: node.labels for name, node in site.nodes.items()})
    settle(pods, site)
    policies = [policy_from_object(obj) for obj in collected.of(*KINDS)]
    found = {pod.key: pod for obj in pods if (pod := pod_from_object(obj)) is not None}
    state = ClusterState(
        network=site.network,
        nodes=site.nodes,
        pods=found,
        services=_services(collected, pods, site),
        namespaces=_namespaces(collected, pods),
        policies={policy.key: policy for policy in policies},
    )
    ports = {f"{obj['metadata']['namespace']}/{obj['metadata']['name']}": tuple(declared_ports(obj)) for obj in pods}
    return MadeUp(World(state, site.outside, ports), _plan(site, found.values()), tuple(_remarks(collected, pods)))


def _plan(site: Site, pods: Iterable[object]) -> str:
    nodes, first = list(site.nodes.values()), next(iter(site.nodes.values()))
    names = nodes[0].name if len(nodes) == 1 else f"{nodes[0].name} to {nodes[-1].name}"
    return (
        f"Made up from manifests: pods {len(list(pods))}, nodes {len(nodes)} ({names}, {site.name}); pods in turn "
        f"unless they say where; addresses from {first.pod_cidr[2]} on in each node's pod CIDR."
    )


def _namespaces(collected: Collected, pods: Iterable[Object]) -> Mapping[str, Mapping[str, str]]:
    """Those of the manifests, and those that are only named, with the one label that every namespace has."""
    written = {obj["metadata"]["name"]: obj["metadata"].get("labels") or {} for obj in collected.of(NAMESPACE.kind)}
    named = {"default"} | {namespace for _, namespace, _ in collected.objects if namespace}
    named |= {pod["metadata"]["namespace"] for pod in pods}
    return {name: {"kubernetes.io/metadata.name": name} for name in sorted(named)} | written


def _services(collected: Collected, pods: Iterable[Object], site: Site) -> Mapping[str, Service]:
    objects, ranges = collected.of("Service"), ServiceRanges(site.network)
    for obj in objects:
        ranges.note(obj)
    facts = [pod_facts(pod) for pod in pods if not pod["spec"].get("hostNetwork") and not ended(pod)]
    zones = {name: node.zone for name, node in site.nodes.items()}
    found = {}
    for obj in objects:
        ranges.complete(obj)
        own = service_facts(obj)
        key = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        slices = [one for one in collected.of("EndpointSlice") if service_key(one) == key]
        if own is not None:
            slices = [_slice(own, placed) for pod in facts if own.selects(pod) and (placed := place(own, pod, zones))]
        service = service_from_objects(obj, slices, site.network.load_balancer)
        if service is not None:
            found[key] = service
    return found


def _slice(service: ServiceFacts, placed: Placed) -> Object:
    """One endpoint as a slice of its own."""
    point = placed.endpoint
    endpoint = {"addresses": [point.address], "nodeName": point.node, "conditions": {"ready": point.ready}}
    return {
        "metadata": {"namespace": service.namespace, "labels": {SERVICE_NAME: service.name}},
        "ports": [{"name": one.name, "protocol": one.protocol, "port": one.number} for one in placed.ports],
        "endpoints": [endpoint],
    }


def _remarks(collected: Collected, pods: Iterable[Object]) -> Iterator[str]:
    host = sorted(pod["metadata"]["name"] for pod in pods if pod["spec"].get("hostNetwork"))
    if host:
        yield f"On the host network, and so their node to policies: {', '.join(host)}."
    for obj in collected.of(*KINDS):
        metadata = obj["metadata"]
        key = "/".join(part for part in (obj["kind"], metadata.get("namespace"), metadata["name"]) if part)
        for problem in unsupported(obj):
            yield f"{key}: {problem}"
    if collected.left_out:
        yield f"Without meaning here: {', '.join(collected.left_out)}."
