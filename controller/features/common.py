"""What features share: flows with their bridge, and owners."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from controller import pipeline
from controller.openflow.actions import Action
from controller.openflow.fields import Match, Term
from controller.openflow.flow import Category, Flow, Owner
from controller.pipeline import Table
from kubinet.state import ClusterState, Node, Pod, Service


class BridgeFlow(NamedTuple):
    """A flow and the name of the bridge it belongs to."""

    bridge: str
    flow: Flow


Feature: TypeAlias = Callable[[ClusterState, Node], Iterator[BridgeFlow]]

TOPOLOGY: Owner = Owner("Topology", "cluster")
"""Owner of the flows that every node has."""


def node_owner(node: Node) -> Owner:
    """The Node object as an owner."""
    return Owner("Node", node.name)


def pod_owner(pod: Pod) -> Owner:
    """The Pod object as an owner."""
    return Owner("Pod", pod.name, pod.namespace)


def service_owner(service: Service) -> Owner:
    """The Service object as an owner."""
    return Owner("Service", service.name, service.namespace)


class Maker:
    """Makes one owner's flows of one category."""

    def __init__(self, owner: Owner, category: Category) -> None:
        self._owner = owner
        self._category = category

    def __call__(self, table: Table, priority: int, match: tuple[Term, ...], *actions: Action) -> BridgeFlow:
        """One flow; without actions it drops."""
        made = pipeline.flow(table, priority, Match.of(*match), *actions, owner=self._owner, category=self._category)
        return BridgeFlow(table.bridge, made)
