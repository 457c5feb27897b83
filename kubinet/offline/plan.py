"""Where a made-up cluster has its nodes, pods and Services: addresses as `kubinet up` gives them.

Nodes and outside hosts are those of a topology, or the manifests' own Node objects. Pods that say where they are
(`spec.nodeName`, `status.podIP`) are there; the others come to the nodes that their nodeSelector allows, in turn, and
get the first free address of the node's pod CIDR. Services get the first free addresses of their ranges.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from agents.ipam import AddressPool
from controller.api.status import Object
from kubinet.addressing import FIRST_NODE_PORT
from kubinet.errors import InvalidInputError
from kubinet.kubernetes import UNDERLAY_ADDRESS
from kubinet.offline.expanding import fitting
from kubinet.state import NetworkConfig, Node
from topologies.model import Role, Topology
from topologies.plan import make_plan


@dataclass(frozen=True, slots=True)
class Site:
    """The nodes, and what is around them."""

    name: str
    network: NetworkConfig
    nodes: Mapping[str, Node]
    outside: Mapping[str, IPv4Address]


def site_of(topology: Topology, nodes: Iterable[Object] = ()) -> Site:
    """The site of a topology; `nodes`: Node objects that stand in the place of its own."""
    plan = make_plan(topology)
    addresses = {
        vertex: next((one.address for one in ends if one.address is not None), None)
        for vertex, ends in plan.interfaces.items()
    }
    outside = {
        vertex.name: found.ip
        for vertex in topology.of(Role.OUTSIDE)
        if (found := addresses.get(vertex.name)) is not None
    }
    own = list(nodes)
    if own:
        made = dict(_given(own, topology.network))
        return Site("Node objects", topology.network, made, outside)
    planned = {
        vertex.name: _node(vertex.name, index, addresses[vertex.name], plan.pod_cidrs[vertex.name], vertex.labels)
        for index, vertex in enumerate(topology.nodes, start=1)
    }
    return Site(f"topology {topology.name}", topology.network, planned, outside)


def _node(
    name: str, index: int, underlay: IPv4Interface | None, pod_cidr: IPv4Network, labels: Mapping[str, str]
) -> Node:
    every = {**labels, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return Node(
        name=name,
        index=index,
        underlay=underlay or IPv4Interface(0),
        underlay_mac="",
        pod_cidr=pod_cidr,
        zone=labels.get("topology.kubernetes.io/zone", ""),
        labels=every,
    )


def _given(objects: Iterable[Object], network: NetworkConfig) -> Iterator[tuple[str, Node]]:
    cidrs = network.pod_cidr.subnets(new_prefix=network.node_prefix_length)
    hosts = network.underlay_cidr.hosts()
    for index, obj in enumerate(objects, start=1):
        metadata, cidr, host = obj["metadata"], next(cidrs), next(hosts)
        known = next((one["address"] for one in _internal(obj)), str(host))
        text = (metadata.get("annotations") or {}).get(UNDERLAY_ADDRESS) or known
        try:
            underlay = IPv4Interface(text)
            pod_cidr = IPv4Network((obj.get("spec") or {}).get("podCIDR") or cidr)
        except ValueError as error:
            raise InvalidInputError(f"node '{metadata['name']}': {error}; give it IPv4 addresses") from error
        yield metadata["name"], _node(metadata["name"], index, underlay, pod_cidr, metadata.get("labels") or {})


def _internal(node: Object) -> list[Object]:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return [one for one in addresses if one.get("type") == "InternalIP" and ":" not in one.get("address", ":")]


def settle(pods: Iterable[Object], site: Site) -> None:
    """Give every pod a node and an address, in place; InvalidInputError where none is left for one."""
    pods = [pod for pod in pods if not pod["spec"].get("hostNetwork")]
    pools = {name: AddressPool(node.pod_cidr) for name, node in site.nodes.items()}
    labels = {name: node.labels for name, node in site.nodes.items()}
    taken = [pod for pod in pods if (pod.get("status") or {}).get("podIP")]
    for pod in taken:
        pool = pools.get(pod["spec"].get("nodeName") or "")
        if pool is not None and ":" not in pod["status"]["podIP"]:
            pool.claim(pod["metadata"]["uid"], IPv4Address(pod["status"]["podIP"]))
    for turn, pod in enumerate(pods):
        spec, key = pod["spec"], f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        allowed = fitting(spec, labels)
        if not allowed:
            name = spec.get("nodeName")
            what = f"nodeName {name}" if name else f"nodeSelector {spec.get('nodeSelector')}"
            raise InvalidInputError(
                f"pod '{key}': no node of {site.name} fits {what}; nodes are {', '.join(labels)}: name a topology that "
                "has it, or add Node objects to the manifests"
            )
        node = allowed[turn % len(allowed)]
        spec["nodeName"] = node
        status = pod.setdefault("status", {})
        if not status.get("podIP"):
            status["podIP"] = str(pools[node].allocate(pod["metadata"]["uid"]))
        status.setdefault("conditions", [{"type": "Ready", "status": "True"}])


@dataclass(slots=True)
class ServiceRanges:
    """Addresses and node ports for Services that have none yet."""

    network: NetworkConfig
    used: set[str] = field(default_factory=set)
    used_ports: set[int] = field(default_factory=set)

    def note(self, service: Object) -> None:
        """What it has already is nobody else's."""
        spec = service["spec"]
        self.used.add(spec.get("clusterIP") or "")
        self.used |= {one.get("ip", "") for one in _ingress(service)}
        self.used_ports |= {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}

    def complete(self, service: Object) -> None:
        """Fill in what its type asks for, in place."""
        spec, kind = service["spec"], service["spec"].get("type", "ClusterIP")
        if kind == "ExternalName":
            return
        if not spec.get("clusterIP"):
            spec["clusterIP"] = self._free(self.network.service_cidr, first=20)
        if kind in ("NodePort", "LoadBalancer") and spec.get("allocateLoadBalancerNodePorts") is not False:
            for port in spec.get("ports") or ():
                if not port.get("nodePort"):
                    port["nodePort"] = self._free_port()
        if kind == "LoadBalancer" and not _ingress(service):
            address = self._free(self.network.load_balancer_cidr, first=1)
            service.setdefault("status", {})["loadBalancer"] = {"ingress": [{"ip": address}]}

    def _free(self, network: IPv4Network, first: int) -> str:
        for number in range(first, network.num_addresses - 1):
            text = str(network[number])
            if text not in self.used:
                self.used.add(text)
                return text
        raise InvalidInputError(f"{network} has no address left for another Service; take a larger one")

    def _free_port(self) -> int:
        number = FIRST_NODE_PORT
        while number in self.used_ports:
            number += 1
        self.used_ports.add(number)
        return number


def _ingress(service: Object) -> list[Object]:
    return list(((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ())
