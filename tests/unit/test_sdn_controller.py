"""What the controller publishes of several nodes, against switches that are a few lines of Python."""

import queue
import struct
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

import pytest
from clusters import node

from controller.compile import Compiler
from controller.complaints import Complaint
from controller.openflow.encode import BundleControl, MessageType
from controller.sdn_controller import Controller, Realised
from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_BRIDGE, datapath_id
from kubinet.policies import EVERYTHING, Action, Direction, PodPeer, Policy, Rule, Tier
from kubinet.state import ClusterState, NetworkConfig, Pod

DEADLINE = 20.0
_HEADER = struct.Struct("!BBHI")
_VERSION = 6


class Bridge:
    """A switch without flows or groups that commits every bundle, unless it is told to wait."""

    def __init__(self, controller: Controller, index: int, bridge: str) -> None:
        self.id = datapath_id(index, bridge)
        self.answers = threading.Event()
        self.answers.set()
        self._controller = controller

    def send(self, data: bytes) -> bool:
        self.answers.wait(DEADLINE)
        while data:
            _, kind, length, xid = _HEADER.unpack_from(data)
            message, data = data[:length], data[length:]
            if kind == MessageType.MULTIPART_REQUEST:
                (part,) = struct.unpack_from("!H", message, 8)
                self._answer(MessageType.MULTIPART_REPLY, xid, struct.pack("!HHI", part, 0, 0))
            if kind == MessageType.BUNDLE_CONTROL:
                bundle, word = struct.unpack_from("!IH", message, 8)
                if word == BundleControl.COMMIT_REQUEST:
                    reply = struct.pack("!IHH", bundle, BundleControl.COMMIT_REPLY, 0)
                    self._answer(MessageType.BUNDLE_CONTROL, xid, reply)
        return True

    def _answer(self, kind: int, xid: int, body: bytes) -> None:
        self._controller.received(self, _HEADER.pack(_VERSION, kind, _HEADER.size + len(body), xid) + body)


class World:
    """A controller of two nodes, n1 and n2."""

    def __init__(self) -> None:
        self.news: queue.Queue[dict[str, Realised]] = queue.Queue()
        self.controller = Controller(lambda: self.news.put(self.controller.realised()))
        self.bridges = {
            index: [Bridge(self.controller, index, name) for name in (INTEGRATION_BRIDGE, UPLINK_BRIDGE)]
            for index in (1, 2)
        }

    def update(self, generation: int, *policies: Policy, pod: int | None = None) -> None:
        """The next state; `pod`: the last byte of the address of the pod on n2."""
        nodes = {one.name: one for one in (node(1), node(2))}
        pods = () if pod is None else (Pod("d", f"p{pod}", "n2", IPv4Address(f"10.244.2.{pod}")),)
        self.controller.update(
            ClusterState(
                NetworkConfig(),
                nodes,
                {one.key: one for one in pods},
                policies={policy.key: policy for policy in policies},
                generation=generation,
                policy_generation=generation - 1,
            )
        )

    def connect(self, index: int) -> None:
        for bridge in self.bridges[index]:
            self.controller.connected(bridge)

    def disconnect(self, index: int) -> None:
        for bridge in self.bridges[index]:
            self.controller.disconnected(bridge)

    def wait(self, holds: Callable[[dict[str, Realised]], bool]) -> dict[str, Realised]:
        while True:
            realised = self.news.get(timeout=DEADLINE)
            if holds(realised):
                return realised

    def wait_for(self, first: int, second: int) -> None:
        """Until n1 and n2 publish these generations."""
        self.wait(lambda realised: (realised["n1"].generation, realised["n2"].generation) == (first, second))


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for index, bridges in world.bridges.items():
        for bridge in bridges:
            bridge.answers.set()
        world.disconnect(index)


DENY = Policy(
    kind="ClusterNetworkPolicy",
    name="apart",
    namespace="",
    tier=Tier.ADMIN,
    subject=PodPeer(EVERYTHING),
    directions=frozenset({Direction.INGRESS}),
    ingress=(Rule((PodPeer(EVERYTHING),), None, Action.DENY),),
)


def test_a_node_publishes_all_its_generations(world: World) -> None:
    """That of policies too, though no flow changes with it."""
    world.update(7)
    world.connect(1)
    realised = world.wait(lambda realised: realised["n1"].generation == 7)
    assert (realised["n1"].policy_generation, realised["n2"].policy_generation) == (6, 0)
    flows = realised["n1"].flows
    world.update(9)
    realised = world.wait(lambda realised: realised["n1"].generation == 9)
    assert (realised["n1"].policy_generation, realised["n1"].flows) == (8, flows)


def test_a_policy_without_flows_is_complained_about(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compiler could not make of a policy is told of the policy, beside the Services' complaints."""
    world.update(7, DENY)
    state = ClusterState(NetworkConfig(), {}, {}, policies={DENY.key: DENY})
    assert list(world.controller.complaints(state)) == []
    failures = property(lambda _: {DENY.key: "it has no flows"})
    monkeypatch.setattr(Compiler, "policy_failures", failures)
    expected = Complaint("ClusterNetworkPolicy/apart", "PolicyNotEnforced", "not enforced as written: it has no flows")
    assert list(world.controller.complaints(state)) == [expected]


def test_denying_by_pods_makes_nodes_wait_for_each_other(world: World) -> None:
    """With such a rule nobody publishes 12 before all have it; without it each node publishes its own."""
    world.update(7)
    world.connect(1)
    world.connect(2)
    world.wait_for(7, 7)
    for bridge in world.bridges[2]:
        bridge.answers.clear()
    world.update(12, DENY, pod=2)
    # n1 has its new flows, and publishes what n2 has.
    world.wait(lambda realised: realised["n1"].policy_generation == 11)
    assert world.controller.realised()["n1"].generation == 7
    for bridge in world.bridges[2]:
        bridge.answers.set()
    world.wait_for(12, 12)
    for bridge in world.bridges[2]:
        bridge.answers.clear()
    world.update(15, pod=3)
    world.wait_for(15, 12)


def test_a_node_without_a_connection_holds_nobody_up(world: World) -> None:
    """n2 never came, or went away: n1 goes on."""
    world.update(7, DENY)
    world.connect(1)
    world.wait_for(7, 0)
    world.connect(2)
    world.wait_for(7, 7)
    world.disconnect(2)
    world.update(9, DENY)
    world.wait_for(9, 0)
