"""The measurements themselves, on pods and Services that are there."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from experiments.base import PodTarget, Recorder, RunningCluster
from experiments.measure.load import Address, RequestRun, Spread, connect, rate, requests
from experiments.records import Cell, Sample
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

    cluster: RunningCluster
    recorder: Recorder
    made: Design
    addresses: Mapping[str, IPv4Address]
    virtual: Mapping[str, Address]
    clients: Sequence[PodTarget]
    pool: ThreadPoolExecutor
    cells: int = 0

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
        first = self.made.source_port(planned.repetition)

        def ask(client: PodTarget) -> tuple[tuple[Spread, ...], str]:
            return connect(client, targets, first_port=first, ports=self.made.ports)

        before = list(self.pool.map(ask, self.clients))
        self.endpoints(without=planned.leaving)
        after = list(self.pool.map(ask, self.clients))
        self.endpoints()
        for index, algorithm in enumerate(planned.algorithms):
            samples: list[Sample] = []
            raw: dict[str, str] = {}
            add = self._sampler(planned, algorithm, samples)
            for metric, phase in ((CONNECTION, before), (CONNECTION_AFTER, after)):
                for client, (spreads, text) in zip(self.clients, phase, strict=True):
                    one = spreads[index]
                    for place, server in enumerate(one.servers):
                        port = first + index * self.made.ports + place
                        add(metric, one.started_s, port, float(bool(server)), "answered", client.name, server)
                    if index == 0:
                        when = "before" if metric == CONNECTION else "after"
                        raw[f"{self.cells:04d}-{SPREAD}-{client.name}-{when}.json"] = text
            add(LEFT, before[0][0][index].ended_s, 0, 1.0, "endpoints", "", planned.leaving)
            times = [spreads[index] for phase in (before, after) for spreads, _ in phase]
            started, ended = min(one.started_s for one in times), max(one.ended_s for one in times)
            self._cell(planned, algorithm, started, ended, samples, raw)

    def requests(self, planned: PlannedCell) -> None:
        """An open loop of all clients at the same time."""
        (algorithm,) = planned.algorithms
        made = self.made
        start = time.time() + LEAD_SECONDS

        def ask(client: PodTarget) -> tuple[RequestRun, str]:
            # Not a function of the algorithm: all of them get requests at the same times.
            seed = derived_seed(self.recorder.seed, "requests", client.name, str(planned.repetition))
            return requests(
                client,
                self.virtual[algorithm],
                interval_s=made.clients / made.requests_per_s,
                seconds=made.warmup_seconds + made.load_seconds,
                seed=seed % 2**31,
                start_at_s=start,
            )

        runs = list(self.pool.map(ask, self.clients))
        samples: list[Sample] = []
        add = self._sampler(planned, algorithm, samples)
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
        raw = {
            f"{self.cells:04d}-{REQUESTS}-{algorithm}-{client.name}.json": text
            for client, (_, text) in zip(self.clients, runs, strict=True)
        }
        self._cell(planned, algorithm, start, time.time(), samples, raw)

    def rate(self, planned: PlannedCell) -> None:
        """Connections of one client as fast as they are answered."""
        (algorithm,) = planned.algorithms
        client = self.clients[planned.repetition % len(self.clients)]
        direct = [(address, POD_PORT) for address in self.addresses.values()]
        targets = direct if algorithm == DIRECT else [self.virtual[algorithm]]
        run, text = rate(client, targets, seconds=self.made.rate_seconds, parallel=self.made.rate_parallel)
        samples: list[Sample] = []
        add = self._sampler(planned, algorithm, samples)
        add(CONNECTION_RATE, run.started_s, 0, run.per_second, "1/s", client.name, "")
        add(CONNECTIONS_FAILED, run.started_s, 0, run.failed, "connections", client.name, "")
        raw = {f"{self.cells:04d}-{RATE}-{algorithm.replace(' ', '-')}.json": text}
        self._cell(planned, algorithm, run.started_s, run.started_s + run.seconds, samples, raw)

    def _sampler(
        self, planned: PlannedCell, algorithm: str, samples: list[Sample]
    ) -> Callable[[str, float, int, float, str, str, str], None]:
        order = self.cells

        def add(metric: str, time_s: float, sequence: int, value: float, unit: str, source: str, target: str) -> None:
            samples.append(
                Sample(
                    time_s=time_s,
                    repetition=planned.repetition,
                    order=order,
                    levels={"algorithm": algorithm},
                    source=source,
                    target=target,
                    metric=metric,
                    sequence=sequence,
                    value=value,
                    unit=unit,
                )
            )

        return add

    def _cell(
        self,
        planned: PlannedCell,
        algorithm: str,
        started_s: float,
        ended_s: float,
        samples: Sequence[Sample],
        raw: Mapping[str, str],
    ) -> None:
        cell = Cell(
            order=self.cells,
            repetition=planned.repetition,
            levels={"algorithm": algorithm},
            source="clients",
            target="endpoints",
            metric=planned.metric,
            started_s=started_s,
            ended_s=ended_s,
        )
        self.cells += 1
        self.recorder.cell(cell, samples, raw)
