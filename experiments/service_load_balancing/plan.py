"""Pods, Services and the order of measurements: pure functions of topology, parameters and seed."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from experiments.records import Value
from experiments.stats import derived_seed
from kubinet.errors import InvalidInputError, UsageError
from kubinet.state import Algorithm

ALGORITHMS: Final = tuple(algorithm.value for algorithm in Algorithm)
SPREAD: Final = "spread"
"""Who answers which connection, before and after an endpoint left."""
REQUESTS: Final = "requests"
RATE: Final = "rate"
DIRECT: Final = "no Service"
"""In place of an algorithm: connections to the endpoints themselves in turn, the reference for the rate."""
NAMESPACE: Final = "bench"
PORT: Final = 80
POD_PORT: Final = 8080
FIRST_SOURCE_PORT: Final = 10000
_LAST_SOURCE_PORT: Final = 32767
"""Below the ports that kernels choose by themselves (ip_local_port_range)."""
_IMAGE: Final = "registry.k8s.io/e2e-test-images/agnhost:2.43"


@dataclass(frozen=True, slots=True)
class Design:
    """What the parameters say, checked."""

    algorithms: tuple[str, ...]
    endpoints: int
    clients: int
    ports: int
    service_ms: float
    slow_factor: float
    requests_per_s: float
    load_seconds: float
    warmup_seconds: float
    rate_seconds: float
    rate_parallel: int

    @property
    def backends(self) -> tuple[str, ...]:
        """The endpoints' pods; the last one is slow."""
        return tuple(f"backend-{number}" for number in range(1, self.endpoints + 1))

    @property
    def slow(self) -> str:
        """The endpoint whose service time is `slow_factor` times the others'."""
        return self.backends[-1]

    @property
    def client_pods(self) -> tuple[str, ...]:
        """The clients' pods."""
        return tuple(f"client-{number}" for number in range(1, self.clients + 1))

    @property
    def weights(self) -> Mapping[str, int]:
        """For the algorithm `weighted`: in proportion to what each endpoint can do, to a tenth."""
        return {name: 10 if name == self.slow else round(10 * self.slow_factor) for name in self.backends}

    def ideal(self, algorithm: str) -> Mapping[str, float]:
        """The share of connections that each endpoint should get."""
        weights = self.weights if algorithm == Algorithm.WEIGHTED else dict.fromkeys(self.backends, 1)
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def source_port(self, seed: int) -> int:
        """The first source port of a run, drawn by its seed: each run has others, as far as there are."""
        block = len(self.algorithms) * self.ports
        blocks = (_LAST_SOURCE_PORT + 1 - FIRST_SOURCE_PORT) // block
        return FIRST_SOURCE_PORT + seed % blocks * block


def design(parameters: Mapping[str, Value]) -> Design:
    """UsageError for algorithms that do not exist and loads that no algorithm could carry."""
    names = tuple(name.strip() for name in str(parameters["algorithms"]).split(",") if name.strip())
    for name in names:
        if name not in ALGORITHMS:
            raise UsageError(f"parameter 'algorithms': '{name}' does not exist; there are: {', '.join(ALGORITHMS)}")
    if not names or len(set(names)) < len(names):
        raise UsageError("parameter 'algorithms': name at least one, and each once, with commas between them")
    made = Design(
        algorithms=names,
        endpoints=int(parameters["endpoints"]),
        clients=int(parameters["clients"]),
        ports=int(parameters["ports"]),
        service_ms=float(parameters["service_ms"]),
        slow_factor=float(parameters["slow_factor"]),
        requests_per_s=float(parameters["requests_per_s"]),
        load_seconds=float(parameters["load_seconds"]),
        warmup_seconds=float(parameters["warmup_seconds"]),
        rate_seconds=float(parameters["rate_seconds"]),
        rate_parallel=int(parameters["rate_parallel"]),
    )
    able = (made.endpoints - 1 + 1 / made.slow_factor) * 1000 / made.service_ms
    if made.requests_per_s >= able:
        raise UsageError(
            f"parameter 'requests_per_s': {made.requests_per_s:g} is more than {made.endpoints} endpoints can do "
            f"({able:g} per second); their queues would only grow"
        )
    if len(names) * made.ports > _LAST_SOURCE_PORT + 1 - FIRST_SOURCE_PORT:
        raise UsageError(f"parameter 'ports': {made.ports} for each of {len(names)} algorithms are too many ports")
    return made


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One measurement to make."""

    metric: str
    algorithms: tuple[str, ...]
    """One; or all, in the order in which each client calls them."""
    leaving: str = ""
    """The endpoint that leaves in between (metric `spread`)."""

    def __str__(self) -> str:
        left = f", {self.leaving} leaves" if self.leaving else ""
        return f"{self.metric}, {' '.join(self.algorithms)}{left}"


def run_order(made: Design, seed: int) -> tuple[PlannedCell, ...]:
    """One run: who answers (all algorithms at the same two moments), then loads and rates in a drawn order."""
    generator = random.Random(derived_seed(seed, "service_load_balancing order"))  # noqa: S311 - a design
    drawn = generator.sample(made.algorithms, len(made.algorithms))
    spread = PlannedCell(SPREAD, tuple(drawn), generator.choice(made.backends))
    block = [PlannedCell(metric, (name,)) for metric in (REQUESTS, RATE) for name in made.algorithms]
    block.append(PlannedCell(RATE, (DIRECT,)))
    generator.shuffle(block)
    return (spread, *block)


def service_name(algorithm: str) -> str:
    """The Service with this algorithm."""
    return f"lb-{algorithm}"


def pod_manifests(made: Design, nodes: Sequence[str]) -> str:
    """The namespace and all pods: endpoints and clients spread over the nodes in turn."""
    if not nodes:
        raise InvalidInputError("service_load_balancing: the topology has no node")
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n"
    return "---\n".join([namespace, *_pods(made, nodes)])


def _pods(made: Design, nodes: Sequence[str]) -> Iterator[str]:
    for index, name in enumerate(made.backends):
        time_ms = made.service_ms * (made.slow_factor if name == made.slow else 1)
        arguments = f"[load-server, --port={POD_PORT}, --service-time={time_ms:g}ms]"
        yield _pod(name, nodes[index % len(nodes)], "server", arguments)
    for index, name in enumerate(made.client_pods):
        yield _pod(name, nodes[index % len(nodes)], "client", "[pause]")


def _pod(name: str, node: str, role: str, arguments: str) -> str:
    return f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}, labels: {{app: service-load-balancing, role: {role}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - name: agnhost
      image: {_IMAGE}
      args: {arguments}
"""


def service_manifests(made: Design) -> str:
    """One Service per algorithm, without a selector: the endpoints are ours to take away."""
    return "---\n".join(
        f"""apiVersion: v1
kind: Service
metadata:
  name: {service_name(algorithm)}
  namespace: {NAMESPACE}
  annotations: {{kubinet.dev/load-balancer: {algorithm}}}
spec:
  ports: [{{name: load, port: {PORT}, targetPort: {POD_PORT}}}]
"""
        for algorithm in made.algorithms
    )


def slice_manifests(made: Design, addresses: Mapping[str, IPv4Address], without: str = "") -> str:
    """The Services' EndpointSlices: all endpoints but `without`."""
    present = {name: address for name, address in addresses.items() if name != without}
    weights = json.dumps({str(address): made.weights[name] for name, address in present.items()})
    endpoints = "".join(f"  - {{addresses: [{address}]}}\n" for address in present.values())
    return "---\n".join(
        f"""apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service_name(algorithm)}
  namespace: {NAMESPACE}
  labels: {{kubernetes.io/service-name: {service_name(algorithm)}}}
  annotations: {{kubinet.dev/weights: '{weights}'}}
addressType: IPv4
ports: [{{name: load, port: {POD_PORT}, protocol: TCP}}]
endpoints:
{endpoints}"""
        for algorithm in made.algorithms
    )
