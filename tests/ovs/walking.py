"""Nodes of a cluster, each with a private Open vSwitch of its own, for the pipeline walk to ask."""

from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from nodes import NodeController
from private_ovs import OpenVSwitch

from agents.ovsrpc import Appctl
from controller.walk.hops import Hop, Journey, StackHop, SwitchHop, Walk
from controller.walk.question import FromNode, FromOutside, FromPod, Question, Sender
from controller.walk.walker import Walker
from kubinet.addressing import FIRST_POD_PORT
from kubinet.state import ClusterState, Node, Overlay
from kubinet.transport import Protocol


class WalkedNode:
    """br-int and br-phy of one node; its underlay address and its way to the other nodes are known to the switch."""

    def __init__(self, folder: Path, node: Node, state: ClusterState, pod_ports: int) -> None:
        self.node = node
        self._open = ExitStack()
        folder.mkdir()
        self.ovs = OpenVSwitch(folder, tunnels=True)
        self._open.callback(self.ovs.stop)
        self.ovs.start()
        overlay = state.network.overlay
        ports = range(FIRST_POD_PORT + 2, FIRST_POD_PORT + 2 + pod_ports)
        self.ovs.add_node(node.index, list(ports), None if overlay is Overlay.DIRECT else overlay.value)
        self.appctl = self._open.enter_context(Appctl(folder / "switch.ctl", timeout=30.0))
        self.appctl("netdev-dummy/ip4addr", "br-phy", str(node.underlay))
        self.appctl("tnl/neigh/set", "br-phy", str(node.gateway), str(node.gateway_mac))
        for peer in state.nodes.values():
            if peer.name != node.name:
                self.appctl("ovs/route/add", f"{peer.underlay.ip}/32", "br-phy", str(node.gateway))
        self._controller = NodeController(self)
        self._open.callback(self._controller.end)

    def settle(self) -> None:
        """Nothing waits in the datapath: no packet ever passes."""

    def bring(self, state: ClusterState) -> None:
        """Install the state's flows and groups."""
        self._controller.bring(state)

    def close(self) -> None:
        self._open.close()


class WalkedCluster:
    """All nodes of a state: a `controller.walk.tracer.Tracer`."""

    def __init__(self, folder: Path, state: ClusterState, *, pod_ports: int = 3) -> None:
        self.overlay = state.network.overlay.value
        self.nodes: dict[str, WalkedNode] = {}
        try:
            for node in state.nodes.values():
                self.nodes[node.name] = WalkedNode(folder / node.name, node, state, pod_ports)
        except BaseException:
            self.close()
            raise

    def bring(self, state: ClusterState) -> None:
        """Install the state's flows on its nodes, which must be those of the first state, or some of them."""
        for name in state.nodes:
            self.nodes[name].bring(state)

    def trace(self, node: str, words: Sequence[str]) -> str:
        return self.nodes[node].appctl(*words)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def ask(
    walked: WalkedCluster,
    state: ClusterState,
    sender: str,
    destination: str,
    port: int = 8080,
    protocol: Protocol | None = Protocol.TCP,
    **options: Any,
) -> Journey:
    """Install the state and ask; the sender is a pod of namespace default, a node, or an outside address."""
    walked.bring(state)
    source: Sender
    if sender in state.nodes:
        source = FromNode(state.nodes[sender])
    elif f"default/{sender}" in state.pods:
        source = FromPod(state.pods[f"default/{sender}"])
    else:
        source = FromOutside(IPv4Address(sender))
    return Walker(state, walked).journey(Question(source, IPv4Address(destination), protocol, port, **options))


def way(walk: Walk | None) -> str:
    """The hops in short: `n1:br-int` a node's bridges, `n1` its own stack, `~` the underlay."""
    return " ".join(map(_place, walk.hops)) if walk is not None else "none"


def _place(hop: Hop) -> str:
    if isinstance(hop, SwitchHop):
        return f"{hop.node}:{hop.bridge}"
    return hop.node if isinstance(hop, StackHop) else "~"
