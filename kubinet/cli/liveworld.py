"""The running cluster as a `World`."""

from typing import TYPE_CHECKING

from kubinet.cli.clusterview import view_of
from kubinet.reach.world import World

if TYPE_CHECKING:
    from kubinet.cluster import Cluster


def world_of(cluster: "Cluster") -> World:
    """Everything that policies and Services depend on, and the outside hosts, as they are now."""
    view = view_of(cluster.client, {host.name: host.address for host in cluster.facts.outside})
    return World(view.state, view.outside, view.ports)
