"""The experiment: the same endpoints behind one Service per algorithm, and clients that call them by real packets."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from typing import Any, Final

from agents.agnhost.load_server import LISTENING
from experiments.base import Parameter, parameter_sections
from experiments.design.build import experiment
from experiments.design.model import ExperimentDesign, Settings
from experiments.measure.load import Address
from experiments.offered import AS_ANSWERED, OfferedLoad
from experiments.records import Analysis, Recording
from experiments.scene import Scene
from experiments.service_load_balancing.bench import (
    CONNECTION,
    CONNECTION_AFTER,
    CONNECTION_RATE,
    CONNECTIONS_FAILED,
    LEAD_SECONDS,
    LEFT,
    REQUEST_FAILED,
    REQUEST_LATE,
    REQUEST_TIME,
    Bench,
)
from experiments.service_load_balancing.plan import (
    ALGORITHMS,
    NAMESPACE,
    PORT,
    RATE,
    REQUESTS,
    SPREAD,
    design,
    pod_manifests,
    run_order,
    service_manifests,
    slice_manifests,
)
from experiments.topology import network_of, underlay_of
from kubinet.errors import InvalidInputError
from kubinet.state import ServiceProxy


class ServiceLoadBalancingWorkload:
    """Measures every algorithm, in an order drawn from the run's seed."""

    summary = "connections, requests and rates to one Service per load-balancing algorithm with the same endpoints"
    parameters = (
        Parameter("algorithms", ",".join(ALGORITHMS), ",".join(ALGORITHMS), "the ones to compare, with commas"),
        Parameter("endpoints", 4, 4, "pods behind each Service, the last one slow", 2),
        Parameter("clients", 8, 8, "client pods", 1),
        Parameter("ports", 100, 40, "connections from each client per repetition, from as many source ports", 2),
        Parameter("service_ms", 10.0, 10.0, "an endpoint's service time, milliseconds", 1.0),
        Parameter("slow_factor", 5.0, 5.0, "the slow endpoint's service time, as a multiple of the others'", 1.0),
        Parameter("requests_per_s", 100.0, 100.0, "requests per second of all clients together", 1.0),
        Parameter("load_seconds", 8.0, 1.0, "seconds of requests, after the warm-up", 0.5),
        Parameter("warmup_seconds", 2.0, 0.5, "seconds of requests that are not used", 0.0),
        Parameter("rate_seconds", 2.0, 0.5, "seconds of connections one after the other", 0.1),
        Parameter("rate_parallel", 8, 8, "connections at a time while the rate is measured", 1),
    )
    required = ()
    metrics: Final[Mapping[str, str]] = {
        CONNECTION: "answered",
        CONNECTION_AFTER: "answered",
        LEFT: "endpoints",
        REQUEST_TIME: "ms",
        REQUEST_LATE: "ms",
        REQUEST_FAILED: "requests",
        CONNECTION_RATE: "1/s",
        CONNECTIONS_FAILED: "connections",
    }
    labels = ("algorithm",)
    programs = ()

    def check(self, settings: Settings) -> None:
        """Algorithms that exist, and a load that the endpoints can carry."""
        design(settings)

    def duration_s(self, settings: Settings) -> float:
        """Requests with lead and queues that drain, rates, and two times all connections at about 500 per second."""
        made = design(settings)
        load = made.load_seconds + made.warmup_seconds + LEAD_SECONDS + 1.5
        spread = 2 * made.clients * made.ports / 500 + 0.2
        return len(made.algorithms) * (load + made.rate_seconds + 0.5 + spread) + made.rate_seconds + 6

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """Connections as fast as they are answered."""
        return AS_ANSWERED

    def run(self, scene: Scene, settings: Settings) -> None:
        """One repetition."""
        if network_of(scene.topology).services is ServiceProxy.NFTABLES:
            raise InvalidInputError(
                "service_load_balancing: network.services is nftables, whose rules choose at random whatever the "
                "algorithm; use a cluster with network.services=sdn"
            )
        cluster, made = scene.cluster, design(settings)
        pods = pod_manifests(made, underlay_of(scene.topology).nodes)
        services = service_manifests(made)
        scene.raw("pods.yaml", pods)
        scene.raw("services.yaml", services)
        scene.tell("waiting until the pods are ready")
        cluster.apply(pods)
        for name in (*made.backends, *made.client_pods):
            cluster.wait("Pod", name, "Ready", namespace=NAMESPACE)
        servers = {name: cluster.pod(name, NAMESPACE) for name in made.backends}
        for server in servers.values():
            server.wait_log(LISTENING)
        addresses = {name: server.address for name, server in servers.items()}
        scene.raw("endpointslices.yaml", slice_manifests(made, addresses))
        virtual = _virtual_addresses(cluster.apply(services))
        clients = [cluster.pod(name, NAMESPACE) for name in made.client_pods]
        with ThreadPoolExecutor(made.clients) as pool:
            bench = Bench(scene, made, addresses=addresses, virtual=virtual, clients=clients, pool=pool)
            bench.endpoints()
            bench.wait_answers()
            order = run_order(made, scene.seed)
            for number, planned in enumerate(order, 1):
                scene.tell(f"{number} of {len(order)}: {planned}")
                {SPREAD: bench.spread, REQUESTS: bench.requests, RATE: bench.rate}[planned.metric](planned)


WORKLOAD: Final = ServiceLoadBalancingWorkload()


class ServiceLoadBalancing:
    """Which algorithm does what?"""

    name = "service_load_balancing"
    summary = "What the load-balancing algorithms do: distribution, disruption, tail latency, connection rate"

    def design(self) -> ExperimentDesign:
        """One run a repetition: the algorithms are compared inside it."""
        return experiment(
            self.name,
            "How do the load-balancing algorithms differ in distribution, in disruption when an endpoint leaves, in "
            "tail latency with one slow endpoint, and in connection rate?",
            summary=self.summary,
            topology={"preset": "leaf-spine", "nodes": 4},
            parameters=parameter_sections(WORKLOAD.parameters),
            workload=[
                {"name": "calls", "kind": f"{__name__}:WORKLOAD"}
                | {one.name: f"$({one.name})" for one in WORKLOAD.parameters}
            ],
            repetitions=4,
            warmup="0s",
            quick={"repetitions": 1},
            expect={"runBytes": 8_000_000},
        )

    def analyse(self, recording: Recording) -> Analysis:
        """See `experiments.service_load_balancing.analysis`."""
        from experiments.service_load_balancing.analysis import analyse  # noqa: PLC0415 - imports matplotlib

        return analyse(recording)


def _virtual_addresses(applied: Sequence[tuple[Mapping[str, Any], str]]) -> Mapping[str, Address]:
    """By algorithm: the address of its Service."""
    return {
        obj["metadata"]["annotations"]["kubinet.dev/load-balancer"]: (IPv4Address(obj["spec"]["clusterIP"]), PORT)
        for obj, _ in applied
    }
