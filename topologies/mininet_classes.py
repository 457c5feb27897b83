"""Mininet's classes as the underlay uses them: same objects and prompt, but interfaces are made by netlink in batches.

Mininet starts a program for every address, flag and rate; here `topologies.build` has done all that before Mininet sees
the interface, so these classes only keep its books.
"""

from typing import Any

from mininet.link import Intf, Link
from mininet.net import Mininet
from mininet.node import Node


class ReadyInterface(Intf):  # type: ignore[misc]
    """An interface that exists and is configured already."""

    def config(self, **_params: Any) -> dict[str, Any]:
        """Nothing is left to configure."""
        return {}


class ReadyLink(Link):  # type: ignore[misc]
    """A link whose two interfaces exist already, whatever carries its frames."""

    def __init__(self, node1: Node, node2: Node, **params: Any) -> None:
        Link.__init__(self, node1, node2, **{**params, "intf": ReadyInterface})

    @classmethod
    def makeIntfPair(cls, *_args: Any, **_kwargs: Any) -> None:  # noqa: N802 - Mininet's name
        """The interfaces were made in their namespaces."""


class KubeNode(Node):  # type: ignore[misc]
    """A Mininet host that acts as a Kubernetes node."""


class OutsideHost(Node):  # type: ignore[misc]
    """A Mininet host outside the cluster."""


class Router(Node):  # type: ignore[misc]
    """A layer-3 device: a namespace that forwards."""


class BridgeSwitch(Node):  # type: ignore[misc]
    """A layer-2 switch: a namespace with a Linux bridge named like it."""


def empty_network() -> Mininet:
    """A Mininet network without controller; its own start-up changes the machine's limits, which is not ours to do."""
    Mininet.inited = True
    return Mininet(controller=None, build=False, waitConnected=False)
