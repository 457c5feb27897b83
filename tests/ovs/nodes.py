"""A node of the cluster as a private Open vSwitch whose ports record what leaves through them."""

import struct
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Protocol

from frames import Frame, read, read_pcap
from private_ovs import OpenVSwitch
from service_states import PHY, ROUTER

from agents.ovsrpc import Appctl
from controller.compile import Compiler
from controller.openflow.decode import decode
from controller.openflow.encode import VERSION
from controller.pipeline import BRIDGES
from controller.sdn_session import Session
from kubinet.addressing import datapath_id
from kubinet.state import ClusterState, Node

GATEWAY, UNDERLAY, UNDERLAY_LOCAL = "gw0", "eth0", "br-phy"
DEADLINE = 30.0
_QUEUE = 50
"""Packets to put in at once: a dummy port's queue holds 100."""
_HELLO = struct.pack("!BBHI", VERSION, 0, 8, 1)


class _Wire:
    """An OpenFlow connection over a bridge's management socket, as the framework's `Switch`."""

    def __init__(self, path: Path, identity: int) -> None:
        self.id = identity
        self._socket = socket(AF_UNIX)
        self._socket.connect(str(path))
        self._socket.sendall(_HELLO)

    def send(self, data: bytes) -> bool:
        self._socket.sendall(data)
        return True

    def listen(self, session: Session) -> None:
        """Hand on what the switch says until the connection ends."""
        stream = self._socket.makefile("rb")
        while len(head := stream.read(8)) == 8:
            data = head + stream.read(int.from_bytes(head[2:4], "big") - 8)
            answer = decode(data)
            if answer is not None:
                session.received(answer)

    def close(self) -> None:
        self._socket.shutdown(2)
        self._socket.close()


class NodeSwitch:
    """br-int and br-phy of one node. Frames go in at a port; what comes out of all ports is read."""

    def __init__(self, ovs: OpenVSwitch, node: Node, pod_ports: Sequence[int]) -> None:
        self.ovs, self.node = ovs, node
        ovs.add_node(node.index, pod_ports, None)
        self.ports = {GATEWAY: GATEWAY, UNDERLAY: UNDERLAY, UNDERLAY_LOCAL: UNDERLAY_LOCAL}
        self.ports |= {f"p{number}": f"p{number}" for number in pod_ports}
        words = ["--", "set", "open_vswitch", ".", "other_config:max-revalidator=100"]
        for port in self.ports:
            words += ["--", "set", "interface", port, f"options:tx_pcap={self._pcap(port)}"]
        ovs.vsctl(*words[1:])
        self._seen = dict.fromkeys(self.ports, 0)
        self._open = ExitStack()
        self.appctl = self._open.enter_context(Appctl(ovs.folder / "switch.ctl", timeout=DEADLINE))
        self._controllers: list[NodeController] = []

    def _pcap(self, port: str) -> Path:
        return self.ovs.folder / f"{port}.pcap"

    def send(self, port: str, *frames: Frame) -> dict[str, list[Frame]]:
        """Put frames in at a port; what left through each port meanwhile."""
        done = self._received(port)
        end = time.monotonic() + DEADLINE
        for start in range(0, len(frames), _QUEUE):
            some = frames[start : start + _QUEUE]
            self.appctl("netdev-dummy/receive", port, *(frame.pack().hex() for frame in some))
            done += len(some)
            while self._received(port) < done:
                # Each question is a round of the switch's main loop, which takes in one packet of the port.
                assert time.monotonic() < end, f"{port} took {self._received(port)} packets of {done}"
        return self.left()

    def one(self, port: str, frame: Frame) -> tuple[str, Frame]:
        """Put a frame in: the only port that something left through, and what."""
        out = [(name, frame) for name, frames in self.send(port, frame).items() for frame in frames]
        assert len(out) == 1, f"{frame} left as {out}"
        return out[0]

    def _received(self, port: str) -> int:
        """Packets that the datapath took from a port so far."""
        lines = self.appctl("dpctl/show", "-s").splitlines()
        at = next(index for index, line in enumerate(lines) if f": {port} " in f"{line} ")
        return int(lines[at + 1].split("packets:")[1].split()[0])

    def left(self) -> dict[str, list[Frame]]:
        """What left through each port since it was asked last."""
        found: dict[str, list[Frame]] = {}
        for port in self.ports:
            packets = read_pcap(self._pcap(port), self._seen[port])
            self._seen[port] += len(packets)
            frames = [frame for frame in map(read, packets) if frame is not None]
            if frames:
                found[port] = frames
        return found

    def connections(self, zone: int = 1) -> list[str]:
        """Tracked connections."""
        return self.appctl("dpctl/dump-conntrack", f"zone={zone}").splitlines()

    def flush(self) -> None:
        """Forget all connections."""
        self.appctl("dpctl/flush-conntrack")

    def settle(self) -> None:
        """Wait until the datapath obeys the flows, and flows were learned of what it has forwarded."""
        for _ in range(2):  # the round of checks that runs may have begun before the last change
            self.appctl("revalidator/wait")

    def learned(self) -> list[str]:
        """Flows of session affinity."""
        return [line for line in self.ovs.dump("br-int") if "table=24" in line and "nw_src" in line]

    def controller(self) -> "NodeController":
        """A new controller, connected to both bridges."""
        controller = NodeController(self)
        self._controllers.append(controller)
        return controller

    def close(self) -> None:
        for controller in self._controllers:
            controller.end()
        self._open.close()


class Switchlike(Protocol):
    """A node's bridges that a controller can be connected to."""

    @property
    def ovs(self) -> OpenVSwitch: ...

    @property
    def node(self) -> Node: ...

    def settle(self) -> None: ...


class NodeController:
    """One controller's sessions of a node's bridges, with a compiler of its own."""

    def __init__(self, switch: Switchlike) -> None:
        self._name, self.settle = switch.node.name, switch.settle
        self._news = threading.Event()
        self._compiler = Compiler()
        self._generation = 0
        self._ended = False
        self.sessions: dict[str, Session] = {}
        self._wires = []
        for bridge in BRIDGES:
            wire = _Wire(switch.ovs.folder / f"{bridge}.mgmt", datapath_id(switch.node.index, bridge))
            session = self.sessions[bridge] = Session(wire, self._news.set, audit_seconds=0.2)
            self._wires.append(wire)
            threading.Thread(target=wire.listen, args=(session,), daemon=True).start()
            session.start()

    def bring(self, state: ClusterState) -> None:
        """The cluster's state; returns when the bridges have acknowledged it and their datapath obeys it."""
        self._generation += 1
        programs = self._compiler.compile(replace(state, generation=self._generation))[self._name]
        assert not isinstance(programs, Exception)
        for bridge, session in self.sessions.items():
            session.want(programs[bridge], (self._generation, 0, 0))
        while any(session.realised[0] != self._generation for session in self.sessions.values()):
            assert self._news.wait(DEADLINE), [session.last_error for session in self.sessions.values()]
            self._news.clear()
        assert not any(session.last_error for session in self.sessions.values())
        self.settle()

    def end(self) -> None:
        """The connections end; the bridges keep what they have."""
        if not self._ended:
            self._ended = True
            for session, wire in zip(self.sessions.values(), self._wires, strict=True):
                session.end()
                wire.close()


def program(nodes: dict[int, NodeSwitch], state: ClusterState) -> None:
    """A controller brings both nodes to the state and goes."""
    for node in nodes.values():
        controller = node.controller()
        controller.bring(state)
        controller.end()


def cross(frame: Frame, to: int) -> Frame:
    """What the routers between the nodes make of a frame."""
    return replace(frame, eth_src=ROUTER[to], eth_dst=PHY[to], ttl=frame.ttl - 1)
