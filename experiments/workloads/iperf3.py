"""Workload `iperf3`: bulk TCP or UDP between two places."""

import time
from contextlib import ExitStack
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.measure.iperf import iperf_command, iperf_server, parse_iperf
from experiments.measure.iperf_udp import parse_iperf_udp
from experiments.measure.target import Host
from experiments.offered import SMALL_SEGMENT, OfferedLoad, datagrams
from experiments.scene import Reading, Scene
from experiments.workloads.common import (
    FROM,
    SERVERS,
    TO,
    End,
    Pair,
    Plugin,
    check_places,
    check_servers,
    end,
    file_name,
    one_of,
    place,
    rate,
    servers,
    switch,
    text,
    whole,
)
from kubinet.errors import DeadlineError, InvalidInputError, KubinetError

_BUSY: Final = "the server is busy running a test"
_BUSY_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.1
_LARGEST_DATAGRAM: Final = 65507
_UDP_RATE: Final = 1e6
"""iperf3's own without `-b`, bit/s (iperf3(1))."""
_UDP_LENGTH: Final = 1460
"""iperf3's own without `-l`, bytes, where the control connection's maximum segment size is not less (iperf3(1))."""


class Iperf3(Plugin):
    """The workload."""

    summary = "Bulk TCP or UDP by iperf3: goodput in total and every half second, retransmits or loss and jitter."
    parameters = (
        FROM,
        TO,
        SERVERS,
        Parameter("protocol", "tcp", "tcp", "`tcp` or `udp`"),
        Parameter("seconds", 5, 1, "seconds of data after the warm-up", 1, 3600),
        Parameter("warmup", 1, 1, "seconds of data that come first and do not count (slow start)", 0, 60),
        Parameter("streams", 1, 1, "connections (UDP: flows) at the same time", 1, 128),
        Parameter("reverse", False, False, "true: the server sends"),
        Parameter("rate", "", "", "what each stream sends, such as `20mbit`; empty: TCP as fast as it can, UDP 1mbit"),
        Parameter("length", 0, 0, "bytes per write (TCP) or payload of a datagram (UDP); 0: iperf3's own", 0, 1048576),
        Parameter("mss", 0, 0, "TCP's maximum segment size, bytes; 0: from the MTU", 0, 9216),
        Parameter("congestion", "", "", "TCP's congestion control, such as `cubic`; empty: the machine's"),
        Parameter("port", 5201, 5201, "port of the servers, and of `to` if it names none", 1, 65535),
    )
    required = ("from", "to")
    metrics: Final = {
        "throughput": "Mbit/s",
        "throughput sent": "Mbit/s",
        "retransmits": "segments",
        "lost": "packets",
        "loss": "%",
        "jitter": "ms",
    }
    programs = ("iperf3",)

    def check(self, settings: Settings) -> None:
        """Places, protocol, and what only one of the protocols has."""
        check_places(settings, "from")
        check_servers(settings)
        one_of(settings, "protocol", ("tcp", "udp"))
        rate(settings, "rate")
        if text(settings, "protocol") == "udp":
            if whole(settings, "mss") or text(settings, "congestion"):
                raise InvalidInputError("parameters 'mss' and 'congestion' are TCP's; leave them away with UDP")
            if whole(settings, "length") > _LARGEST_DATAGRAM:
                raise InvalidInputError(f"parameter 'length': a UDP datagram carries at most {_LARGEST_DATAGRAM} bytes")

    def duration_s(self, settings: Settings) -> float:
        """Warm-up and data."""
        return whole(settings, "seconds") + whole(settings, "warmup")

    def offered(self, settings: Settings) -> OfferedLoad:
        """`rate` of each of the `streams`; TCP no more than its slowest link, and without a `rate` as much as that."""
        bits, streams = rate(settings, "rate"), whole(settings, "streams")
        if text(settings, "protocol") == "udp":
            bits = (_UDP_RATE if bits is None else bits) * streams
            length = whole(settings, "length") or _UDP_LENGTH
            return datagrams(bits / 8 / length, length)
        segment = whole(settings, "mss")
        way = (text(settings, "from"), text(settings, "to"))
        if switch(settings, "reverse"):
            way = way[1], way[0]
        if bits is None:
            return OfferedLoad(None if 0 < segment <= SMALL_SEGMENT else 0.0, None, way)
        bits *= streams
        return OfferedLoad(bits / 8 / segment if 0 < segment <= SMALL_SEGMENT else 0.0, bits, way)

    def run(self, scene: Scene, settings: Settings) -> None:
        """Servers, then one client."""
        source, target = text(settings, "from"), end(scene, text(settings, "to"), whole(settings, "port"))
        argv = client_command(target, settings)
        with ExitStack() as stack:
            for name in servers(settings):
                stack.enter_context(iperf_server(place(scene, name), whole(settings, "port")))
            output = _client(place(scene, source), source, target, argv, self.duration_s(settings) + 60)
        scene.raw(file_name("iperf3", source, target.name) + ".json", output)
        try:
            scene.record(readings(output, text(settings, "protocol") == "udp", Pair(source, target.name)))
        except KubinetError as error:
            raise KubinetError(
                f"{source} to {target}: {error}; an iperf3 server has to listen there (parameter 'servers')"
            ) from error


def client_command(target: End, settings: Settings) -> list[str]:
    """iperf3's argument list."""
    argv = iperf_command(
        target.address,
        seconds=whole(settings, "seconds"),
        warmup_s=whole(settings, "warmup"),
        streams=whole(settings, "streams"),
        port=target.port,
    )
    bits = rate(settings, "rate")
    argv += ["-u"] if text(settings, "protocol") == "udp" else []
    argv += ["-R"] if switch(settings, "reverse") else []
    argv += ["-b", str(round(bits))] if bits is not None else []
    argv += ["-l", str(whole(settings, "length"))] if whole(settings, "length") else []
    argv += ["-M", str(whole(settings, "mss"))] if whole(settings, "mss") else []
    return argv + (["-C", text(settings, "congestion")] if text(settings, "congestion") else [])


def readings(output: str, udp: bool, pair: Pair) -> list[Reading]:
    """What iperf3's JSON says."""
    if udp:
        run = parse_iperf_udp(output)
        at = run.started_s
        return [
            pair.reading("throughput", run.received_mbit_per_s, "Mbit/s", at),
            pair.reading("throughput sent", run.sent_mbit_per_s, "Mbit/s", at),
            pair.reading("lost", run.lost, "packets", at),
            pair.reading("loss", 100 * run.lost / run.packets, "%", at),
            pair.reading("jitter", run.jitter_ms, "ms", at),
        ]
    stream = parse_iperf(output)
    at = stream.started_s
    rows = [
        pair.reading("throughput", stream.received_mbit_per_s, "Mbit/s", at),
        pair.reading("retransmits", stream.retransmits, "segments", at),
    ]
    counted = [interval for interval in stream.intervals if not interval.omitted]
    return rows + [
        pair.reading("throughput sent", interval.mbit_per_s, "Mbit/s", at + interval.end_s, index)
        for index, interval in enumerate(counted)
    ]


def _client(host: Host, source: str, target: End, argv: list[str], timeout: float) -> str:
    """Run it; a server that still closes its last test is asked again."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        result = host.exec(argv, timeout=timeout, check=False)
        output = result.stdout.decode(errors="replace")
        if _BUSY not in output:
            break
        if time.monotonic() > deadline:
            raise DeadlineError(f"{source}: iperf3 server {target} was busy for {_BUSY_SECONDS:g} s; give it a port")
        time.sleep(_RETRY_SECONDS)  # rate limit of retries: a busy server tells nobody when it is free
    if not output.strip():
        said = result.stderr.decode(errors="replace").strip() or "nothing"
        raise KubinetError(f"{source}: iperf3 to {target} ended with status {result.exit_code}; it said: {said}")
    return output


IPERF3: Final = Iperf3()
