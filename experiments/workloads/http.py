"""Workload `http`: HTTP requests by wrk over kept connections."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import AS_ANSWERED, OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import (
    FROM,
    TO,
    Pair,
    Plugin,
    check_places,
    end,
    file_name,
    number,
    place,
    text,
    whole,
)
from kubinet.errors import InvalidInputError, KubinetError

_UNITS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3}
_BYTES: Final = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_PERCENTILE: Final = re.compile(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m|h)$", re.MULTILINE)
_LATENCY: Final = re.compile(r"^\s+Latency\s+([\d.]+)(us|ms|s|m|h)\s+[\d.]+\w+\s+([\d.]+)(us|ms|s|m|h)\s", re.MULTILINE)
_RATE: Final = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^\s+(\d+) requests in ([\d.]+)(us|ms|s|m|h), ([\d.]+)([KMG]?B) read$", re.MULTILINE)
_ERRORS: Final = re.compile(r"^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$", re.MULTILINE)
_STATUS: Final = re.compile(r"^\s+Non-2xx or 3xx responses: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HttpRun:
    """What wrk says at its end; it prints no single request."""

    requests: int
    per_second: float
    read_bytes: float
    latency_ms: tuple[tuple[str, float], ...]
    """`mean`, `max`, and percentiles as `p50`."""
    errors: int
    """Connections and requests that failed or took longer than the timeout."""
    other_status: int
    """Answers with a status other than 2xx and 3xx."""


def parse_wrk(output: str) -> HttpRun:
    """Read `wrk --latency`; KubinetError when its summary is missing."""
    total, rate, latency = _TOTAL.search(output), _RATE.search(output), _LATENCY.search(output)
    if total is None or rate is None or latency is None:
        raise KubinetError(f"wrk: no summary in its output; it said: {output.strip()[-300:] or 'nothing'}")
    errors, status = _ERRORS.search(output), _STATUS.search(output)
    shown = [("mean", float(latency[1]) * _UNITS[latency[2]]), ("max", float(latency[3]) * _UNITS[latency[4]])]
    shown += [(f"p{percent}", float(value) * _UNITS[unit]) for percent, value, unit in _PERCENTILE.findall(output)]
    return HttpRun(
        requests=int(total[1]),
        per_second=float(rate[1]),
        read_bytes=float(total[4]) * _BYTES[total[5]],
        latency_ms=tuple(shown),
        errors=sum(map(int, errors.groups())) if errors else 0,
        other_status=int(status[1]) if status else 0,
    )


class Http(Plugin):
    """The workload."""

    summary = "HTTP/1.1 requests by wrk, each connection's next after its last: requests per second, latency."
    parameters = (
        FROM,
        TO,
        Parameter("port", 80, 80, "port, if `to` names none", 1, 65535),
        Parameter("path", "/", "/", "path and query of the request"),
        Parameter("seconds", 5, 1, "how long, seconds", 1, 3600),
        Parameter("connections", 4, 4, "connections at the same time", 1, 10_000),
        Parameter("threads", 1, 1, "threads of wrk; no more than connections", 1, 64),
        Parameter("timeout_s", 2.0, 2.0, "seconds after which a request has failed", 1, 600),
    )
    required = ("from", "to")
    metrics: Final = {
        "requests per second": "1/s",
        "latency": "ms",
        "throughput": "Mbit/s",
        "failed": "requests",
        "other status": "requests",
    }
    labels = ("statistic",)
    programs = ("wrk",)

    def check(self, settings: Settings) -> None:
        """A path, and no more threads than connections."""
        check_places(settings, "from")
        if not text(settings, "path").startswith("/"):
            raise InvalidInputError(f"parameter 'path': {text(settings, 'path')!r} does not begin with /")
        if whole(settings, "threads") > whole(settings, "connections"):
            raise InvalidInputError("parameter 'threads': wrk needs a connection for each; raise 'connections'")

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return whole(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """As many requests as are answered."""
        return AS_ANSWERED

    def run(self, scene: Scene, settings: Settings) -> None:
        """One call of wrk."""
        source, target = text(settings, "from"), end(scene, text(settings, "to"), whole(settings, "port"))
        url = f"http://{target.address}:{target.port}{text(settings, 'path')}"
        argv = [
            *("wrk", "--latency", "-t", str(whole(settings, "threads")), "-c", str(whole(settings, "connections"))),
            *("-d", f"{whole(settings, 'seconds')}s", "--timeout", f"{number(settings, 'timeout_s'):g}s", url),
        ]
        started = time.time()
        result = place(scene, source).exec(argv, timeout=whole(settings, "seconds") + 60, check=False)
        output = result.stdout.decode(errors="replace")
        if result.exit_code != 0:
            said = (result.stderr.decode(errors="replace").strip() or output.strip() or "nothing")[-300:]
            raise KubinetError(f"{source}: wrk {url} ({target.name}) ended with {result.exit_code}; it said: {said}")
        scene.raw(file_name("wrk", source, target.name) + ".txt", output)
        run = parse_wrk(output)
        if not run.requests:
            raise KubinetError(f"{source}: {url} ({target.name}) answered no request; does a server listen there?")
        scene.record(_readings(run, Pair(source, target.name), started, whole(settings, "seconds")))


def _readings(run: HttpRun, pair: Pair, at: float, seconds: int) -> Iterator[Reading]:
    yield pair.reading("requests per second", run.per_second, "1/s", at)
    for statistic, value in run.latency_ms:
        yield pair.reading("latency", value, "ms", at, statistic=statistic)
    yield pair.reading("throughput", run.read_bytes * 8 / 1e6 / seconds, "Mbit/s", at)
    yield pair.reading("failed", run.errors, "requests", at)
    yield pair.reading("other status", run.other_status, "requests", at)


HTTP: Final = Http()
