"""The controllers that make pods, together: they share one index of pods by owner."""

from controller.api.objects import Objects
from controller.workloads.deployments import Deployments
from controller.workloads.ownerindex import index_pods
from controller.workloads.replicasets import ReplicaSets


class Workloads:
    """ReplicaSets and Deployments, on the API's event loop."""

    def __init__(self, objects: Objects) -> None:
        self._pods = index_pods(objects.store)
        self._controllers = (ReplicaSets(objects, self._pods), Deployments(objects, self._pods))

    def close(self) -> None:
        """Stop."""
        for controller in self._controllers:
            controller.close()
        self._pods.close()
