"""Mininet's classes as the underlay uses them: same objects and prompt, but interfaces are made by netlink in batches.

Mininet starts a program for every address, flag and rate; here `topologies.build` has done all that before Mininet sees
the interface, so these classes only keep its books.
"""

from ipaddress import IPv4Interface
from typing import Any

from mininet.link import Intf, Link
from mininet.log import lg
from mininet.net import Mininet
from mininet.node import Node


class ReadyInterface(Intf):  # type: ignore[misc]
    """An interface that exists and is configured already.

    Its address is the plan's: a node's agent moves it to another interface, where Mininet would not find it.
    """

    def config(self, address: IPv4Interface | None = None, hardware: str = "", **_params: Any) -> dict[str, Any]:
        """Nothing is left to configure; keep what Mininet's prompt asks for."""
        self.ip = str(address.ip) if address is not None else None
        self.prefixLen = address.network.prefixlen if address is not None else None
        self.mac = hardware
        return {}

    def updateIP(self) -> str | None:  # noqa: N802 - Mininet's name
        """The address; `n1 ping n2` in Mininet's prompt puts it in the place of `n2`."""
        address: str | None = self.ip
        return address

    def updateMAC(self) -> str:  # noqa: N802 - Mininet's name
        """The MAC address."""
        return str(self.mac)

    def updateAddr(self) -> tuple[str | None, str]:  # noqa: N802 - Mininet's name
        """Both."""
        return self.updateIP(), self.updateMAC()


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
    lg.propagate = False  # what the prompt prints comes once, without our log's time and level
    return Mininet(controller=None, build=False, waitConnected=False)
