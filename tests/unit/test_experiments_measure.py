"""Parsers of what tools print."""

import copy
import json
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.measure.iperf import iperf_command, iperf_server, parse_iperf
from experiments.measure.ping import EchoReply, parse_ping, ping_command
from kubinet.errors import KubinetError
from kubinet.streams import ExecResult

TARGET = IPv4Address("10.244.1.2")

PING = """\
PING 10.244.1.2 (10.244.1.2) 56(84) bytes of data.
[1795525230.103736] 64 bytes from 10.244.1.2: icmp_seq=1 ttl=64 time=1.20 ms
[1795525230.117168] 64 bytes from 10.244.1.2: icmp_seq=3 ttl=64 time=0.219 ms
[1795525230.117169] 64 bytes from 10.244.1.2: icmp_seq=3 ttl=64 time=0.300 ms (DUP!)
[1795525230.133218] 64 bytes from 10.244.1.2: icmp_seq=2 ttl=63 time=0.231 ms

--- 10.244.1.2 ping statistics ---
4 packets transmitted, 3 received, +1 duplicates, 25% packet loss, time 30ms
rtt min/avg/max/mdev = 0.219/0.550/1.200/0.087 ms
"""


def iperf_document() -> dict[str, Any]:
    """What iperf3 3.12 prints for one TCP stream, cut to the fields that are read."""
    return {
        "start": {
            "timestamp": {"time": "Tue, 24 Nov 2026 13:00:30 GMT", "timesecs": 1795525230},
            "tcp_mss_default": 1398,
            "test_start": {"protocol": "TCP", "num_streams": 1, "omit": 1, "duration": 1},
        },
        "intervals": [
            {"streams": [], "sum": {"start": 0, "end": 0.5, "bits_per_second": 5e7, "omitted": True}},
            {"streams": [], "sum": {"start": 0, "end": 0.5, "bits_per_second": 9.25e7, "omitted": False}},
        ],
        "end": {
            "streams": [],
            "sum_sent": {"bits_per_second": 9.5e7, "retransmits": 12},
            "sum_received": {"bits_per_second": 9.2e7},
            "cpu_utilization_percent": {"host_total": 8.5, "remote_total": 3.25},
        },
    }


def test_ping_gives_one_reply_per_request_in_order() -> None:
    """Replies are ordered by sequence; a duplicate is counted and not used."""
    run = parse_ping(PING, TARGET)
    assert run.replies == (
        EchoReply(1, 1795525230.103736, 1.20, 64),
        EchoReply(2, 1795525230.133218, 0.231, 63),
        EchoReply(3, 1795525230.117168, 0.219, 64),
    )
    assert (run.sent, run.received, run.duplicates, run.loss) == (4, 3, 1, 0.25)


def test_ping_says_how_coarse_its_values_are() -> None:
    """1.20 ms is a multiple of 0.01 ms, 150 ms of 1 ms."""
    assert parse_ping(PING, TARGET).resolution_ms == 0.01
    far = (
        "[1.5] 64 bytes from 10.244.1.2: icmp_seq=1 ttl=64 time=150 ms\n"
        "1 packets transmitted, 1 received, 0% packet loss"
    )
    assert parse_ping(far, TARGET).resolution_ms == 1.0


def test_ping_leaves_out_warm_up_by_sequence() -> None:
    """The first request is warm-up even if its reply came last."""
    assert [reply.sequence for reply in parse_ping(PING, TARGET).after_warmup(1)] == [2, 3]


def test_ping_that_did_not_end_is_an_error_with_its_last_words() -> None:
    """Output without a summary names the target and what ping said."""
    with pytest.raises(KubinetError, match=r"ping 10.244.1.2: no summary .* ping: connect: Network is unreachable"):
        parse_ping("ping: connect: Network is unreachable\n", TARGET)


@given(st.text())
def test_ping_parser_takes_any_text(text: str) -> None:
    """Whatever a program prints is a result or a KubinetError."""
    try:
        run = parse_ping(text, TARGET)
    except KubinetError:
        return
    assert run.received >= 0


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0.001, 9999)), max_size=20))
def test_ping_parser_reads_back_what_ping_would_print(replies: list[tuple[int, float]]) -> None:
    """Every first reply of a sequence number is in the result with the printed value."""
    lines = [f"[7.25] 64 bytes from 10.244.1.2: icmp_seq={s} ttl=64 time={rtt:.3f} ms" for s, rtt in replies]
    lines.append("500 packets transmitted, 20 received, 0% packet loss, time 1ms")
    expected: dict[int, float] = {}
    for sequence, rtt in replies:
        expected.setdefault(sequence, float(f"{rtt:.3f}"))
    assert {reply.sequence: reply.rtt_ms for reply in parse_ping("\n".join(lines), TARGET).replies} == expected


def test_ping_command_is_numeric_and_bounded() -> None:
    """The command has count, interval, payload and a bound on waiting."""
    assert ping_command(TARGET, count=220, interval_s=0.01, payload_bytes=56, wait_s=2.0) == [
        *("ping", "-D", "-n", "-c", "220", "-i", "0.01", "-s", "56", "-W", "2", "10.244.1.2")
    ]


def test_iperf_gives_what_the_receiver_got() -> None:
    """Rates are in Mbit/s, warm-up intervals are marked."""
    run = parse_iperf(json.dumps(iperf_document()))
    assert (run.received_mbit_per_s, run.sent_mbit_per_s, run.retransmits) == (92.0, 95.0, 12)
    assert (run.streams, run.mss_bytes, run.started_s) == (1, 1398, 1795525230.0)
    assert [(interval.mbit_per_s, interval.omitted) for interval in run.intervals] == [(50.0, True), (92.5, False)]


def test_iperf_error_is_repeated() -> None:
    """A refused test is an error with iperf3's words."""
    with pytest.raises(KubinetError, match="iperf3: unable to connect to server: Connection refused"):
        parse_iperf('{"start": {}, "error": "unable to connect to server: Connection refused"}')


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"start": {}}', '{"start": 1, "end": 2}'])
def test_iperf_output_that_is_no_finished_test_is_an_error(text: str) -> None:
    """Cut or foreign output is named as such."""
    with pytest.raises(KubinetError, match="iperf3"):
        parse_iperf(text)


@pytest.mark.parametrize("path", ["start", "end", "end/sum_received", "start/timestamp", "end/cpu_utilization_percent"])
def test_iperf_document_without_a_part_is_an_error(path: str) -> None:
    """Each part that is read has to be there."""
    document = copy.deepcopy(iperf_document())
    part: dict[str, Any] = document
    *parents, last = path.split("/")
    for parent in parents:
        part = part[parent]
    del part[last]
    with pytest.raises(KubinetError, match="lacks a field"):
        parse_iperf(json.dumps(document))


def test_iperf_command_uses_whole_seconds() -> None:
    """iperf3 would cut off fractions, so seconds are integers."""
    assert iperf_command(TARGET, seconds=3, warmup_s=1, streams=2, port=5201) == [
        *("iperf3", "-c", "10.244.1.2", "-p", "5201", "-J", "-i", "0.5", "-t", "3", "-O", "1", "-P", "2"),
        *("--connect-timeout", "5000"),
    ]


class Here:
    """A host whose `iperf3` is a shell function."""

    name = "h1"
    address = TARGET

    def __init__(self, iperf3: str) -> None:
        self._iperf3 = iperf3

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> ExecResult:
        raise NotImplementedError

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        script = f"iperf3() {{ {self._iperf3}; }}; {argv[2]}"
        self.process = subprocess.Popen(["sh", "-c", script], **options)
        return self.process


def test_iperf_server_is_there_when_it_says_so() -> None:
    """The block is entered after the line; the server ends with the block, however much it wrote in between."""
    here = Here("echo Server listening on 5201; head -c 300000 /dev/zero; exec tail -f /dev/null")
    with iperf_server(here):
        assert here.process.poll() is None
    assert here.process.returncode == 0


def test_iperf_server_that_cannot_listen_is_an_error_with_its_words() -> None:
    """The program's last line says why."""
    message = "h1: iperf3 server on port 5201 ended; it said: iperf3: error - unable to start listener"
    with (
        pytest.raises(KubinetError, match=message),
        iperf_server(Here("echo 'iperf3: error - unable to start listener' >&2")),
    ):
        pass
