"""The controllers that make pods, together: they share one index of pods by owner."""

from controller.api.objects import Objects
from controller.workloads.daemonsets import DaemonSets
from controller.workloads.deployments import Deployments
from controller.workloads.jobs import Jobs
from controller.workloads.ownerindex import index_pods
from controller.workloads.replicasets import ReplicaSets
from controller.workloads.statefulsets import StatefulSets


class Workloads:
    """ReplicaSets, Deployments, DaemonSets, StatefulSets and Jobs, on the API's event loop."""

    def __init__(self, objects: Objects) -> None:
        self._pods = index_pods(objects.store)
        kinds = (ReplicaSets, Deployments, DaemonSets, StatefulSets, Jobs)
        self._controllers = tuple(kind(objects, self._pods) for kind in kinds)

    def close(self) -> None:
        """Stop."""
        for controller in self._controllers:
            controller.close()
        self._pods.close()
