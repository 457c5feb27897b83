"""Desired flows: a pure function of cluster state and node, and the same with a memory for small changes.

A program's layers: what depends on nodes alone, the node's pods, Services that are the same everywhere (one object for
all nodes), what is the node's own of Services, the policies of the node's pods, and the log of what they deny.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from controller.complaints import Complaint, complaints
from controller.features import base, connections, gateway, hostports, overlay, pods, policies, services, uplink
from controller.features.balancing import Backends
from controller.features.common import TOPOLOGY, BridgeFlow, Feature, node_owner, pod_owner, service_owner
from controller.pipeline import BRIDGES
from controller.policy.contexts import owner_of
from controller.policy.meanings import Meaning
from controller.policy.policy_compile import PolicyCompiler
from controller.program import EMPTY, Layer, Part, PartKey, Program, parts_by_bridge
from controller.service_compile import ServiceCompiler
from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_BRIDGE
from kubinet.state import ClusterState, NetworkConfig, Node, Pod, ServiceProxy

Programs: TypeAlias = Mapping[str, Program]
"""A node's programs by bridge."""

_NODE_FEATURES: Final[tuple[Feature, ...]] = (
    base.flows,
    connections.flows,
    pods.shared_flows,
    gateway.flows,
    overlay.flows,
    uplink.flows,
    policies.flows,
)
"""Features whose flows depend on neither pods nor Services."""
_DENIED_LOG: Final = Layer({"log": parts_by_bridge(policies.log_flows())[INTEGRATION_BRIDGE]})
"""The same for all nodes."""


def programs(state: ClusterState, node: Node) -> Programs:
    """Everything that the node's bridges are to have."""
    made = Compiler().compile(state)[node.name]
    if isinstance(made, Exception):
        raise made
    return made


def owners(state: ClusterState) -> Mapping[int, str]:
    """What a cookie's lower 32 bits stand for: object ids to `Kind/name` or `Kind/namespace/name`."""
    known = [
        TOPOLOGY,
        *(node_owner(node) for node in state.nodes.values()),
        *(pod_owner(pod) for pod in state.pods.values()),
        *(service_owner(service) for service in state.services.values()),
        *(owner_of(key) for key in state.policies),
    ]
    names: dict[int, str] = {}
    for owner in known:
        # Two objects may share an id (32 bits of a hash): both are named then.
        names[owner.id] = f"{names[owner.id]}, {owner}" if owner.id in names else str(owner)
    return names


def _node_flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    for feature in _NODE_FEATURES:
        yield from feature(state, node)
    if state.network.services is ServiceProxy.SDN:
        yield from services.refusals(state, node)


@dataclass(slots=True)
class _Remembered:
    """One node as it was compiled last."""

    node: Node
    base: Mapping[str, Layer]
    pods: Mapping[str, Pod] = field(default_factory=dict)
    pod_layer: Layer = EMPTY
    uplink_layer: Layer = EMPTY
    programs: Programs = field(default_factory=dict)


def _same(before: Sequence[Layer], after: Sequence[Layer]) -> bool:
    return len(before) == len(after) and all(one is other for one, other in zip(before, after, strict=True))


class Compiler:
    """All nodes' programs, with a memory: what comes or goes costs its own flows, and others nothing.

    An unchanged program is the same object as before, so callers compare with `is`.
    """

    def __init__(self) -> None:
        self._surroundings: tuple[NetworkConfig, Mapping[str, Node]] | None = None
        self._nodes: dict[str, _Remembered] = {}
        self._pods: dict[str, tuple[Pod, Node, Part]] = {}
        self._services = ServiceCompiler()
        self._policies = PolicyCompiler()

    def compile(self, state: ClusterState) -> Mapping[str, Programs | Exception]:
        """Every node's programs; a node whose flows cannot be made has the error in their place."""
        surroundings = (state.network, dict(state.nodes))
        same = surroundings == self._surroundings
        # Complete before others see it: meanwhile `backends` is asked for packets that wait.
        known = self._services if same else ServiceCompiler()
        known.update(state)
        if not same:
            self._nodes.clear()
            self._surroundings, self._services = surroundings, known
            self._policies = PolicyCompiler()
        try:
            self._policies.update(state)
        except Exception:
            # What it knows is half of one state and half of another.
            self._policies = PolicyCompiler()
            raise
        by_node: dict[str, dict[str, Pod]] = {name: {} for name in state.nodes}
        for key, pod in state.pods.items():
            if pod.node in by_node:
                by_node[pod.node][key] = pod
        for gone in self._pods.keys() - state.pods.keys():
            del self._pods[gone]
        return {name: self._node(state, node, by_node[name]) for name, node in state.nodes.items()}

    def complaints(self, state: ClusterState) -> Iterator[Complaint]:
        """What of the state's Services is not in force as it stands, after `compile`."""
        return complaints(state, self._services.clashes, self._services.failures)

    @property
    def policy_failures(self) -> Mapping[str, str]:
        """Policies that are not in force as they stand, and why, after `compile`."""
        return self._policies.failures

    def deciders(self) -> Mapping[int, Meaning]:
        """What the numbers in EGRESS_RULE and INGRESS_RULE stand for, after `compile`."""
        return self._policies.deciders()

    def meanings(self) -> Mapping[int, str]:
        """The same in words."""
        return {number: str(meaning) for number, meaning in self.deciders().items()}

    def backends(self, node: str, number: int) -> Backends | None:
        """A set of endpoints that connections on the node choose from, by its id."""
        return self._services.backends(node, number)

    @property
    def backends_numbers(self) -> Container[int]:
        """The ids of all sets of endpoints that there are, after `compile`."""
        return self._services.numbers

    def _node(self, state: ClusterState, node: Node, own: dict[str, Pod]) -> Programs | Exception:
        try:
            if (wrong := self._policies.errors.get(node.name)) is not None:
                raise wrong
            known = self._nodes.get(node.name)
            if known is None:
                made = {
                    bridge: Layer({"base": part}) for bridge, part in parts_by_bridge(_node_flows(state, node)).items()
                }
                known = self._nodes[node.name] = _Remembered(node, made)
            if known.pods != own:
                pods_: dict[PartKey, Part] = {("pod", key): self._pod(pod, node) for key, pod in own.items()}
                host = parts_by_bridge(hostports.flows(own.values(), node, state.network))
                if INTEGRATION_BRIDGE in host:
                    pods_["host ports"] = host[INTEGRATION_BRIDGE]
                known.pod_layer = Layer(pods_)
                known.uplink_layer = Layer({"host ports": host[UPLINK_BRIDGE]}) if UPLINK_BRIDGE in host else EMPTY
                known.pods = own
            layers = {
                bridge: (
                    known.base.get(bridge, EMPTY),
                    known.pod_layer if bridge == INTEGRATION_BRIDGE else known.uplink_layer,
                    *self._services.layers(node, bridge),
                    *(self._policies.layers(node) if bridge == INTEGRATION_BRIDGE else ()),
                    _DENIED_LOG if state.log_denied and bridge == INTEGRATION_BRIDGE else EMPTY,
                )
                for bridge in BRIDGES
            }
        except Exception as error:
            return error
        before = known.programs
        if not all(bridge in before and _same(before[bridge].layers, layers[bridge]) for bridge in BRIDGES):
            known.programs = {
                bridge: before[bridge]
                if bridge in before and _same(before[bridge].layers, layers[bridge])
                else Program(layers[bridge])
                for bridge in BRIDGES
            }
        return known.programs

    def _pod(self, pod: Pod, node: Node) -> Part:
        known = self._pods.get(pod.key)
        if known is not None and known[0] == pod and known[1] == node:
            return known[2]
        made = parts_by_bridge(pods.pod_flows(pod, node))[INTEGRATION_BRIDGE]
        self._pods[pod.key] = (pod, node, made)
        return made
