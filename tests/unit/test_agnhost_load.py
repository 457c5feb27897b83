"""agnhost's load server and client on the loopback."""

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.agnhost import net
from agents.agnhost.load_client import arrivals
from agents.agnhost.load_server import Server

AGNHOST = Path(__file__).parents[2] / "agents" / "agnhost" / "agnhost"


@pytest.fixture
def port() -> Iterator[int]:
    """A server named `web` with a service time of 20 ms."""
    listener = net.listen(0, "tcp", "127.0.0.1")
    server, ending = Server(listener, "web", 0.02), threading.Event()

    def serve() -> None:
        while not ending.is_set():
            server.once(0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    ending.set()
    thread.join()
    server.close()


def ask(mode: str, target: str, *arguments: str) -> object:
    done = subprocess.run([AGNHOST, "load-client", mode, target, *arguments], capture_output=True, check=True)
    return json.loads(done.stdout)


def test_every_source_port_learns_who_answered(port: int) -> None:
    """One answer a port, in the ports' order, target by target; where nobody listens the name is empty."""
    found = ask("connect", f"127.0.0.1:{port},127.0.0.1:1", "--first-port=14000", "--ports=5")
    assert [one["servers"] for one in found] == [["web"] * 5, [""] * 5]  # type: ignore[attr-defined]
    again = ask("connect", f"127.0.0.1:{port}", "--first-port=14000", "--ports=5")
    assert again[0]["servers"] == ["web"] * 5  # type: ignore[index]


def test_rate_counts_answered_connections(port: int) -> None:
    """As many as come back within the time; none fails."""
    found = ask("rate", f"127.0.0.1:{port}", "--seconds=300ms")
    assert found["answered"] > 20  # type: ignore[index]
    assert found["failed"] == 0  # type: ignore[index]


def test_requests_queue_at_the_server(port: int) -> None:
    """100 requests/s to a server that does 50/s: each waits longer than the service time, the last ones much longer."""
    found = ask("requests", f"127.0.0.1:{port}", "--seconds=500ms", "--interval=10ms", "--seed=3")
    requests = found["requests"]  # type: ignore[index]
    assert len(requests) == len(list(arrivals(0.01, 0.5, 3)))
    assert {(server, failure) for *_, server, failure in requests} == {("web", "")}
    assert min(time for _, time, *_ in requests) >= 20
    assert max(time for _, time, *_ in requests) >= 200


def test_arrivals_are_poisson_and_repeatable() -> None:
    """The same seed gives the same times; about rate times seconds of them, in order."""
    times = list(arrivals(0.01, 20, 5))
    assert times == list(arrivals(0.01, 20, 5))
    assert times == sorted(times)
    assert 1800 < len(times) < 2200


def test_unknown_mode_is_refused() -> None:
    """The error names the modes."""
    done = subprocess.run([AGNHOST, "load-client", "x", "127.0.0.1:1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: mode 'x' is none of connect, rate, requests\n")
