"""The nouns of a running cluster as frozen values.

`ClusterFacts` is what the underlay's builder tells the other parts about the machine it built (written once, as JSON).
`ClusterState` is the SDN controller's whole input: desired flows are a pure function of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from kubinet.addressing import gateway_address, pod_mac, pod_port
from kubinet.policies import Policy
from kubinet.transport import Protocol


class Overlay(StrEnum):
    """How a packet crosses the underlay between two nodes' pods."""

    VXLAN = "vxlan"
    GENEVE = "geneve"
    DIRECT = "direct"

    @property
    def overhead(self) -> int:
        """Bytes of outer headers per packet over IPv4: 20 + 8 + 8 + 14 for VXLAN (RFC 7348) and Geneve (RFC 8926)."""
        return 0 if self is Overlay.DIRECT else 50


class Datapath(StrEnum):
    """Open vSwitch's datapath: the kernel's, or userspace with packet sockets or AF_XDP."""

    SYSTEM = "system"
    NETDEV = "netdev"
    AFXDP = "afxdp"


class ServiceProxy(StrEnum):
    """Who realises Services on a node."""

    SDN = "sdn"
    """OpenFlow on the node's br-int."""
    NFTABLES = "nftables"
    """The node's kernel, with rules of the form that kube-proxy's nftables mode writes: the baseline."""


class Algorithm(StrEnum):
    """How a Service's endpoint is chosen for a new connection (docs/load-balancing.md)."""

    HASH = "hash"
    RANDOM = "random"
    ROUND_ROBIN = "round-robin"
    WEIGHTED = "weighted"
    MAGLEV = "maglev"
    LEAST_CONNECTIONS = "least-connections"
    SOURCE_HASH = "source-hash"


class Established(StrEnum):
    """What a policy does to connections that are older than it."""

    CUT = "cut"
    """Those that it forbids end: their packets are dropped, both ways."""
    KEEP = "keep"
    """They go on until they end."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A cluster's network section, with every default filled in."""

    overlay: Overlay = Overlay.VXLAN
    datapath: Datapath = Datapath.NETDEV
    pod_cidr: IPv4Network = IPv4Network("10.244.0.0/16")
    node_prefix_length: int = 24
    service_cidr: IPv4Network = IPv4Network("10.96.0.0/16")
    underlay_cidr: IPv4Network = IPv4Network("172.18.0.0/16")
    management_cidr: IPv4Network = IPv4Network("172.30.0.0/16")
    load_balancer_cidr: IPv4Network = IPv4Network("172.31.0.0/24")
    """Addresses of Services of type LoadBalancer; routed to the nodes by the underlay."""
    underlay_mtu: int = 1500
    services: ServiceProxy = ServiceProxy.SDN
    load_balancer: Algorithm = Algorithm.RANDOM
    """For Services that do not choose with the annotation `kubinet.dev/load-balancer`."""
    established: Established = Established.CUT
    """Connections that a new policy forbids."""
    dns_replicas: int = 2
    """Pods of the cluster's DNS; 0: none."""
    dns_upstream: str | None = None
    """The outside host that answers for names outside of the cluster."""

    @property
    def pod_mtu(self) -> int:
        """The underlay's MTU less the overlay's outer headers, bytes."""
        return self.underlay_mtu - self.overlay.overhead

    @property
    def dns_service_address(self) -> IPv4Address:
        """The clusterIP of the cluster's DNS: the tenth of serviceCIDR, as kubeadm has it."""
        return self.service_cidr[10]

    @property
    def management_address(self) -> IPv4Address:
        """The sandbox's own address on the management network: the first one."""
        return self.management_cidr[1]

    @property
    def api_service_address(self) -> IPv4Address:
        """The clusterIP of Service default/kubernetes: the first of serviceCIDR, as upstream."""
        return self.service_cidr[1]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One Mininet host that acts as a node, as the underlay's builder made it."""

    name: str
    index: int
    """1, 2, … in the topology's order; part of datapath ids and conntrack zones."""
    pid: int
    """A process in the node's network namespace, in the sandbox's pid namespace."""
    interface: str
    """The underlay interface's name in the node's namespace, still without an address."""
    mac: str
    """The node's MAC address on the underlay, for the uplink bridge; the interface itself has another one."""
    underlay: IPv4Interface
    """The node's address on the underlay, to be put on the uplink bridge's local port."""
    gateway: IPv4Address | None
    """The node's default router on the underlay; None on a single layer-2 segment without a router."""
    gateway_mac: str | None
    management: IPv4Interface
    """The address of the node's `mgmt` interface, already configured."""
    pod_cidr: IPv4Network
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutsideFacts:
    """One outside host: a Mininet host that is no node and runs nothing of Kubernetes."""

    name: str
    pid: int
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the underlay's builder made; read by agents, controller and command line."""

    name: str
    network: NetworkConfig
    management_address: IPv4Address
    """The sandbox's own address on the management network: the controller and the API listen there."""
    nodes: tuple[NodeFacts, ...]
    outside: tuple[OutsideFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the SDN controller sees it (from the Node object)."""

    name: str
    index: int
    underlay: IPv4Interface
    underlay_mac: str
    pod_cidr: IPv4Network
    gateway: IPv4Address | None = None
    gateway_mac: str | None = None
    zone: str = ""
    """The label topology.kubernetes.io/zone."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def pod_gateway(self) -> IPv4Address:
        """The address of the node's own stack in the pod network."""
        return gateway_address(self.pod_cidr)

    @property
    def pod_gateway_mac(self) -> str:
        """The MAC address of the node's gateway port."""
        return pod_mac(self.pod_gateway)


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of its node's address that leads to a pod (`hostPort` of a container's port)."""

    port: int
    container_port: int
    protocol: Protocol = Protocol.TCP
    address: IPv4Address | None = None
    """`hostIP`: the only address of the node that it is for; None: all."""


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A container's port with a name, which policies may use."""

    name: str
    number: int
    protocol: Protocol = Protocol.TCP


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that has an address of its own (host-network pods are not in `ClusterState`)."""

    namespace: str
    name: str
    node: str
    address: IPv4Address
    labels: Mapping[str, str] = field(default_factory=dict)
    host_ports: tuple[HostPort, ...] = ()
    named_ports: tuple[ContainerPort, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def mac(self) -> str:
        """The pod's MAC address, a function of its address."""
        return pod_mac(self.address)

    def port(self, node: Node) -> int:
        """The pod's OpenFlow port on its node's br-int."""
        return pod_port(self.address, node.pod_cidr)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that serves a Service's port (an entry of an EndpointSlice)."""

    address: IPv4Address
    port: int
    node: str = ""
    """The node's name; empty for addresses that are on none."""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zones: frozenset[str] = frozenset()
    """Hints: the zones whose nodes should use it; empty for no hint."""
    nodes: frozenset[str] = frozenset()
    """Hints: the nodes that should use it; empty for no hint."""
    weight: int = 1
    """Share of new connections with the algorithm `weighted`."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with the endpoints behind it, in the order of their addresses."""

    name: str
    protocol: Protocol
    port: int
    node_port: int | None = None
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A Service that the data plane realises (headless ones and ExternalName are DNS's business alone)."""

    namespace: str
    name: str
    cluster_ip: IPv4Address
    ports: tuple[ServicePort, ...]
    external_ips: tuple[IPv4Address, ...] = ()
    load_balancer_ips: tuple[IPv4Address, ...] = ()
    source_ranges: tuple[IPv4Network, ...] = ()
    """Who may use the load balancer's addresses; empty: everybody."""
    affinity_seconds: int | None = None
    """`sessionAffinity: ClientIP`: how long after a client's last new connection it keeps its endpoint."""
    internal_local: bool = False
    external_local: bool = False
    health_check_node_port: int | None = None
    algorithm: Algorithm = Algorithm.RANDOM

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def external(self) -> tuple[IPv4Address, ...]:
        """Addresses that the outside reaches it by, beside the nodes' own."""
        return self.load_balancer_ips + self.external_ips


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Everything that the desired flows depend on.

    `generation` is the highest API resourceVersion contained in it; a node that has realised the state's flows
    is said to realise that generation.
    """

    network: NetworkConfig
    nodes: Mapping[str, Node]
    pods: Mapping[str, Pod]
    services: Mapping[str, Service] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Namespaces' labels by name."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """Network policies of all kinds by `Policy.key`."""
    connections: Mapping[tuple[IPv4Address, int], int] = field(default_factory=dict)
    """Open Service connections by endpoint, as the nodes last reported; for the algorithm `least-connections`."""
    generation: int = 0
    endpoint_generation: int = 0
    """The resourceVersion of EndpointSlices up to which `services` knows them."""
    service_generation: int = 0
    """The resourceVersion of Services up to which `services` knows them."""
    policy_generation: int = 0
    """The resourceVersion of policies and namespaces up to which the state knows them."""
    log_denied: bool = False
    """Packets that policies deny are told to the controller."""
    topology_generation: int = 0
    """The resourceVersion of the object `Topology/cluster`."""
