"""Everything that the API's process does about Services, as one life cycle."""

from controller.api.objects import Objects
from controller.workloads.allocation import Allocation
from controller.workloads.endpointslices import EndpointSlices
from controller.workloads.endpointsv1 import Endpoints
from controller.workloads.loadbalancers import LoadBalancers
from controller.workloads.mirroring import Mirroring
from controller.workloads.selecting import Selection


class ServiceCycles:
    """Allocation, LoadBalancer addresses, EndpointSlices, Endpoints and their mirrors."""

    def __init__(self, objects: Objects) -> None:
        selection = Selection()
        endpoints = Endpoints(objects, selection)
        self._cycles = (
            Allocation(objects),
            LoadBalancers(objects),
            EndpointSlices(objects, selection, endpoints.mark),
            endpoints,
            Mirroring(objects),
        )

    def close(self) -> None:
        """Stop all of it."""
        for cycle in self._cycles:
            cycle.close()
