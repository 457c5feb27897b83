"""The programs that experiments send to places, run as they are sent, on this machine's loopback."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import pytest

from experiments.programs import dns_client
from experiments.programs.running import Running, Server, foreign, listening, program
from kubinet.errors import DeadlineError, KubinetError
from kubinet.streams import ExecResult

pytestmark = pytest.mark.slow


@contextmanager
def server(host: Any, where: str, name: str, settings: dict[str, object]) -> Iterator[Running]:
    """One program that listens."""
    with listening([Server(host, where, name, settings)]) as (running,):
        yield running


ASKING = {"protocol": "tcp", "seconds": 0.2, "connections": 2, "rate": 0, "timeout": 1.0, "seed": 1}


class Here:
    """This machine as a place."""

    name = "here"
    address = IPv4Address("127.0.0.1")

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> ExecResult:
        raise AssertionError("not used")

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(argv, **options)


HERE = Here()


def answering(port: int) -> Any:
    return server(HERE, "node/n1", "answer_server", {"port": port})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def ask(port: int, **settings: object) -> dict[str, Any]:
    given = {"address": "127.0.0.1", "port": port, "request": 10, "response": 20, **ASKING, **settings}
    with program(HERE, "node/n1", "request_client", given) as client:
        found: dict[str, Any] = client.hear(10)
    return found


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_requests_are_answered(protocol: str) -> None:
    """Each request follows the last on its connection; none fails."""
    port = free_port()
    with answering(port):
        found = ask(port, protocol=protocol)
    assert len(found["requests"]) > 20
    assert {failure for _, _, failure in found["requests"]} == {""}
    assert all(took > 0 for _, took, _ in found["requests"])


def test_requests_and_answers_may_be_larger_than_buffers() -> None:
    """Two megabytes to and three back arrive whole."""
    port = free_port()
    with answering(port):
        found = ask(port, request=2_000_000, response=3_000_000, connections=1)
    assert found["requests"]
    assert {failure for _, _, failure in found["requests"]} == {""}


def test_requests_at_a_rate_begin_at_times_of_the_seed() -> None:
    """A Poisson process: the number of requests is the seed's, whatever the answers take."""
    port = free_port()
    with answering(port):
        counts = [len(ask(port, rate=200, seed=7)["requests"]) for _ in range(2)]
    assert counts[0] == counts[1]
    assert 20 <= counts[0] <= 70


def test_refused_requests_are_failures() -> None:
    """Without a server every request fails, but not faster than anyone wants to count."""
    found = ask(free_port())
    assert {failure for _, _, failure in found["requests"]} <= {"ECONNREFUSED", "EPIPE"}
    assert 1 <= len(found["requests"]) <= 60


def test_requests_go_on_after_a_server_came_back() -> None:
    """A connection that broke is made again."""
    port = free_port()
    given = {"address": "127.0.0.1", "port": port, "request": 1, "response": 1, **ASKING, "seconds": 2.5}
    with answering(port):
        client = program(HERE, "node/n1", "request_client", given)
        running = client.__enter__()
        time.sleep(0.3)
    with answering(port):
        found = running.hear(10)
        client.__exit__(None, None, None)
    failed = [index for index, (_, _, failure) in enumerate(found["requests"]) if failure]
    assert failed
    assert found["requests"][-1][2] == ""


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_connections_are_counted(protocol: str) -> None:
    """Each is answered; TCP's handshake is part of its time."""
    port = free_port()
    given = {"targets": [["127.0.0.1", port]], "protocol": protocol, "seconds": 0.2, "parallel": 4, "timeout": 1.0}
    with answering(port), program(HERE, "node/n1", "connection_client", given) as client:
        found = client.hear(10)
    assert len(found["connections"]) > 20
    for _, connected, took, failure in found["connections"]:
        assert failure == ""
        assert 0 < connected <= took


def test_flows_are_complete_when_their_last_byte_came() -> None:
    """Flows start in their time, also several at once, also prepared ones, also empty ones."""
    port = free_port()
    flows = [[0, 0.0, "127.0.0.1", port, 3_000_000], [1, 0.0, "127.0.0.1", port, 10], [2, 0.1, "127.0.0.1", port, 1]]
    for prepared in (False, True):
        given = {"flows": flows, "timeout": 5.0, "prepared": prepared}
        with answering(port), program(HERE, "node/n1", "flow_client", given) as client:
            client.say({"begin": client.hear(5)["now"] + 0.05})
            found = {row[0]: row[1:] for row in client.hear(10)["flows"]}
        assert [found[number][2] for number in range(3)] == ["", "", ""]
        assert min(found[number][1] for number in range(3)) > 0
        assert [found[number][0] for number in range(3)] == pytest.approx([0, 0, 0.1], abs=0.09)


def test_flows_to_nobody_fail() -> None:
    """Each says why."""
    given = {"flows": [[0, 0.0, "127.0.0.1", free_port(), 10]], "timeout": 1.0, "prepared": False}
    with program(HERE, "node/n1", "flow_client", given) as client:
        client.say({"begin": client.hear(5)["now"]})
        assert client.hear(5)["flows"][0][3] == "ECONNREFUSED"


def test_a_stream_arrives_with_its_numbers_and_times() -> None:
    """All numbers come, once; a datagram comes after it was sent."""
    port = free_port()
    given = {"address": "127.0.0.1", "port": port, "interval": 0.002, "count": 50, "payload": 32, "new_flows": True}
    with (
        server(HERE, "node/n1", "stream_receiver", {"port": port, "live": False}) as receiver,
        program(HERE, "node/n1", "stream_sender", given) as sender,
    ):
        sender.hear(5)
        said = sender.hear(5)
        receiver.say({"last": 49})
        arrivals = receiver.hear(5)["arrivals"]
    assert [number for number, _, _ in arrivals] == list(range(50))
    assert all(arrived >= sent for _, sent, arrived in arrivals)
    assert said["refused"] == []
    assert said["offsets_us"] == sorted(said["offsets_us"])


@pytest.mark.parametrize("parallel", [True, False])
def test_a_call_waits_for_its_callees(parallel: bool) -> None:
    """Two callees that need 400 ms each: 400 ms at once, 800 ms one after the other."""
    ports = [free_port() for _ in range(3)]
    base = {"request": 1, "response": 1, "timeout": 5.0, "parallel": parallel}
    leaf = {**base, "callees": [], "work": 0.4}
    root = {**base, "callees": [["127.0.0.1", ports[1]], ["127.0.0.1", ports[2]]], "work": 0.0, "port": ports[0]}
    with (
        server(HERE, "pod/b", "call_server", {**leaf, "port": ports[1]}),
        server(HERE, "pod/c", "call_server", {**leaf, "port": ports[2]}),
        server(HERE, "pod/a", "call_server", root),
    ):
        found = ask(ports[0], connections=1, timeout=5.0)
    times = [took for _, took, failure in found["requests"] if not failure]
    assert min(times) >= (400 if parallel else 800)
    assert min(times) < 800 or not parallel


@pytest.mark.parametrize(
    ("name", "ndots", "expected"),
    [
        ("web", 5, ["web.a.local", "web.local", "web"]),
        ("web.b", 1, ["web.b", "web.b.a.local", "web.b.local"]),
        ("web.", 5, ["web"]),
        ("kubernetes.io", 5, ["kubernetes.io.a.local", "kubernetes.io.local", "kubernetes.io"]),
    ],
)
def test_names_are_tried_in_the_resolvers_order(name: str, ndots: int, expected: list[str]) -> None:
    """Below ndots the search list comes first; a last dot means: only this one."""
    assert dns_client.candidates(name, ["a.local", "local."], ndots) == expected


def test_a_question_is_encoded_as_rfc_1035_says() -> None:
    """Header with recursion desired, one question, labels, type and class; an empty label is refused."""
    assert dns_client.question(7, "a.bc", 28).hex() == "00070100000100000000000001610262630000" + "1c0001"
    with pytest.raises(ValueError, match="empty or too long label"):
        dns_client.question(7, "a..b", 1)


def test_a_program_that_fails_says_where_and_why() -> None:
    """The error has the place, the program, its status and its last words."""
    with program(HERE, "pod/b", "answer_server", {}) as running:
        with pytest.raises(KubinetError, match="pod/b: answer-server ended with status 1; it said: KeyError: 'port'"):
            running.hear(10)


def test_a_server_whose_port_is_taken_says_what_to_do() -> None:
    """The error has the place, the port and the parameter."""
    port = free_port()
    with (
        answering(port),
        pytest.raises(KubinetError, match=rf"pod/b: port {port} is taken, .*\(parameter 'port'\)"),
    ):
        with server(HERE, "pod/b", "answer_server", {"port": port}):
            pass


def test_a_program_that_says_nothing_is_not_waited_for_for_ever() -> None:
    """The deadline's error names the place and the program."""
    with answering(free_port()) as running, pytest.raises(DeadlineError, match="node/n1: answer-server said nothing"):
        running.hear(0.05)


def test_a_foreign_server_ends_with_the_block() -> None:
    """It is started, waited for until it listens, and gone afterwards."""
    with foreign(HERE, "node/n1", ["sh", "-c", "echo $$ listening; exec sleep 60"]) as running:
        line = running.line(5)
        assert line is not None
        pid, word = line.split()
        assert word == b"listening"
    alive = subprocess.run(["ps", "-o", "stat=", "-p", pid.decode()], capture_output=True, text=True, check=False)
    assert alive.stdout.strip() in ("", "Z")


def test_a_foreign_server_that_cannot_start_is_an_error() -> None:
    """Its own words are repeated."""
    with (
        foreign(HERE, "node/n1", ["sh", "-c", "echo no such option; exit 3"]) as running,
        pytest.raises(KubinetError, match="node/n1: sh ended before it listened; it said: no such option"),
    ):
        running.until("listening")


def test_a_live_receiver_says_all_the_time_what_came() -> None:
    """What it had said is known when its place is gone."""
    port = free_port()
    given = {"address": "127.0.0.1", "port": port, "interval": 0.02, "count": 10, "payload": 32, "new_flows": False}
    with (
        server(HERE, "node/n1", "stream_receiver", {"port": port, "live": True}) as receiver,
        program(HERE, "node/n1", "stream_sender", given),
    ):
        first = receiver.hear(5)
        assert first["arrivals"][0][0] == 0
        assert first["end"] is False
        receiver.say({"last": 9})
        rest = []
        while not (said := receiver.hear(5))["end"]:
            rest += said["arrivals"]
    assert [number for number, _, _ in [*first["arrivals"], *rest, *said["arrivals"]]] == list(range(10))
