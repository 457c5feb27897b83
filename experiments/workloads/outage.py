"""Workload `outage`: a stream of probes while something fails; when service was lost and when it was back."""

from collections.abc import Iterator
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import FROM, SERVERS, TO, Pair, Plugin, number, servers, text, whole
from experiments.workloads.probe_stream import (
    INTERVAL,
    NEW_FLOWS,
    PAYLOAD,
    PORT,
    check_stream,
    offered_stream,
    streaming,
)
from experiments.workloads.streams import Stream


class Outage(Plugin):
    """The workload."""

    summary = "A stream of probes while a timeline breaks things: service lost, restored, datagrams lost."
    parameters = (
        FROM,
        TO,
        SERVERS,
        PORT,
        Parameter("seconds", 10.0, 3.0, "how long, seconds", 0.05, 3600),
        INTERVAL,
        PAYLOAD,
        NEW_FLOWS,
        Parameter("least", 2, 2, "losses in a row from which on it is an outage, datagrams", 1, 1_000_000),
    )
    required = ("from", "to")
    metrics: Final = {
        "outage": "ms",
        "service lost": "s",
        "service restored": "s",
        "lost": "packets",
        "outages": "outages",
        "total outage": "ms",
    }

    def check(self, settings: Settings) -> None:
        """Places; the receivers are ours."""
        check_stream(settings)

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """A datagram every `interval_ms`."""
        return offered_stream(settings)

    def run(self, scene: Scene, settings: Settings) -> None:
        """Receivers, which the timeline may end with their nodes, and the sender."""
        with streaming(scene, settings, number(settings, "seconds"), mortal=servers(settings)) as sending:
            found = sending.finish()
        pair = Pair(text(settings, "from"), text(settings, "to"))
        scene.record(readings(found, pair, whole(settings, "least"), scene.started_s))


def readings(found: Stream, pair: Pair, least: int, zero_s: float) -> Iterator[Reading]:
    """Each outage with its times after the workload's start; one that did not end has no `service restored`."""
    outages = [burst for burst in found.bursts if burst.packets >= least]
    for index, burst in enumerate(outages):
        yield pair.reading("outage", burst.seconds * 1e3, "ms", burst.from_s, index)
        yield pair.reading("service lost", burst.from_s - zero_s, "s", burst.from_s, index)
        if burst.last + 1 < len(found.sent_s):
            yield pair.reading("service restored", burst.to_s - zero_s, "s", burst.to_s, index)
    at = found.sent_s[0]
    yield pair.reading("lost", len(found.lost), "packets", at)
    yield pair.reading("outages", len(outages), "outages", at)
    yield pair.reading("total outage", sum(burst.seconds for burst in outages) * 1e3, "ms", at)


OUTAGE: Final = Outage()
