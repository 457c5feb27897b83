"""Workload `request-response`: requests over kept connections, each the next or at a rate; latency and throughput."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final, TypeVar

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import AS_ANSWERED, EXCHANGE, OfferedLoad, packets_of
from experiments.programs.running import Server, listening, program
from experiments.scene import Scene
from experiments.stats import derived_seed
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
    number,
    one_of,
    place,
    servers,
    text,
    whole,
)
from kubinet.errors import InvalidInputError, KubinetError

PORT: Final = Parameter("port", 7100, 7100, "port of the servers, and of `to` if it names none", 1, 65535)
PROTOCOL: Final = Parameter("protocol", "tcp", "tcp", "`tcp` or `udp`")
ASKING: Final = (
    Parameter("seconds", 5.0, 1.0, "how long requests begin, seconds", 0.05, 3600),
    Parameter("connections", 1, 1, "connections (UDP: sockets); each has one request at a time", 1, 1000),
    Parameter("rate", 0.0, 0.0, "requests per second in all, a Poisson process; 0: each at once after the last", 0),
    Parameter("request", 64, 64, "payload of a request, bytes", 0, 100_000_000),
    Parameter("response", 64, 64, "payload of an answer, bytes", 0, 100_000_000),
    Parameter("timeout_s", 2.0, 1.0, "seconds after which a request has failed", 0.01, 600),
    Parameter("keep", 10_000, 2_000, "at most so many latencies are kept, evenly chosen", 1, 1_000_000),
)
"""How requests are made, for every workload that makes them."""
LARGEST_DATAGRAM: Final = 65507 - 24
_MORE_SECONDS: Final = 30.0
Row = TypeVar("Row")


class RequestResponse(Plugin):
    """The workload."""

    summary = "Requests and answers of given sizes over kept TCP connections or UDP: latency, requests per second."
    parameters = (
        FROM,
        TO,
        SERVERS,
        PROTOCOL,
        PORT,
        *ASKING,
    )
    required = ("from", "to")
    metrics: Final = {"latency": "ms", "requests per second": "1/s", "failed": "requests"}

    def check(self, settings: Settings) -> None:
        """Places, protocol, sizes that a datagram can have."""
        check_places(settings, "from")
        check_servers(settings)
        one_of(settings, "protocol", ("tcp", "udp"))
        largest = max(whole(settings, "request"), whole(settings, "response"))
        if text(settings, "protocol") == "udp" and largest > LARGEST_DATAGRAM:
            raise InvalidInputError(f"a UDP datagram carries at most {LARGEST_DATAGRAM} bytes here, not {largest}")

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """`rate` requests of `request` and answers of `response` bytes; as many as are answered where it is 0."""
        return offered_requests(settings, text(settings, "protocol"))

    def run(self, scene: Scene, settings: Settings) -> None:
        """Servers, then the client."""
        target = end(scene, text(settings, "to"), whole(settings, "port"))
        with ExitStack() as stack:
            start_servers(stack, scene, settings)
            ask(scene, settings, target, text(settings, "protocol"))


def offered_requests(settings: Settings, protocol: str, calls: int = 1) -> OfferedLoad:
    """What clients with these settings send, where each request becomes `calls` of the same sizes in all."""
    per_second, sizes = number(settings, "rate") * calls, (whole(settings, "request"), whole(settings, "response"))
    if not per_second:
        return AS_ANSWERED
    packets = EXCHANGE if protocol == "tcp" else sum(map(packets_of, sizes))
    return OfferedLoad(per_second * packets, per_second * sum(sizes) * 8)


def ask(scene: Scene, settings: Settings, target: End, protocol: str) -> None:
    """Send the requests and record what came of them; KubinetError when none was answered."""
    source = text(settings, "from")
    given = {
        "address": str(target.address),
        "port": target.port,
        "protocol": protocol,
        "seconds": number(settings, "seconds"),
        "connections": whole(settings, "connections"),
        "rate": number(settings, "rate"),
        "request": whole(settings, "request"),
        "response": whole(settings, "response"),
        "timeout": number(settings, "timeout_s"),
        "seed": derived_seed(scene.seed, "requests", source, target.name),
    }
    with program(place(scene, source), source, "request_client", given) as client:
        found = client.hear(number(settings, "seconds") + number(settings, "timeout_s") * 2 + _MORE_SECONDS)
    rows = found["requests"]
    require_success(rows, f"{source}: no request to {target}", scene, file_name("requests", source, target.name))
    pair, started = Pair(source, target.name), float(found["started"])
    answered = [row for row in rows if not row[2]]
    kept = thinned(list(enumerate(answered, 1)), whole(settings, "keep"))
    readings = [pair.reading("latency", took, "ms", started + at, index) for index, (at, took, _) in kept]
    readings.append(pair.reading("requests per second", len(answered) / found["seconds"], "1/s", started))
    failed = len(rows) - len(answered) + found["unsent"]
    readings.append(pair.reading("failed", failed, "requests", started))
    scene.record(readings)


def start_servers(stack: ExitStack, scene: Scene, settings: Settings) -> None:
    """An answering server at every place that is to have one, until the stack ends."""
    port = {"port": whole(settings, "port")}
    stack.enter_context(
        listening(Server(place(scene, name), name, "answer_server", port) for name in servers(settings))
    )


def thinned(rows: Sequence[Row], keep: int) -> Sequence[Row]:
    """At most `keep` rows, evenly over the whole."""
    if len(rows) <= keep:
        return rows
    return [rows[index * len(rows) // keep] for index in range(keep)]


def require_success(rows: Sequence[Any], what: str, scene: Scene, name: str) -> None:
    """KubinetError when every request failed, saying how; some failures are kept as raw output."""
    failures = Counter(str(row[-1]) for row in rows if row[-1])
    if failures:
        scene.raw(f"{name}-failures.txt", "".join(f"{count} {failure}\n" for failure, count in failures.most_common()))
    if sum(failures.values()) == len(rows):
        how = ", ".join(f"{count} x {failure}" for failure, count in failures.most_common(3)) or "none was begun"
        raise KubinetError(f"{what} was answered ({how}); look with `kubinet trace` where they are lost")


REQUEST_RESPONSE: Final = RequestResponse()
