"""UDP by iperf3: what arrived, jitter and loss, from iperf3's JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubinet.errors import KubinetError


@dataclass(frozen=True, slots=True)
class DatagramRun:
    """One iperf3 UDP test; rates are UDP payload in 10^6 bit/s, without any header."""

    started_s: float
    """Seconds since 1970."""
    received_mbit_per_s: float
    """Computed from the datagrams that arrived: iperf3 3.12 counts lost ones as received bytes."""
    sent_mbit_per_s: float
    packets: int
    lost: int
    jitter_ms: float
    """RFC 3550, 6.4.1, the mean over streams."""
    payload_bytes: int


def parse_iperf_udp(text: str) -> DatagramRun:
    """Read `iperf3 -u -c … -J`; KubinetError with iperf3's own words when the test failed or the JSON is cut."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise KubinetError(f"iperf3: its output is not JSON ({error})") from error
    if "error" in document:
        raise KubinetError(f"iperf3: {document['error']}")
    try:
        return _run(document)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise KubinetError(f"iperf3: its JSON lacks a field that a finished UDP test has ({error!r})") from error


def _run(document: Mapping[str, Any]) -> DatagramRun:
    start, end = document["start"], document["end"]
    total, size = end["sum"], int(start["test_start"]["blksize"])
    packets, lost = int(total["packets"]), int(total["lost_packets"])
    if not int(end["sum_received"]["packets"]):
        lost = packets  # a server that saw none knows of none that are missing; iperf3 then says that none was lost
    arrived = packets - lost
    return DatagramRun(
        started_s=float(start["timestamp"]["timesecs"]),
        received_mbit_per_s=arrived * size * 8 / float(end["sum_received"]["seconds"]) / 1e6,
        sent_mbit_per_s=float(end["sum_sent"]["bits_per_second"]) / 1e6,
        packets=packets,
        lost=lost,
        jitter_ms=float(total["jitter_ms"]),
        payload_bytes=size,
    )
