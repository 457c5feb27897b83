"""Wire objects (the API's JSON) to Kubinet's values: the only module that knows where Kubernetes keeps what.

Objects that are not complete yet (a pod without address, a node that has not registered) give None: look again later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Final, Generic, TypeVar

from kubinet.facts import network_from_document
from kubinet.policyobjects import policy_from_object
from kubinet.state import ClusterState, ContainerPort, HostPort, NetworkConfig, Node, Pod
from kubinet.transport import Protocol

Object = Mapping[str, Any]

INDEX: Final = "kubinet.dev/index"
UNDERLAY_ADDRESS: Final = "kubinet.dev/underlay-address"
UNDERLAY_MAC: Final = "kubinet.dev/underlay-mac"
GATEWAY: Final = "kubinet.dev/gateway"
GATEWAY_MAC: Final = "kubinet.dev/gateway-mac"
ZONE: Final = "topology.kubernetes.io/zone"
CHANGES: Final = "kubinet.dev/changes"
"""Annotation of a watch's bookmarks: a JSON object of kinds (`plural.group`) and the version of their last change."""


def node_from_object(obj: Object) -> Node | None:
    """A Node object as the SDN controller sees it; None before its agent has registered it."""
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    pod_cidr = (obj.get("spec") or {}).get("podCIDR")
    if not pod_cidr or any(name not in annotations for name in (INDEX, UNDERLAY_ADDRESS, UNDERLAY_MAC)):
        return None
    gateway = annotations.get(GATEWAY)
    return Node(
        name=metadata["name"],
        index=int(annotations[INDEX]),
        underlay=IPv4Interface(annotations[UNDERLAY_ADDRESS]),
        underlay_mac=annotations[UNDERLAY_MAC],
        pod_cidr=IPv4Network(pod_cidr),
        gateway=IPv4Address(gateway) if gateway else None,
        gateway_mac=annotations.get(GATEWAY_MAC) or None,
        zone=(metadata.get("labels") or {}).get(ZONE, ""),
        labels=metadata.get("labels") or {},
    )


def pod_from_object(obj: Object) -> Pod | None:
    """A Pod object as the SDN controller sees it; None for host-network pods, and before it has node and address."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    if spec.get("hostNetwork") or not spec.get("nodeName") or not status.get("podIP"):
        return None
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        node=spec["nodeName"],
        address=IPv4Address(status["podIP"]),
        labels=metadata.get("labels") or {},
        host_ports=tuple(_host_ports(spec)),
        named_ports=tuple(_named_ports(spec)),
    )


def _named_ports(spec: Object) -> Iterator[ContainerPort]:
    """Of containers that run beside each other: the sidecars among the init containers too (KEP-753)."""
    sidecars = (one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield ContainerPort(port["name"], port["containerPort"], Protocol[port.get("protocol", "TCP")])


def declared_ports(pod: Object) -> Iterator[tuple[int, str]]:
    """The ports that a pod's containers declare: number and protocol."""
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            yield port["containerPort"], port.get("protocol", "TCP")


def namespace_from_object(obj: Object) -> tuple[str, Mapping[str, str]]:
    """A Namespace's name and labels."""
    metadata = obj["metadata"]
    return metadata["name"], metadata.get("labels") or {}


def _host_ports(spec: Object) -> Iterator[HostPort]:
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or "0.0.0.0"
                try:
                    only = IPv4Address(address)
                except AddressValueError:
                    continue  # IPv6, which this data plane does not have
                yield HostPort(
                    port=port["hostPort"],
                    container_port=port["containerPort"],
                    protocol=Protocol[port.get("protocol", "TCP")],
                    address=None if only.is_unspecified else only,
                )


def network_from_topology(obj: Object) -> NetworkConfig:
    """The network section of the object `Topology/cluster`; a datapath still `auto` there does not concern flows."""
    return network_from_document(obj["spec"]["network"])


def cluster_state(topology: Object, nodes: Iterable[Object], pods: Iterable[Object], generation: int) -> ClusterState:
    """The SDN controller's whole input; pods of unknown nodes wait."""
    return StateReader().read(topology, nodes, pods, generation)


class StateReader:
    """`cluster_state` with a memory for snapshots of informers, which put a new object in the place of a changed one.

    An object that is still the same is not parsed again, and one that changed in nothing that the data plane needs
    (a pod's conditions) is the very same value again. For one thread.
    """

    def __init__(self) -> None:
        self._topologies = _Memory(network_from_topology)
        self._nodes = _Memory(node_from_object)
        self._pods = _Memory(pod_from_object)
        self._namespaces = _Memory(namespace_from_object)
        self._policies = _Memory(policy_from_object)
        self._last = ClusterState(NetworkConfig(), {}, {})

    def read(
        self,
        topology: Object,
        nodes: Iterable[Object],
        pods: Iterable[Object],
        generation: int,
        namespaces: Iterable[Object] = (),
        policies: Iterable[Object] = (),
    ) -> ClusterState:
        """The state of these objects; `policies` of all kinds. Without a change the mapping is the same object."""
        [network] = self._topologies.values([topology])
        known = {node.name: node for node in self._nodes.values(nodes) if node is not None}
        placed = (pod for pod in self._pods.values(pods) if pod is not None and pod.node in known)
        self._last = ClusterState(
            network=network,
            nodes=known,
            pods={pod.key: pod for pod in placed},
            namespaces=_kept(self._last.namespaces, dict(self._namespaces.values(namespaces))),
            policies=_kept(self._last.policies, {policy.key: policy for policy in self._policies.values(policies)}),
            generation=generation,
        )
        return self._last


T = TypeVar("T")


def _kept(before: Mapping[str, T], after: Mapping[str, T]) -> Mapping[str, T]:
    """The mapping of before, if nothing changed."""
    return before if before == after else after


class _Memory(Generic[T]):
    """A pure function of wire objects with the values that it gave for the last look's objects, by uid or name."""

    def __init__(self, parse: Callable[[Object], T]) -> None:
        self._parse = parse
        self._known: dict[str, tuple[Object, T]] = {}

    def values(self, objects: Iterable[Object]) -> list[T]:
        """The values, in order."""
        known, self._known = self._known, {}
        values = []
        for obj in objects:
            metadata = obj["metadata"]
            key = metadata.get("uid") or f"{metadata.get('namespace', '')}/{metadata['name']}"
            before = known.get(key)
            if before is not None and before[0] is obj:
                entry = before
            else:
                value = self._parse(obj)
                entry = (obj, before[1] if before is not None and before[1] == value else value)
            self._known[key] = entry
            values.append(entry[1])
        return values
