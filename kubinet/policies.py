"""Network policies as frozen values: what NetworkPolicy and the cluster-wide kinds say, free of their spelling.

Sources: networking.k8s.io/v1 NetworkPolicy; policy.networking.k8s.io AdminNetworkPolicy and BaselineAdminNetworkPolicy
(v1alpha1) and ClusterNetworkPolicy (v1alpha2). `kubinet.policyobjects` reads them from wire objects; the oracle
(`kubinet.policy`) and the compiler (`controller.policy`) both start from here and share nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import TypeAlias

from kubinet.transport import Protocol


class Direction(StrEnum):
    """Seen from the pod that a policy selects."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Action(StrEnum):
    """What a rule does with what it matches; a NetworkPolicy's rules all accept."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105 - not a password
    """Leave the tier: the next one decides."""


class Tier(StrEnum):
    """In the order of evaluation."""

    ADMIN = "Admin"
    NAMESPACE = "NetworkPolicy"
    BASELINE = "Baseline"


class Operator(StrEnum):
    """Of a label selector's requirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it; a label that is absent satisfies `NotIn` (metav1.LabelSelector)."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector: all requirements hold. Without requirements it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects what has these labels."""
        return all(requirement.matches(labels) for requirement in self.requirements)


EVERYTHING = Selector()


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by the labels of their namespaces and their own; pods of the host network are never among them."""

    namespaces: Selector | None
    """None: the policy's own namespace only."""
    pods: Selector = EVERYTHING


@dataclass(frozen=True, slots=True)
class BlockPeer:
    """Addresses: `cidr` without `exceptions`."""

    cidr: IPv4Network
    exceptions: tuple[IPv4Network, ...] = ()

    def contains(self, address: IPv4Address) -> bool:
        """Whether the address is meant."""
        return address in self.cidr and not any(address in exception for exception in self.exceptions)


@dataclass(frozen=True, slots=True)
class NodePeer:
    """Nodes by their labels, as destinations: the addresses of their Node objects."""

    nodes: Selector


Peer: TypeAlias = PodPeer | BlockPeer | NodePeer


@dataclass(frozen=True, slots=True)
class PortRange:
    """Destination ports of a protocol, both ends included; 0 to 65535 is every port."""

    protocol: Protocol
    first: int = 0
    last: int = 65535


@dataclass(frozen=True, slots=True)
class NamedPort:
    """The container port of this name of the pod that is the destination."""

    name: str
    protocol: Protocol | None
    """None: whatever protocol the container's port has (`destinationNamedPort`)."""


PortMatch: TypeAlias = PortRange | NamedPort


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule of a policy matches, and what then."""

    peers: tuple[Peer, ...] | None = None
    """None: anybody; empty: nobody (blocks of another address family are left out)."""
    ports: tuple[PortMatch, ...] | None = None
    """None: everything, also what has no ports; empty: nothing."""
    action: Action = Action.ACCEPT
    name: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy object."""

    kind: str
    name: str
    namespace: str
    """Empty for cluster-wide kinds."""
    tier: Tier
    subject: PodPeer
    """The pods that it is for."""
    directions: frozenset[Direction]
    """NetworkPolicy: where it isolates its pods (`policyTypes`). Others: where they have rules."""
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    priority: int = 0
    """Admin and Baseline tier: lower ones decide first; equal ones by kind and name."""

    @property
    def key(self) -> str:
        """`Kind/namespace/name` or `Kind/name`: as the owner of its flows is written."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        """The rules of one direction."""
        return self.ingress if direction is Direction.INGRESS else self.egress
