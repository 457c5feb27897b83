"""The experiment: pods on chosen nodes, pings and TCP streams between them and between their nodes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from experiments.base import Parameter, parameter_sections
from experiments.design.build import experiment
from experiments.design.model import ExperimentDesign, Settings
from experiments.measure.iperf import LISTENING, iperf_server, throughput
from experiments.measure.ping import ping
from experiments.measure.target import Target
from experiments.offered import OfferedLoad, echoes
from experiments.pod_latency.plan import (
    BARE,
    CLIENT,
    POD,
    RTT,
    WIRE,
    PlannedCell,
    manifests,
    placements,
    run_order,
)
from experiments.records import DURATION, Analysis, Recording
from experiments.scene import Reading, Scene
from experiments.topology import underlay_of
from experiments.twin import twin

NAMESPACE: Final = "bench"
_IPERF_WARMUP_S: Final = 1
"""TCP's slow start; iperf3 knows whole seconds only."""


class PodLatencyWorkload:
    """Measures every way, on the wire, bare and between pods, in an order drawn from the run's seed."""

    summary = "RTT and TCP throughput of pods, bare nodes and a twin of the underlay, on each kind of way"
    parameters = (
        Parameter("pings", 200, 50, "echo requests per measurement, after the warm-up", 20),
        Parameter("warmup_pings", 20, 20, "echo requests that are sent first and not used", 1),
        Parameter("ping_interval_s", 0.01, 0.01, "seconds between two echo requests", 0.002),
        Parameter("payload_bytes", 56, 56, "payload of an echo request, bytes", 16),
        Parameter("tcp_seconds", 3, 1, "seconds of TCP per measurement, after a warm-up of 1 s", 1),
        Parameter("tcp_streams", 1, 1, "TCP connections at the same time", 1),
        Parameter("placement", 1, 1, "draws the nodes: another number, another choice among equals", 0),
    )
    required = ()
    metrics: Final[Mapping[str, str]] = {
        "rtt": "ms",
        "throughput": "Mbit/s",
        "throughput sent": "Mbit/s",
        "retransmits": "segments",
        "echo requests lost": "packets",
        "ping resolution": "ms",
    }
    labels = ("path", "network")
    programs = ("ping", "iperf3")

    def check(self, settings: Settings) -> None:
        """Any settings go together."""

    def duration_s(self, settings: Settings) -> float:
        """Measurements of three ways, of which two also bare and on the wire; and programs that start."""
        pinging = (int(settings["pings"]) + int(settings["warmup_pings"])) * float(settings["ping_interval_s"])
        return 7 * (pinging + int(settings["tcp_seconds"]) + _IPERF_WARMUP_S) + 4

    def offered(self, settings: Settings) -> OfferedLoad:
        """Echoes; in between TCP as fast as each way is."""
        echo = echoes(1 / float(settings["ping_interval_s"]), int(settings["payload_bytes"]))
        return replace(echo, bits_per_s=None)

    def run(self, scene: Scene, settings: Settings) -> None:
        """One repetition."""
        cluster = scene.cluster
        ways, _ = placements(underlay_of(scene.topology), int(settings["placement"]))
        text = manifests(ways)
        scene.raw("manifests.yaml", text)
        scene.tell("waiting until the pods are ready")
        with ExitStack() as stack:
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
            order = run_order(ways, scene.seed)
            for number, planned in enumerate(order, 1):
                scene.tell(f"{number} of {len(order)}: {planned}")
                place = (planned.network, planned.placement.server_pod)
                _measure(planned, sources[place], targets[place], scene, settings)


def _measure(planned: PlannedCell, source: Target, target: Target, scene: Scene, settings: Settings) -> None:
    started_s = time.time()
    way = planned.placement
    if planned.metric == RTT:
        values, text, suffix = _ping(source, target, settings, started_s)
    else:
        values, text, suffix = _stream(source, target, settings)
    scene.raw(f"{planned.network}-{way.server_pod}-{planned.metric}.{suffix}", text)
    labels = {"path": way.path, "network": planned.network}
    seconds = (f"{planned.metric}{DURATION}", started_s, 0, time.time() - started_s, "s")
    scene.record(
        Reading(metric, value, unit, time_s, sequence, way.source, way.target, labels)
        for metric, time_s, sequence, value, unit in (*values, seconds)
    )


_Value = tuple[str, float, int, float, str]
"""Metric, time in seconds since 1970, sequence, value, unit."""


def _ping(source: Target, target: Target, settings: Settings, started_s: float) -> tuple[list[_Value], str, str]:
    warmup = int(settings["warmup_pings"])
    echoes, text = ping(
        source,
        target.address,
        count=warmup + int(settings["pings"]),
        interval_s=float(settings["ping_interval_s"]),
        payload_bytes=int(settings["payload_bytes"]),
    )
    values: list[_Value] = [
        (RTT, reply.time_s, reply.sequence - warmup, reply.rtt_ms, "ms") for reply in echoes.after_warmup(warmup)
    ]
    values.append(("echo requests lost", started_s, 0, float(echoes.sent - echoes.received), "packets"))
    values.append(("ping resolution", started_s, 0, echoes.resolution_ms, "ms"))
    return values, text, "txt"


def _stream(source: Target, target: Target, settings: Settings) -> tuple[list[_Value], str, str]:
    stream, text = throughput(
        source,
        target.address,
        seconds=int(settings["tcp_seconds"]),
        warmup_s=_IPERF_WARMUP_S,
        streams=int(settings["tcp_streams"]),
    )

    def values() -> Iterator[_Value]:
        yield "throughput", stream.started_s, 0, stream.received_mbit_per_s, "Mbit/s"
        yield "retransmits", stream.started_s, 0, float(stream.retransmits), "segments"
        for number, interval in enumerate(stream.intervals):
            if not interval.omitted:
                yield "throughput sent", stream.started_s + interval.start_s, number, interval.mbit_per_s, "Mbit/s"

    return list(values()), text, "json"


WORKLOAD: Final = PodLatencyWorkload()


class PodLatency:
    """What does the overlay cost?"""

    name = "pod_latency"
    summary = "What the overlay costs: round-trip time and TCP throughput, pods against nodes"

    def design(self) -> ExperimentDesign:
        """One run a repetition: ways and networks are compared inside it."""
        return experiment(
            self.name,
            "What does the overlay cost in round-trip time and TCP throughput, against the bare underlay?",
            summary=self.summary,
            topology={"preset": "leaf-spine", "nodes": 4},
            parameters=parameter_sections(WORKLOAD.parameters),
            workload=[
                {"name": "ways", "kind": f"{__name__}:WORKLOAD"}
                | {one.name: f"$({one.name})" for one in WORKLOAD.parameters}
            ],
            repetitions=10,
            warmup="0s",
            quick={"repetitions": 2},
            expect={"runBytes": 700_000},
        )

    def analyse(self, recording: Recording) -> Analysis:
        """See `experiments.pod_latency.analysis`."""
        from experiments.pod_latency.analysis import analyse  # noqa: PLC0415 - imports matplotlib

        return analyse(recording)
