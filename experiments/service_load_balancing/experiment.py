"""The experiment: the same endpoints behind one Service per algorithm, and clients that call them by real packets."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Any

from agents.agnhost.load_server import LISTENING
from experiments.base import Experiment, Factor, Parameter, Recorder, RunningCluster
from experiments.measure.load import Address
from experiments.records import Analysis, Recording, Value
from experiments.service_load_balancing.bench import LEAD_SECONDS, Bench
from experiments.service_load_balancing.plan import (
    ALGORITHMS,
    DIRECT,
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


class ServiceLoadBalancing(Experiment):
    """Which algorithm does what?"""

    name = "service_load_balancing"
    question = (
        "How do the load-balancing algorithms differ in distribution, in disruption when an endpoint leaves, in tail "
        "latency with one slow endpoint, and in connection rate?"
    )
    factors = (Factor("algorithm", (*ALGORITHMS, DIRECT), "how the Service chooses an endpoint for a connection"),)
    parameters = (
        Parameter("algorithms", ",".join(ALGORITHMS), ",".join(ALGORITHMS), "the ones to compare, with commas"),
        Parameter("endpoints", 4, 4, "pods behind each Service, the last one slow", 2),
        Parameter("clients", 8, 8, "client pods", 1),
        Parameter("ports", 100, 40, "connections from each client per repetition, from as many source ports", 2),
        Parameter("service_ms", 10.0, 10.0, "an endpoint's service time, milliseconds", 1.0),
        Parameter("slow_factor", 5.0, 5.0, "the slow endpoint's service time, as a multiple of the others'", 1.0),
        Parameter("requests_per_s", 100.0, 100.0, "requests per second of all clients together", 1.0),
        Parameter("load_seconds", 8.0, 2.0, "seconds of requests, after the warm-up", 0.5),
        Parameter("warmup_seconds", 2.0, 1.0, "seconds of requests that are not used", 0.0),
        Parameter("rate_seconds", 2.0, 0.5, "seconds of connections one after the other", 0.1),
        Parameter("rate_parallel", 8, 8, "connections at a time while the rate is measured", 1),
    )
    repetitions = 4
    quick_repetitions = 1

    def expected_duration_s(self, parameters: Mapping[str, Value], repetitions: int) -> float:
        """Requests with lead and queues that drain, rates, and two times all connections at about 500 per second."""
        made = design(parameters)
        load = made.load_seconds + made.warmup_seconds + LEAD_SECONDS + 1.5
        spread = 2 * made.clients * made.ports / 500 + 0.2
        per_algorithm = load + made.rate_seconds + 0.5 + spread
        return repetitions * (len(made.algorithms) * per_algorithm + made.rate_seconds + 2) + 8

    def expected_disk_bytes(self, parameters: Mapping[str, Value], repetitions: int) -> int:
        """About 250 bytes per connection and 400 per request, with what the programs printed, and 5 MB of report."""
        made = design(parameters)
        each = 500 * made.clients * made.ports + 400 * made.requests_per_s * (made.load_seconds + made.warmup_seconds)
        return 5_000_000 + int(repetitions * len(made.algorithms) * each)

    def check(self, topology: Mapping[str, Any], parameters: Mapping[str, Value]) -> None:
        """Services by OpenFlow, and a load that the endpoints can carry."""
        design(parameters)
        if network_of(topology).services is ServiceProxy.NFTABLES:
            raise InvalidInputError(
                "service_load_balancing: network.services is nftables, whose rules choose at random whatever the "
                "algorithm; use a cluster with --set network.services=sdn"
            )

    def run(self, cluster: RunningCluster, parameters: Mapping[str, Value], recorder: Recorder) -> None:
        """Measure every algorithm, in an order drawn anew for each repetition."""
        made = design(parameters)
        order = run_order(made, recorder.repetitions, recorder.seed)
        recorder.order([str(cell) for cell in order])
        pods = pod_manifests(made, underlay_of(cluster.topology).nodes)
        services = service_manifests(made)
        recorder.manifest("pods.yaml", pods)
        recorder.manifest("services.yaml", services)
        recorder.progress("pods", "waiting until the pods are ready", 0.0)
        with ExitStack() as stack:
            stack.callback(cluster.delete, pods)
            cluster.apply(pods)
            for name in (*made.backends, *made.client_pods):
                cluster.wait("Pod", name, "Ready", namespace=NAMESPACE)
            servers = {name: cluster.pod(name, NAMESPACE) for name in made.backends}
            for server in servers.values():
                server.wait_log(LISTENING)
            addresses = {name: server.address for name, server in servers.items()}
            recorder.manifest("endpointslices.yaml", slice_manifests(made, addresses))
            stack.callback(cluster.delete, services)
            virtual = _virtual_addresses(cluster.apply(services))
            stack.callback(cluster.delete, slice_manifests(made, addresses))
            pool = stack.enter_context(ThreadPoolExecutor(made.clients))
            clients = [cluster.pod(name, NAMESPACE) for name in made.client_pods]
            bench = Bench(cluster, recorder, made, addresses=addresses, virtual=virtual, clients=clients, pool=pool)
            bench.endpoints()
            bench.wait_answers()
            for index, planned in enumerate(order):
                recorder.progress("measure", str(planned), index / len(order))
                {SPREAD: bench.spread, REQUESTS: bench.requests, RATE: bench.rate}[planned.metric](planned)
            recorder.progress("measure", "done", 1.0)

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
