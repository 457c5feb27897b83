"""TCP throughput by iperf3: the receiver's goodput per interval and in total, from iperf3's JSON."""

import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from experiments.measure.target import Host, Target
from kubinet.errors import DeadlineError, KubinetError

PORT: Final = 5201
"""iperf3's own default."""

LISTENING: Final = "Server listening on"
"""What `iperf3 -s` prints when a client can connect; with `--forceflush` at once, also into a pipe or a log."""

_BUSY: Final = "the server is busy running a test"
_RETRY_SECONDS: Final = 0.1
_START_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class ThroughputInterval:
    """One reporting interval of the sending side."""

    start_s: float
    """Since the test began."""
    end_s: float
    mbit_per_s: float
    """TCP payload, 10^6 bits per second."""
    omitted: bool
    """Whether it belongs to the warm-up."""


@dataclass(frozen=True, slots=True)
class ThroughputRun:
    """One iperf3 TCP test; rates are TCP payload in 10^6 bit/s, without any header."""

    started_s: float
    """Seconds since 1970."""
    received_mbit_per_s: float
    """What arrived at the receiver after the warm-up: the figure to report."""
    sent_mbit_per_s: float
    retransmits: int
    streams: int
    mss_bytes: int
    """The connection's maximum segment size, from its options."""
    sender_cpu_percent: float
    receiver_cpu_percent: float
    intervals: tuple[ThroughputInterval, ...]


def parse_iperf(text: str) -> ThroughputRun:
    """Read `iperf3 -c … -J`; KubinetError with iperf3's own words when the test failed or the JSON is cut."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise KubinetError(f"iperf3: its output is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise KubinetError("iperf3: its output is not a JSON object")
    if "error" in document:
        raise KubinetError(f"iperf3: {document['error']}")
    try:
        return _run(document)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise KubinetError(f"iperf3: its JSON lacks a field that a finished TCP test has ({error!r})") from error


def _run(document: Mapping[str, Any]) -> ThroughputRun:
    start, end = document["start"], document["end"]
    cpu = end["cpu_utilization_percent"]
    return ThroughputRun(
        started_s=float(start["timestamp"]["timesecs"]),
        received_mbit_per_s=_mbit(end["sum_received"]),
        sent_mbit_per_s=_mbit(end["sum_sent"]),
        retransmits=int(end["sum_sent"].get("retransmits", 0)),
        streams=int(start["test_start"]["num_streams"]),
        mss_bytes=int(start["tcp_mss"] if "tcp_mss" in start else start["tcp_mss_default"]),
        sender_cpu_percent=float(cpu["host_total"]),
        receiver_cpu_percent=float(cpu["remote_total"]),
        intervals=tuple(
            ThroughputInterval(
                float(interval["sum"]["start"]),
                float(interval["sum"]["end"]),
                _mbit(interval["sum"]),
                bool(interval["sum"]["omitted"]),
            )
            for interval in document["intervals"]
        ),
    )


def _mbit(total: Mapping[str, Any]) -> float:
    return float(total["bits_per_second"]) / 1e6


def iperf_command(target: IPv4Address, *, seconds: int, warmup_s: int, streams: int, port: int) -> list[str]:
    """The client's argument list: `warmup_s` omitted first, then `seconds` of data, intervals of half a second.

    iperf3 reads both as whole seconds and cuts off fractions in silence, so they are integers here.
    """
    return [
        *("iperf3", "-c", str(target), "-p", str(port), "-J", "-i", "0.5"),
        *("-t", str(seconds), "-O", str(warmup_s), "-P", str(streams), "--connect-timeout", "5000"),
    ]


def throughput(
    source: Target,
    target: IPv4Address,
    *,
    seconds: int,
    warmup_s: int,
    streams: int = 1,
    port: int = PORT,
    busy_timeout_s: float = 10.0,
) -> tuple[ThroughputRun, str]:
    """Send TCP from `source` to the iperf3 server at `target`; returns the run and iperf3's own JSON.

    A server that still closes its last test is asked again until `busy_timeout_s` has passed.
    """
    argv = iperf_command(target, seconds=seconds, warmup_s=warmup_s, streams=streams, port=port)
    deadline = time.monotonic() + busy_timeout_s
    while True:
        result = source.exec(argv, timeout=seconds + warmup_s + 60, check=False)
        text = result.stdout.decode(errors="replace")
        if _BUSY not in text:
            break
        if time.monotonic() > deadline:
            raise DeadlineError(
                f"{source.name}: iperf3 server {target}:{port} was still busy after {busy_timeout_s:g} s"
            )
        time.sleep(_RETRY_SECONDS)  # rate limit of retries: a busy server refuses and tells nobody when it is free
    if not text.strip():
        said = result.stderr.decode(errors="replace").strip() or "nothing"
        raise KubinetError(f"{source.name}: iperf3 to {target} ended with status {result.exit_code}; it said: {said}")
    try:
        return parse_iperf(text), text
    except KubinetError as error:
        raise KubinetError(f"{source.name} to {target}: {error}") from error


def server_command(port: int = PORT) -> list[str]:
    """The server's argument list."""
    return ["iperf3", "-s", "--forceflush", "-p", str(port)]


@contextmanager
def iperf_server(host: Host, port: int = PORT) -> Iterator[None]:
    """Keep an iperf3 server running on a node or outside host; entered when it says that it listens.

    The server ends with its standard input: a signal would only reach the program that enters the host's namespaces,
    and nothing would end the server if this process were killed. KubinetError with its words when it cannot listen.
    """
    script = f"{' '.join(server_command(port))} 2>&1 & exec >/dev/null; read -r end_of_input; kill $!"
    process = host.popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    output = _Output(process.stdout)
    try:
        output.wait_listening(f"{host.name}: iperf3 server on port {port}")
        yield
    finally:
        process.stdin.close()
        process.wait(10)
        output.join(10)
        process.stdout.close()


class _Output(threading.Thread):
    """Reads a server's output to its end, so that it never blocks, and says when it listens."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        super().__init__(name="iperf3-output", daemon=True)
        self._lines = lines
        self._known = threading.Event()
        self._listens = False
        self._last = "nothing"
        self.start()

    def run(self) -> None:
        for line in self._lines:
            text = line.decode(errors="replace").strip()
            if text:
                self._last = text
            if LISTENING in text:
                self._listens = True
                self._known.set()
        self._known.set()

    def wait_listening(self, server: str) -> None:
        """Return when it listens; `server` names it in errors."""
        if not self._known.wait(_START_SECONDS):
            raise DeadlineError(f"{server}: not listening after {_START_SECONDS:g} s; it said: {self._last}")
        if not self._listens:
            raise KubinetError(f"{server} ended; it said: {self._last}")
