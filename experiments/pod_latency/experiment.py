"""The experiment: pods on chosen nodes, pings and TCP streams between them and between their nodes."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

from experiments.base import Experiment, Factor, Parameter, Recorder, RunningCluster
from experiments.measure.iperf import LISTENING, iperf_server, throughput
from experiments.measure.ping import ping
from experiments.measure.target import Target
from experiments.pod_latency.plan import (
    BARE,
    CLIENT,
    MEANINGS,
    NETWORKS,
    PATHS,
    POD,
    RTT,
    WIRE,
    PlannedCell,
    manifests,
    placements,
    run_order,
)
from experiments.records import Analysis, Cell, Recording, Sample, Value
from experiments.topology import underlay_of
from experiments.twin import twin

NAMESPACE: Final = "bench"
_IPERF_WARMUP_S: Final = 1
"""TCP's slow start; iperf3 knows whole seconds only."""


class PodLatency(Experiment):
    """What does the overlay cost?"""

    name = "pod_latency"
    question = "What does the overlay cost in round-trip time and TCP throughput, against the bare underlay?"
    factors = (
        Factor("path", PATHS, "where the two ends are"),
        Factor("network", NETWORKS, "; ".join(f"{name}: {meaning}" for name, meaning in MEANINGS.items())),
    )
    parameters = (
        Parameter("pings", 200, 50, "echo requests per measurement, after the warm-up", 20),
        Parameter("warmup_pings", 20, 20, "echo requests that are sent first and not used", 1),
        Parameter("ping_interval_s", 0.01, 0.01, "seconds between two echo requests", 0.002),
        Parameter("payload_bytes", 56, 56, "payload of an echo request, bytes", 16),
        Parameter("tcp_seconds", 3, 1, "seconds of TCP per measurement, after a warm-up of 1 s", 1),
        Parameter("tcp_streams", 1, 1, "TCP connections at the same time", 1),
    )
    repetitions = 10
    quick_repetitions = 2

    def expected_duration_s(self, parameters: Mapping[str, Value], repetitions: int) -> float:
        """Measurements of three ways, of which two also bare and on the wire; a second a repetition for programs."""
        echoes = (int(parameters["pings"]) + int(parameters["warmup_pings"])) * float(parameters["ping_interval_s"])
        streams = int(parameters["tcp_seconds"]) + _IPERF_WARMUP_S
        return repetitions * (7 * (echoes + streams) + 1) + 8

    def expected_disk_bytes(self, parameters: Mapping[str, Value], repetitions: int) -> int:
        """About 250 bytes per ping, 30 kB per TCP test, and 4 MB of report and figures."""
        return 4_000_000 + repetitions * 7 * (250 * int(parameters["pings"]) + 30_000)

    def check(self, topology: Mapping[str, Any], parameters: Mapping[str, Value]) -> None:  # noqa: ARG002
        """At least two nodes, joined by links."""
        underlay = underlay_of(topology)
        for way in placements(underlay, 0)[0]:
            underlay.path(way.source, way.target)

    def run(self, cluster: RunningCluster, parameters: Mapping[str, Value], recorder: Recorder) -> None:
        """Measure every way, on the wire, bare and between pods, in random order."""
        ways, notes = placements(underlay_of(cluster.topology), recorder.seed)
        for note in notes:
            recorder.note(note)
        order = run_order(ways, recorder.repetitions, recorder.seed)
        recorder.order([str(cell) for cell in order])
        text = manifests(ways)
        recorder.manifest("manifests.yaml", text)
        recorder.progress("pods", "waiting until the pods are ready", 0.0)
        with ExitStack() as stack:
            stack.callback(cluster.delete, text)
            cluster.apply(text)
            targets: dict[tuple[str, str], Target] = {}
            sources: dict[tuple[str, str], Target] = {}
            for pod in (CLIENT, *(way.server_pod for way in ways)):
                cluster.wait("Pod", pod, "Ready", namespace=NAMESPACE)
                targets[POD, pod] = handle = cluster.pod(pod, NAMESPACE)
                if pod != CLIENT:
                    handle.wait_log(LISTENING)
            for way in ways:
                pod = way.server_pod
                sources[POD, pod] = targets[POD, CLIENT]
                if way.source != way.target:
                    sources[BARE, pod], host = cluster.node(way.source), cluster.node(way.target)
                    sources[WIRE, pod], end = stack.enter_context(twin(cluster, way.source, way.target))
                    for server in (host, end):
                        stack.enter_context(iperf_server(server))
                    targets[BARE, pod], targets[WIRE, pod] = host, end
            for index, planned in enumerate(order):
                recorder.progress("measure", str(planned), index / len(order))
                place = (planned.network, planned.placement.server_pod)
                source, target = sources[place], targets[place]
                _measure(index, planned, source, target, parameters=parameters, recorder=recorder)
            recorder.progress("measure", "done", 1.0)

    def analyse(self, recording: Recording) -> Analysis:
        """See `experiments.pod_latency.analysis`."""
        from experiments.pod_latency.analysis import analyse  # noqa: PLC0415 - imports matplotlib

        return analyse(recording)


def _measure(
    index: int,
    planned: PlannedCell,
    source: Target,
    target: Target,
    *,
    parameters: Mapping[str, Value],
    recorder: Recorder,
) -> None:
    started_s = time.time()
    way = planned.placement
    levels = {"path": way.path, "network": planned.network}
    samples: list[Sample] = []

    def add(metric: str, time_s: float, sequence: int, value: float, unit: str) -> None:
        samples.append(
            Sample(
                time_s=time_s,
                repetition=planned.repetition,
                order=index,
                levels=levels,
                source=way.source,
                target=way.target,
                metric=metric,
                sequence=sequence,
                value=value,
                unit=unit,
            )
        )

    if planned.metric == RTT:
        warmup = int(parameters["warmup_pings"])
        echoes, text = ping(
            source,
            target.address,
            count=warmup + int(parameters["pings"]),
            interval_s=float(parameters["ping_interval_s"]),
            payload_bytes=int(parameters["payload_bytes"]),
        )
        suffix = "txt"
        for reply in echoes.after_warmup(warmup):
            add(RTT, reply.time_s, reply.sequence - warmup, reply.rtt_ms, "ms")
        add("echo requests lost", started_s, 0, echoes.sent - echoes.received, "packets")
        add("ping resolution", started_s, 0, echoes.resolution_ms, "ms")
    else:
        stream, text = throughput(
            source,
            target.address,
            seconds=int(parameters["tcp_seconds"]),
            warmup_s=_IPERF_WARMUP_S,
            streams=int(parameters["tcp_streams"]),
        )
        suffix = "json"
        add(planned.metric, stream.started_s, 0, stream.received_mbit_per_s, "Mbit/s")
        add("retransmits", stream.started_s, 0, stream.retransmits, "segments")
        for number, interval in enumerate(stream.intervals):
            if not interval.omitted:
                at = stream.started_s + interval.start_s
                add("throughput sent", at, number, interval.mbit_per_s, "Mbit/s")
    cell = Cell(
        order=index,
        repetition=planned.repetition,
        levels=levels,
        source=way.source,
        target=way.target,
        metric=planned.metric,
        started_s=started_s,
        ended_s=time.time(),
    )
    name = f"{index:04d}-{planned.network}-{way.server_pod}-{planned.metric}.{suffix}"
    recorder.cell(cell, samples, {name: text})
