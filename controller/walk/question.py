"""What a walk is asked: who sends what to whom."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from kubinet.state import Node, Pod
from kubinet.transport import Protocol

SOURCE_PORT: Final = 40000
"""Outside of the range that sources are translated to."""


@dataclass(frozen=True, slots=True)
class FromPod:
    """A pod that has an address of its own."""

    pod: Pod


@dataclass(frozen=True, slots=True)
class FromNode:
    """A program of a node, or a pod of the host network."""

    node: Node


@dataclass(frozen=True, slots=True)
class FromOutside:
    """A host that is no node."""

    address: IPv4Address
    name: str = ""


Sender: TypeAlias = FromPod | FromNode | FromOutside


@dataclass(frozen=True, slots=True)
class Question:
    """A connection's first packet, or with `established` one that is sent later."""

    sender: Sender
    destination: IPv4Address
    protocol: Protocol | None
    """None: ICMP echo."""
    port: int = 0
    source_port: int = SOURCE_PORT
    established: bool = False
    """The connection is older than the present policies: what do they do with it?"""
    blocked: bool = False
    """With `established`: a policy has denied it before (CT_BLOCKED)."""
    endpoint: tuple[IPv4Address, int] | None = None
    """The endpoint that a Service is to choose, where its algorithm may choose it; None: whichever it chooses."""
