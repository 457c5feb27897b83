"""Workload `probe-stream`: numbered datagrams at a fixed rate between places; the base of convergence times."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import OfferedLoad, datagrams
from experiments.programs.running import START_SECONDS, Running, Server, listening, program
from experiments.scene import Reading, Scene
from experiments.workloads.common import (
    FROM,
    SERVERS,
    TO,
    Pair,
    Plugin,
    check_places,
    check_servers,
    end,
    names,
    number,
    place,
    servers,
    switch,
    text,
    whole,
)
from experiments.workloads.request_response import thinned
from experiments.workloads.streams import Stream, stream
from kubinet.errors import KubinetError

_MORE_SECONDS: Final = 30.0
PORT: Final = Parameter("port", 7200, 7200, "port of the receivers, and of `to` if it names none", 1, 65535)
INTERVAL: Final = Parameter("interval_ms", 2.0, 2.0, "time between two datagrams, ms: how exact times are", 0.1, 10000)
PAYLOAD: Final = Parameter("payload", 64, 64, "payload of a datagram, bytes", 16, 65507)
NEW_FLOWS: Final = Parameter(
    "new_flows", False, False, "true: each datagram from a port of its own, so that each is a new connection"
)
STREAM_METRICS: Final = {
    "sent": "packets",
    "lost": "packets",
    "duplicates": "packets",
    "reordered": "packets",
    "loss burst": "packets",
    "outage": "ms",
    "longest silence": "ms",
}


class ProbeStream(Plugin):
    """The workload."""

    summary = "Numbered UDP datagrams at a fixed rate: one-way delay, loss bursts with exact times, longest silence."
    parameters = (
        FROM,
        TO,
        SERVERS,
        PORT,
        Parameter("seconds", 5.0, 1.0, "how long, seconds", 0.05, 3600),
        INTERVAL,
        PAYLOAD,
        NEW_FLOWS,
        Parameter("silence", False, False, "true: no arrival at all is a result, not an error"),
        Parameter("keep", 10_000, 2_000, "at most so many delays are kept, evenly chosen", 1, 1_000_000),
    )
    required = ("from", "to")
    metrics: Final = {"delay": "ms", **STREAM_METRICS}
    labels = ("receiver",)

    def check(self, settings: Settings) -> None:
        """Places; the receivers are ours, as only they know our numbers."""
        check_stream(settings)

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """A datagram every `interval_ms`."""
        return offered_stream(settings)

    def run(self, scene: Scene, settings: Settings) -> None:
        """Receivers, then the sender."""
        source, target = text(settings, "from"), text(settings, "to")
        with streaming(scene, settings, number(settings, "seconds")) as sending:
            found = sending.finish()
        if not found.arrivals and not switch(settings, "silence"):
            raise KubinetError(
                f"{source}: none of {len(found.sent_s)} datagrams to {target} came to {', '.join(servers(settings))}; "
                "where that is expected, set `silence: true`"
            )
        pair = Pair(source, target)
        kept = thinned(found.arrivals, whole(settings, "keep"))
        delays = [
            pair.reading("delay", (one.arrived_s - one.sent_s) * 1e3, "ms", one.sent_s, one.number, receiver=one.place)
            for one in kept
        ]
        scene.record(delays + summary_of(found, pair))


def check_stream(settings: Settings) -> None:
    """InvalidInputError for places that are none, or receivers that would not be ours."""
    check_places(settings, "from")
    check_servers({**settings, "servers": text(settings, "servers").replace("none", "")})


def offered_stream(settings: Settings) -> OfferedLoad:
    """What a stream of probes with these settings sends."""
    return datagrams(1e3 / number(settings, "interval_ms"), whole(settings, "payload"))


def summary_of(found: Stream, pair: Pair) -> list[Reading]:
    """What a stream says beside its delays: counts, each burst of losses, the longest silence."""
    at = found.sent_s[0] if found.sent_s else 0.0
    silence = found.longest_silence
    rows = [
        pair.reading("sent", len(found.sent_s), "packets", at),
        pair.reading("lost", len(found.lost), "packets", at),
        pair.reading("duplicates", found.duplicates, "packets", at),
        pair.reading("reordered", found.reordered, "packets", at),
        pair.reading("longest silence", silence.seconds * 1e3, "ms", silence.from_s),
    ]
    for index, burst in enumerate(found.bursts):
        rows.append(pair.reading("loss burst", burst.packets, "packets", burst.from_s, index))
        rows.append(pair.reading("outage", burst.seconds * 1e3, "ms", burst.from_s, index))
    return rows


class Sending:
    """A stream on its way."""

    def __init__(
        self, sender: Running, receivers: Sequence[tuple[str, Running]], seconds: float, mortal: Collection[str]
    ) -> None:
        self._sender = sender
        self._mortal = mortal
        self._receivers = receivers
        self._seconds = seconds

    def finish(self) -> Stream:
        """Wait until all is sent; what came of it."""
        said = self._sender.hear(self._seconds + _MORE_SECONDS)
        for name, receiver in self._receivers:
            with suppress(KubinetError) if name in self._mortal else nullcontext():
                receiver.say({"last": len(said["offsets_us"]) - 1})
        arrived = {name: self._arrivals(name, receiver) for name, receiver in self._receivers}
        started = float(said["started"])
        return stream([started + offset / 1e6 for offset in said["offsets_us"]], arrived)

    def _arrivals(self, name: str, receiver: Running) -> list[list[int]]:
        """What came to a place; of a mortal one what it had said when it was gone."""
        arrivals: list[list[int]] = []
        ended = False
        while not ended:
            try:
                said = receiver.hear(_MORE_SECONDS)
            except KubinetError:
                if name in self._mortal:
                    return arrivals
                raise
            arrivals += said["arrivals"]
            ended = said["end"]
        return arrivals


@contextmanager
def streaming(scene: Scene, settings: Settings, seconds: float, mortal: Collection[str] = ()) -> Iterator[Sending]:
    """Receivers at `servers`, or at `to`, and a sender that has begun and sends for so long.

    `mortal` places may be gone before the end.
    """
    source, target = text(settings, "from"), end(scene, text(settings, "to"), whole(settings, "port"))
    interval = number(settings, "interval_ms") / 1e3
    given = {
        "address": str(target.address),
        "port": target.port,
        "interval": interval,
        "count": max(1, round(seconds / interval)),
        "payload": whole(settings, "payload"),
        "new_flows": switch(settings, "new_flows"),
    }
    with ExitStack() as stack:
        targets = names(settings, "servers") or (target.name,)
        port = whole(settings, "port")
        running = stack.enter_context(
            listening(
                Server(place(scene, name), name, "stream_receiver", {"port": port, "live": name in mortal})
                for name in targets
            )
        )
        receivers = list(zip(targets, running, strict=True))
        sender = stack.enter_context(program(place(scene, source), source, "stream_sender", given))
        sender.hear(START_SECONDS)
        yield Sending(sender, receivers, seconds, mortal)


PROBE_STREAM: Final = ProbeStream()
