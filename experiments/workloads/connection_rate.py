"""Workload `connection-rate`: new connections per second, and how long handshake and first answer take."""

from contextlib import ExitStack
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import AS_ANSWERED, OfferedLoad
from experiments.programs.running import program
from experiments.scene import Scene
from experiments.workloads.common import (
    FROM,
    SERVERS,
    Pair,
    Plugin,
    check_places,
    check_servers,
    end,
    file_name,
    names,
    number,
    one_of,
    place,
    text,
    whole,
)
from experiments.workloads.request_response import PORT, PROTOCOL, require_success, start_servers, thinned

_MORE_SECONDS: Final = 30.0


class ConnectionRate(Plugin):
    """The workload."""

    summary = "New connections (UDP: exchanges from new ports) as fast as they are answered: rate, handshake time."
    parameters = (
        FROM,
        Parameter(
            "to", "", "", "targets in turn, with commas between: places, services or addresses", holds=Holds.PLACES
        ),
        SERVERS,
        PROTOCOL,
        PORT,
        Parameter("seconds", 5.0, 1.0, "how long connections begin, seconds", 0.05, 3600),
        Parameter("parallel", 4, 4, "connections at a time", 1, 1000),
        Parameter("timeout_s", 2.0, 1.0, "seconds after which a connection has failed", 0.01, 600),
        Parameter("keep", 10_000, 2_000, "at most so many times are kept, evenly chosen", 1, 1_000_000),
    )
    required = ("from", "to")
    metrics: Final = {
        "connections per second": "1/s",
        "handshake": "ms",
        "first answer": "ms",
        "failed": "connections",
    }

    def check(self, settings: Settings) -> None:
        """Places and protocol."""
        check_places(settings, "from")
        check_servers(settings)
        one_of(settings, "protocol", ("tcp", "udp"))

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """As many connections as are answered."""
        return AS_ANSWERED

    def run(self, scene: Scene, settings: Settings) -> None:
        """Servers, then the client."""
        source, word = text(settings, "from"), text(settings, "to")
        targets = [end(scene, name, whole(settings, "port")) for name in names(settings, "to")]
        given = {
            "targets": [[str(one.address), one.port] for one in targets],
            "protocol": text(settings, "protocol"),
            "seconds": number(settings, "seconds"),
            "parallel": whole(settings, "parallel"),
            "timeout": number(settings, "timeout_s"),
        }
        with ExitStack() as stack:
            start_servers(stack, scene, settings)
            client = stack.enter_context(program(place(scene, source), source, "connection_client", given))
            found = client.hear(number(settings, "seconds") + number(settings, "timeout_s") + _MORE_SECONDS)
        rows = found["connections"]
        require_success(rows, f"{source}: no connection to {word}", scene, file_name("connections", source, word))
        answered = [row for row in rows if not row[3]]
        pair, started = Pair(source, word), float(found["started"])
        readings = []
        for index, (at, connected, took, _) in thinned(list(enumerate(answered, 1)), whole(settings, "keep")):
            if text(settings, "protocol") == "tcp":
                readings.append(pair.reading("handshake", connected, "ms", started + at, index))
            readings.append(pair.reading("first answer", took, "ms", started + at, index))
        readings.append(pair.reading("connections per second", len(answered) / found["seconds"], "1/s", started))
        readings.append(pair.reading("failed", len(rows) - len(answered), "connections", started))
        scene.record(readings)


CONNECTION_RATE: Final = ConnectionRate()
