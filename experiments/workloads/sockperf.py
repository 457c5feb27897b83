"""Workload `sockperf`: ping-pong latency of small messages over TCP or UDP, by sockperf."""

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import AS_ANSWERED, OfferedLoad
from experiments.programs.running import foreign
from experiments.scene import Scene
from experiments.workloads.common import (
    FROM,
    SERVERS,
    TO,
    Pair,
    Plugin,
    check_places,
    check_servers,
    end,
    file_name,
    one_of,
    place,
    servers,
    text,
    whole,
)
from experiments.workloads.request_response import thinned
from kubinet.errors import KubinetError

_LISTENS: Final = "to block on socket(s)"
_LOST: Final = re.compile(r"# dropped messages = (\d+); # duplicated messages = (\d+); # out-of-order messages = (\d+)")
_ROW: Final = re.compile(r"^(\d+), ([\d.]+), ([\d.]+), ([\d.]+)$", re.MULTILINE)
_FAILURE: Final = re.compile(r"sockperf: (ERROR: .*|.*failed.*)")


@dataclass(frozen=True, slots=True)
class PingPong:
    """What `sockperf ping-pong --full-log` saw."""

    latencies_us: tuple[tuple[float, float], ...]
    """(when the request was sent, seconds of sockperf's clock; half of the round trip, microseconds)."""
    dropped: int
    duplicated: int


def parse_sockperf(output: str) -> PingPong:
    """Read its summary and full log; KubinetError with its own words when it did not measure."""
    lost = _LOST.search(output)
    rows = tuple((float(sent), float(latency)) for _, sent, _, latency in _ROW.findall(output))
    if lost is None or not rows:
        said = _FAILURE.search(output)
        raise KubinetError(f"sockperf: no message was answered; it said: {said[1] if said else output.strip()[-200:]}")
    return PingPong(rows, int(lost[1]), int(lost[2]))


class Sockperf(Plugin):
    """The workload."""

    summary = "Small messages to and fro by sockperf over TCP or UDP: half of each round trip, in microseconds."
    parameters = (
        FROM,
        TO,
        SERVERS,
        Parameter("protocol", "udp", "udp", "`tcp` or `udp`"),
        Parameter("seconds", 5, 1, "how long, seconds, after sockperf's own warm-up of 0.4 s", 1, 3600),
        Parameter("payload", 64, 64, "size of a message, bytes", 14, 65507),
        Parameter("port", 7400, 7400, "port of the servers, and of `to` if it names none", 1, 65535),
        Parameter("keep", 10_000, 2_000, "at most so many latencies are kept, evenly chosen", 1, 1_000_000),
    )
    required = ("from", "to")
    metrics: Final = {"latency": "us", "dropped": "messages", "duplicates": "messages"}
    programs = ("sockperf",)

    def check(self, settings: Settings) -> None:
        """Places and protocol."""
        check_places(settings, "from")
        check_servers(settings)
        one_of(settings, "protocol", ("tcp", "udp"))

    def duration_s(self, settings: Settings) -> float:
        """As set, and the warm-up."""
        return whole(settings, "seconds") + 0.4

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """As many messages as are answered."""
        return AS_ANSWERED

    def run(self, scene: Scene, settings: Settings) -> None:
        """Servers, then one client."""
        source, target = text(settings, "from"), end(scene, text(settings, "to"), whole(settings, "port"))
        tcp = ["--tcp"] if text(settings, "protocol") == "tcp" else []
        client = [
            *("sockperf", "ping-pong", *tcp, "-i", str(target.address), "-p", str(target.port)),
            *("-t", str(whole(settings, "seconds")), "-m", str(whole(settings, "payload"))),
            *("--full-log", "/dev/stdout"),
        ]
        with ExitStack() as stack:
            for name in servers(settings):
                # Line by line: otherwise it says only at its end that it listens.
                argv = ["stdbuf", "-oL", "sockperf", "server", *tcp, "-i", "0.0.0.0", "-p", str(settings["port"])]
                stack.enter_context(foreign(place(scene, name), name, argv)).until(_LISTENS)
            started = time.time()
            result = place(scene, source).exec(client, timeout=whole(settings, "seconds") + 60, check=False)
        output = result.stdout.decode(errors="replace") + result.stderr.decode(errors="replace")
        try:
            run = parse_sockperf(output)
        except KubinetError as error:
            raise KubinetError(f"{source} to {target}: {error}; a sockperf server has to listen there") from error
        scene.raw(file_name("sockperf", source, target.name) + ".txt", output)
        pair = Pair(source, target.name)
        kept = thinned(list(enumerate(run.latencies_us, 1)), whole(settings, "keep"))
        first = run.latencies_us[0][0]
        rows = [
            pair.reading("latency", latency, "us", started + sent - first, index) for index, (sent, latency) in kept
        ]
        rows.append(pair.reading("dropped", run.dropped, "messages", started))
        rows.append(pair.reading("duplicates", run.duplicated, "messages", started))
        scene.record(rows)


SOCKPERF: Final = Sockperf()
