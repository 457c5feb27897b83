"""TCP throughput by iperf3: the receiver's goodput per interval and in total, from iperf3's JSON."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from experiments.measure.listening import wait_listening
from experiments.measure.target import Host, Target
from kubinet.errors import DeadlineError, KubinetError

PORT: Final = 5201
"""iperf3's own default."""

_BUSY: Final = "the server is busy running a test"


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
        mss_bytes=int(start["tcp_mss_default"]),
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
        time.sleep(0.1)
    if not text.strip():
        said = result.stderr.decode(errors="replace").strip() or "nothing"
        raise KubinetError(f"{source.name}: iperf3 to {target} ended with status {result.exit_code}; it said: {said}")
    try:
        return parse_iperf(text), text
    except KubinetError as error:
        raise KubinetError(f"{source.name} to {target}: {error}") from error


@contextmanager
def iperf_server(host: Host, port: int = PORT) -> Iterator[None]:
    """Keep an iperf3 server running on a node or outside host; entered when it listens.

    The server ends with its standard input: a signal would only reach the program that enters the host's namespaces,
    and nothing would end the server if this process were killed.
    """
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = host.popen(["sh", "-c", f"iperf3 -s -p {port} & read -r end_of_input; kill $!"], **quiet)
    try:
        wait_listening(host, port)
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(10)
