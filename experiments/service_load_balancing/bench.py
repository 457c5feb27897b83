"""The measurements themselves, on pods and Services that are there."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from experiments.base import PodTarget, RunningCluster
from experiments.measure.load import Address, RequestRun, Spread, connect, rate, requests
from experiments.records import DURATION
from experiments.scene import Reading, Scene
from experiments.service_load_balancing.plan import (
    DIRECT,
    POD_PORT,
    RATE,
    REQUESTS,
    SPREAD,
    Design,
    PlannedCell,
    slice_manifests,
)
from experiments.stats import derived_seed
from kubinet.errors import DeadlineError

CONNECTION: Final = "connection"
CONNECTION_AFTER: Final = "connection after an endpoint left"
LEFT: Final = "endpoint left"
REQUEST_TIME: Final = "request time"
REQUEST_LATE: Final = "request started late"
REQUEST_FAILED: Final = "request failed"
CONNECTION_RATE: Final = "connection rate"
CONNECTIONS_FAILED: Final = "connections failed"
_READY_SECONDS: Final = 30.0
LEAD_SECONDS: Final = 1.0
"""How long after the call the clients begin together: all of them must have started by then."""


@dataclass(slots=True)
class Bench:
    """Everything that is there while measuring."""

    scene: Scene
    made: Design
    addresses: Mapping[str, IPv4Address]
    virtual: Mapping[str, Address]
    clients: Sequence[PodTarget]
    pool: ThreadPoolExecutor

    @property
    def cluster(self) -> RunningCluster:
        """Where everything runs."""
        return self.scene.cluster

    def endpoints(self, without: str = "") -> None:
        """Give the Services these endpoints; returns when every node's flows are those."""
        applied = self.cluster.apply(slice_manifests(self.made, self.addresses, without))
        newest = max(int(obj["metadata"]["resourceVersion"]) for obj, _ in applied)

        def realised(obj: dict[str, Any] | None) -> bool:
            nodes = ((obj or {}).get("status") or {}).get("nodes") or {}
            return bool(nodes) and all(int(node.get("endpointGeneration") or 0) >= newest for node in nodes.values())

        what = f"the endpoints of version {newest} on every node"
        self.cluster.wait_until("Dataplane", "cluster", realised, timeout=_READY_SECONDS, what=what)

    def wait_answers(self) -> None:
        """Return when every Service answers every client; DeadlineError naming those that do not."""
        deadline = time.monotonic() + _READY_SECONDS
        targets = [self.virtual[name] for name in self.made.algorithms]

        def ask(client: PodTarget) -> list[str]:
            spreads, _ = connect(client, targets, first_port=9000, ports=1, timeout_s=1.0)
            return [name for name, one in zip(self.made.algorithms, spreads, strict=True) if not all(one.servers)]

        while missing := sorted({name for names in self.pool.map(ask, self.clients) for name in names}):
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"service_load_balancing: the Services of {', '.join(missing)} do not answer after "
                    f"{_READY_SECONDS:g} s; look with `kubinet capture` where connections are lost"
                )

    def spread(self, planned: PlannedCell) -> None:
        """The same source ports of all clients before and after an endpoint left."""
        targets = [self.virtual[name] for name in planned.algorithms]
        first = self.made.source_port(self.scene.seed)

        def ask(client: PodTarget) -> tuple[tuple[Spread, ...], str]:
            return connect(client, targets, first_port=first, ports=self.made.ports)

        before = list(self.pool.map(ask, self.clients))
        self.endpoints(without=planned.leaving)
        after = list(self.pool.map(ask, self.clients))
        self.endpoints()
        for index, algorithm in enumerate(planned.algorithms):
            readings: list[Reading] = []
            add = _adder(algorithm, readings)
            for metric, phase in ((CONNECTION, before), (CONNECTION_AFTER, after)):
                for client, (spreads, text) in zip(self.clients, phase, strict=True):
                    one = spreads[index]
                    for place, server in enumerate(one.servers):
                        port = first + index * self.made.ports + place
                        add(metric, one.started_s, port, float(bool(server)), "answered", client.name, server)
                    if index == 0:
                        when = "before" if metric == CONNECTION else "after"
                        self.scene.raw(f"{SPREAD}-{client.name}-{when}.json", text)
            add(LEFT, before[0][0][index].ended_s, 0, 1.0, "endpoints", "", planned.leaving)
            times = [spreads[index] for phase in (before, after) for spreads, _ in phase]
            started, ended = min(one.started_s for one in times), max(one.ended_s for one in times)
            add(f"{SPREAD}{DURATION}", started, 0, ended - started, "s", "clients", "endpoints")
            self.scene.record(readings)

    def requests(self, planned: PlannedCell) -> None:
        """An open loop of all clients at the same time."""
        (algorithm,) = planned.algorithms
        made = self.made
        start = time.time() + LEAD_SECONDS

        def ask(client: PodTarget) -> tuple[RequestRun, str]:
            # Not a function of the algorithm: all of them get requests at the same times.
            seed = derived_seed(self.scene.seed, "requests", client.name)
            return requests(
                client,
                self.virtual[algorithm],
                interval_s=made.clients / made.requests_per_s,
                seconds=made.warmup_seconds + made.load_seconds,
                seed=seed % 2**31,
                start_at_s=start,
            )

        runs = list(self.pool.map(ask, self.clients))
        readings: list[Reading] = []
        add = _adder(algorithm, readings)
        for client, (run, _) in zip(self.clients, runs, strict=True):
            for number, one in enumerate(run.requests):
                if one.due_s < made.warmup_seconds:
                    continue
                at, ends = run.started_s + one.due_s, (client.name, one.server)
                if one.failure:
                    add(REQUEST_FAILED, at, number, 1.0, "requests", *ends)
                else:
                    add(REQUEST_TIME, at, number, one.time_ms, "ms", *ends)
                add(REQUEST_LATE, at, number, one.late_ms, "ms", *ends)
        add(f"{REQUESTS}{DURATION}", start, 0, time.time() - start, "s", "clients", "endpoints")
        for client, (_, text) in zip(self.clients, runs, strict=True):
            self.scene.raw(f"{REQUESTS}-{algorithm}-{client.name}.json", text)
        self.scene.record(readings)

    def rate(self, planned: PlannedCell) -> None:
        """Connections of one client as fast as they are answered."""
        (algorithm,) = planned.algorithms
        client = self.clients[self.scene.seed % len(self.clients)]
        direct = [(address, POD_PORT) for address in self.addresses.values()]
        targets = direct if algorithm == DIRECT else [self.virtual[algorithm]]
        run, text = rate(client, targets, seconds=self.made.rate_seconds, parallel=self.made.rate_parallel)
        readings: list[Reading] = []
        add = _adder(algorithm, readings)
        add(CONNECTION_RATE, run.started_s, 0, run.per_second, "1/s", client.name, "")
        add(CONNECTIONS_FAILED, run.started_s, 0, run.failed, "connections", client.name, "")
        add(f"{RATE}{DURATION}", run.started_s, 0, run.seconds, "s", "clients", "endpoints")
        self.scene.raw(f"{RATE}-{algorithm.replace(' ', '-')}.json", text)
        self.scene.record(readings)


def _adder(algorithm: str, readings: list[Reading]) -> Callable[[str, float, int, float, str, str, str], None]:
    labels = {"algorithm": algorithm}

    def add(metric: str, time_s: float, sequence: int, value: float, unit: str, source: str, target: str) -> None:
        readings.append(Reading(metric, float(value), unit, time_s, sequence, source, target, labels))

    return add
