"""Desired flows: a pure function of cluster state and node, and the same with a memory for small changes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from controller.features import base, gateway, overlay, pods, uplink
from controller.features.common import TOPOLOGY, BridgeFlow, Feature, node_owner, pod_owner
from controller.openflow.flow import Flow, FlowKey
from controller.pipeline import BRIDGES, PipelineError
from kubinet.state import ClusterState, NetworkConfig, Node, Pod

FlowTable: TypeAlias = Mapping[FlowKey, Flow]
"""All flows of one bridge by what identifies them there."""
NodeFlows: TypeAlias = Mapping[str, FlowTable]
"""A node's flows by bridge."""

_NODE_FEATURES: Final[tuple[Feature, ...]] = (base.flows, pods.shared_flows, gateway.flows, overlay.flows, uplink.flows)
"""Features whose flows do not depend on pods."""


def flows(state: ClusterState, node: Node) -> NodeFlows:
    """Every flow that the node's bridges are to have."""
    return _by_bridge([*_node_flows(state, node), *pods_of(state, node)])


def owners(state: ClusterState) -> Mapping[int, str]:
    """What a cookie's lower 32 bits stand for: object ids to `Kind/name` or `Kind/namespace/name`."""
    known = [
        TOPOLOGY,
        *(node_owner(node) for node in state.nodes.values()),
        *(pod_owner(pod) for pod in state.pods.values()),
    ]
    names: dict[int, str] = {}
    for owner in known:
        # Two objects may share an id (32 bits of a hash): both are named then.
        names[owner.id] = f"{names[owner.id]}, {owner}" if owner.id in names else str(owner)
    return names


def pods_of(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """The flows of the node's own pods."""
    for pod in state.pods.values():
        if pod.node == node.name:
            yield from pods.pod_flows(pod, node)


def _node_flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    for feature in _NODE_FEATURES:
        yield from feature(state, node)


def _by_bridge(made: Iterable[BridgeFlow]) -> dict[str, dict[FlowKey, Flow]]:
    tables: dict[str, dict[FlowKey, Flow]] = {bridge: {} for bridge in BRIDGES}
    for bridge, flow in made:
        _put(tables[bridge], flow)
    return tables


def _put(table: dict[FlowKey, Flow], flow: Flow) -> None:
    known = table.setdefault(flow.key, flow)
    if known != flow:
        raise PipelineError(
            f"{known.owner} and {flow.owner} both want the flow '{flow.to_text().partition(' actions=')[0]}'"
        )


@dataclass(slots=True)
class _Remembered:
    node: Node
    base: list[BridgeFlow]
    pods: dict[str, Pod]
    flows: NodeFlows


class Compiler:
    """`flows` for all nodes, with a memory: a pod that comes or goes costs its own node milliseconds, others nothing.

    An unchanged node gets the same object as before, so callers compare with `is`.
    """

    def __init__(self) -> None:
        self._surroundings: tuple[NetworkConfig, Mapping[str, Node]] | None = None
        self._nodes: dict[str, _Remembered] = {}
        self._pods: dict[str, tuple[Pod, Node, tuple[BridgeFlow, ...]]] = {}

    def compile(self, state: ClusterState) -> Mapping[str, NodeFlows | Exception]:
        """Every node's flows; a node whose flows cannot be made has the error in their place."""
        surroundings = (state.network, dict(state.nodes))
        if surroundings != self._surroundings:
            self._surroundings = surroundings
            self._nodes.clear()
        by_node: dict[str, dict[str, Pod]] = {name: {} for name in state.nodes}
        for key, pod in state.pods.items():
            if pod.node in by_node:
                by_node[pod.node][key] = pod
        for gone in self._pods.keys() - state.pods.keys():
            del self._pods[gone]
        return {name: self._node(state, node, by_node[name]) for name, node in state.nodes.items()}

    def _node(self, state: ClusterState, node: Node, own: dict[str, Pod]) -> NodeFlows | Exception:
        known = self._nodes.get(node.name)
        if known is not None and known.pods == own:
            return known.flows
        try:
            made = known.base if known is not None else list(_node_flows(state, node))
            tables = _by_bridge([*made, *(flow for pod in own.values() for flow in self._pod(pod, node))])
        except Exception as error:
            return error
        self._nodes[node.name] = _Remembered(node, made, own, tables)
        return tables

    def _pod(self, pod: Pod, node: Node) -> tuple[BridgeFlow, ...]:
        known = self._pods.get(pod.key)
        if known is not None and known[0] == pod and known[1] == node:
            return known[2]
        made = tuple(pods.pod_flows(pod, node))
        self._pods[pod.key] = (pod, node, made)
        return made
