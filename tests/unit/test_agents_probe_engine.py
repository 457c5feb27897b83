"""Probes against servers of this machine: every handler, what people are told, and many at once."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from stalls import running_time

from agents.events import Subject
from agents.probes import engine
from agents.probes.check import check, run_hook
from agents.probes.engine import Prober, Watched
from agents.probes.hooks import HookKey, Moment
from agents.probes.spec import Exec, Handler, HttpGet, Kind, Probe, Sleep, TcpSocket
from agents.probes.state import Before, Health, Outcome
from agents.probes.target import Result, Target
from kubinet.cri import RuntimeClient

OWN_NAMESPACE = "/proc/self/ns/net"
GOOD, BAD, ERROR = Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests may not change namespaces: the engine's packets leave from ours."""

    @contextmanager
    def stay(path: str) -> Iterator[None]:
        assert path == OWN_NAMESPACE
        yield

    monkeypatch.setattr("agents.probes.dial.namespace", stay)


def target(port: int = 0, container: str = "main", attempt: int = 0) -> Target:
    return Target(
        "n1", OWN_NAMESPACE, "u", container, attempt, IPv4Address("127.0.0.1"), Subject("Pod", "p", "u"), {"web": port}
    )


@contextmanager
def server(answer: bytes | Callable[[bytes], bytes], wrap: Any = None) -> Iterator[tuple[int, list[bytes]]]:
    """Answers each connection's request and closes it; yields the port and the requests."""
    requests: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with suppress(OSError), wrap.wrap_socket(connection, server_side=True) if wrap else connection as peer:
                requests.append(peer.recv(65536))
                peer.sendall(answer(requests[-1]) if callable(answer) else answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def silent() -> Iterator[int]:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def runtime(folder: Path, *answers: tuple[bytes, bytes]) -> Iterator[tuple[RuntimeClient, list[dict[str, Any]]]]:
    """Answers each exec with (output of the program, lines)."""
    path = folder / "runtime.sock"
    requests: list[dict[str, Any]] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        for output, lines in answers:
            with listener.accept()[0] as connection:
                data, fds, _, _ = socket.recv_fds(connection, 65536, 2)
                requests.append(json.loads(data))
                os.write(fds[0], output)
                for fd in fds:
                    os.close(fd)
                connection.sendall(lines)
                connection.recv(1)  # until the client closes

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield RuntimeClient(path), requests
    thread.join(5)
    listener.close()


NO_RUNTIME = RuntimeClient(Path("/nonexistent/runtime.sock"))


def probe(handler: Handler, port: int = 0, timeout: float = 5.0, client: RuntimeClient = NO_RUNTIME) -> Result:
    return asyncio.run(check(client, target(port), handler, timeout))


def answer(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("200 OK", Result(GOOD, "hello")),
        ("204 No Content", Result(GOOD, "")),
        ("304 Not Modified", Result(GOOD, "Probe terminated redirects, Response body: ", warning=True)),
        ("404 Not Found", Result(BAD, "HTTP probe failed with statuscode: 404")),
        ("503 Service Unavailable", Result(BAD, "HTTP probe failed with statuscode: 503")),
    ],
)
def test_http_statuses_from_200_to_399_are_success(status: str, wanted: Result) -> None:
    """Anything else is a failure that names the status, as kubelet's event does."""
    with server(answer(status, "hello")) as (port, _):
        assert probe(HttpGet(port)) == wanted


def test_the_request_is_what_the_probe_declares() -> None:
    """Path, Host and headers of the probe; kubelet's own headers beside them; a named port is the container's."""
    with server(answer("200 OK")) as (port, requests):
        get = HttpGet("web", "/ready?x=1", headers=(("Host", "example.com"), ("X-Probe", "yes"), ("Accept", "")))
        assert probe(get, port).outcome is GOOD
        assert requests == [
            b"GET /ready?x=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: kube-probe/kubinet-0.1.0\r\n"
            b"X-Probe: yes\r\nConnection: close\r\n\r\n"
        ]


def test_redirects_on_the_same_host_are_followed_and_others_are_a_success_with_a_warning() -> None:
    """The second request goes where the first answer said; another host is not asked."""

    def answers(request: bytes) -> bytes:
        if b" /away " in request:
            return answer("302 Found", "", "Location: http://192.0.2.1/")
        if b" /round " in request:
            return answer("302 Found", "", "Location: /round")
        return answer("302 Found", "", "Location: /end") if b" / " in request else answer("500 Internal Server Error")

    with server(answers) as (port, requests):
        assert probe(HttpGet(port)) == Result(BAD, "HTTP probe failed with statuscode: 500")
        assert [request.split()[1] for request in requests] == [b"/", b"/end"]
        warning = "Probe terminated redirects, Response body: "
        assert probe(HttpGet(port, "/away")) == Result(GOOD, warning, warning=True)
        url = f"http://127.0.0.1:{port}/round"
        assert probe(HttpGet(port, "/round")) == Result(BAD, f'Get "{url}": stopped after 10 redirects')


def test_chunked_answers_and_answers_without_length_are_read_to_their_end() -> None:
    """Neither waits for the time limit."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    for raw, body in ((chunked, "2\r\nok\r\n0\r\n\r\n"), (b"HTTP/1.0 200 OK\r\n\r\nok", "ok")):
        with server(raw) as (port, _):
            assert probe(HttpGet(port)) == Result(GOOD, body)


def test_what_goes_wrong_is_told_in_kubelets_words() -> None:
    """Refused, silent, not HTTP, ended early, no such port, no such host."""
    port = closed_port()
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert probe(HttpGet(port)) == Result(BAD, f'Get "http://127.0.0.1:{port}/": {refused}')
    assert probe(TcpSocket(port)) == Result(BAD, refused)
    with silent() as port:
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        assert probe(HttpGet(port), timeout=0.1) == Result(BAD, f'Get "http://127.0.0.1:{port}/": {text}')
    with server(b"SSH-2.0-x\r\n\r\n") as (port, _):
        assert "malformed HTTP response 'SSH-2.0-x'" in probe(HttpGet(port)).text
    with server(b"HTTP/1.1 200") as (port, _):
        assert probe(HttpGet(port)) == Result(BAD, f'Get "http://127.0.0.1:{port}/": EOF')
    message = "couldn't find port 'http' among the container's named ports: web"
    assert probe(HttpGet("http"), 80) == Result(ERROR, message)
    assert probe(TcpSocket("http"), 80) == Result(ERROR, message)
    assert probe(TcpSocket(80, host="db.example.com")).outcome is ERROR


def test_https_is_asked_without_verifying_the_certificate(tmp_path: Path) -> None:
    """A self-signed certificate of another name is fine; a server without TLS is not."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other.example", "-days", "1"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with server(answer("200 OK", "secret"), context) as (port, _):
        assert probe(HttpGet(port, scheme="HTTPS")) == Result(GOOD, "secret")
    with server(answer("400 Bad Request")) as (port, _):
        assert "tls: " in probe(HttpGet(port, scheme="HTTPS")).text


def test_a_tcp_probe_passes_when_the_connection_is_accepted() -> None:
    """Nothing is sent."""
    with silent() as port:
        assert probe(TcpSocket(port)) == Result(GOOD)


def test_an_exec_probe_passes_with_status_0_and_tells_the_commands_output(tmp_path: Path) -> None:
    """The command runs in the container; what it wrote is the event's text; what cannot be started is an error."""
    ended, failed = b'{"ok": {"pid": 5}}\n{"exit_code": 0}\n', b'{"ok": {"pid": 5}}\n{"exit_code": 1}\n'
    missing = b'{"error": "ExecStartError", "message": "exec: \\"no\\": executable file not found in $PATH"}\n'
    answers = [(b"fine\n", ended), (b"cat: no such file\n", failed), (b"", failed), (b"", missing)]
    with runtime(tmp_path, *answers) as (client, requests):
        assert probe(Exec(("cat", "x")), client=client) == Result(GOOD, "fine\n")
        assert probe(Exec(("cat", "x")), client=client) == Result(BAD, "cat: no such file\n")
        assert probe(Exec(("cat", "x")), client=client) == Result(BAD, "exit status 1")
        missing_text = 'exec: "no": executable file not found in $PATH'
        assert probe(Exec(("no",)), client=client) == Result(ERROR, missing_text)
    assert requests[0] == {
        "call": "exec", "pod_uid": "u", "container": "main", "argv": ["cat", "x"], "tty": False, "env": {},
        "streams": ["stdout", "stderr"],
    }  # fmt: skip


def test_an_exec_probe_that_takes_too_long_fails_and_lets_go_of_its_process(tmp_path: Path) -> None:
    """The connection is closed, on which the runtime kills the process; without a runtime nothing is decided."""
    with runtime(tmp_path, (b"", b'{"ok": {"pid": 5}}\n')) as (client, _):
        assert probe(Exec(("sleep", "60")), timeout=0.1, client=client) == Result(BAD, 'command "sleep 60" timed out')
    assert probe(Exec(("true",))).outcome is ERROR, "no runtime: thrown away"


def test_hooks_are_bounded_and_any_http_answer_is_success() -> None:
    """As upstream: httpGet hooks do not look at the status; sleep sleeps; what does not end in time has failed."""

    def hook(handler: Handler, timeout: float) -> Result:
        return asyncio.run(run_hook(NO_RUNTIME, target(), handler, timeout))

    with server(answer("500 Internal Server Error")) as (port, _):
        assert hook(HttpGet(port), 5) == Result(GOOD)
    assert hook(Sleep(0.01), 5) == Result(GOOD)
    assert hook(Sleep(60), 0.05) == Result(BAD, "it did not end within 0.05 s")
    assert hook(HttpGet(closed_port()), 5).outcome is BAD


# The engine


class Told:
    """Stands for the recorder of events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def tell(self, subject: Subject, host: str, severity: str, reason: str, message: str) -> None:
        assert (subject, host, severity) == (Subject("Pod", "p", "u"), "n1", "Warning")
        self.events.append((reason, message))


@contextmanager
def engine_of(told: Told, wakes: list[str] | None = None) -> Iterator[Prober]:
    prober = Prober(NO_RUNTIME, told)  # type: ignore[arg-type]
    prober.start((wakes if wakes is not None else []).append)
    try:
        yield prober
    finally:
        prober.stop()


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def watched(handler: Handler, kind: Kind = Kind.READINESS, **changes: Any) -> Watched:
    probe = Probe(kind, handler, period=0.05, failure_threshold=2)
    return Watched(changes.pop("target", target()), (probe,), datetime.now(UTC), **changes)


def test_a_verdict_wakes_the_nodes_agent_and_failures_are_events() -> None:
    """Ready at the first success; not ready after the second failure; every failure is told."""
    status = ["200 OK"]
    told, wakes = Told(), list[str]()
    with server(lambda _: answer(status[0])) as (port, _), engine_of(told, wakes) as prober:
        prober.watch("u", {"main": watched(HttpGet(port))})
        assert prober.health("u") == {"main": (0, Health(started=True, ready=False))}
        until(lambda: wakes == ["n1"], "the first verdict")
        assert prober.health("u") == {"main": (0, Health(started=True, ready=True))}
        status[0] = "500 Internal Server Error"
        until(lambda: wakes == ["n1", "n1"], "the second verdict")
        assert prober.health("u") == {"main": (0, Health(started=True, ready=False))}
        event = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")
        assert told.events[:2] == [event, event]


def test_a_new_run_of_a_container_begins_anew_and_a_forgotten_pod_is_left_alone() -> None:
    """Another attempt is not ready before its own probe; after `forget` nothing is asked any more."""
    with server(answer("200 OK")) as (port, requests), server(answer("200 OK")) as (other, canary):
        with engine_of(Told()) as prober:
            prober.watch("u", {"main": watched(HttpGet(port))})
            until(lambda: prober.health("u")["main"][1].ready, "ready")
            again = watched(HttpGet(closed_port()), target=target(attempt=1))
            prober.watch("u", {"main": again})
            assert prober.health("u") == {"main": (1, Health(started=True, ready=False))}
            asked = len(requests)
            prober.forget("u")
            assert prober.health("u") == {}
            prober.watch("u2", {"main": watched(HttpGet(other))})
            until(lambda: len(canary) == 4, "the other pod's probes")
            assert len(requests) == asked


def test_a_container_that_ran_before_the_engine_keeps_its_verdict() -> None:
    """What the API says counts until the first run, which waits for a random part of the period."""
    old = datetime.now(UTC) - timedelta(hours=1)
    one = Watched(
        target(),
        (Probe(Kind.READINESS, TcpSocket(closed_port()), period=3600.0),),
        old,
        before=Before(started=True, ready=True),
    )
    with engine_of(Told()) as prober:
        prober.watch("u", {"main": one})
        assert prober.health("u") == {"main": (0, Health(started=True, ready=True))}


def test_hooks_run_once_and_wake_the_agent() -> None:
    """A second start of the same hook is nothing; its result stays until the pod is forgotten."""
    wakes: list[str] = []
    key = HookKey("u", "main", 0, Moment.POST_START)
    with server(answer("200 OK")) as (port, requests), engine_of(Told(), wakes) as prober:
        assert (prober.hooks.under_way(key), prober.hooks.result(key)) == (False, None)
        prober.hooks.start(key, target(), HttpGet(port), 5)
        prober.hooks.start(key, target(), HttpGet(port), 5)
        until(lambda: wakes, "the hook's end")
        assert (prober.hooks.under_way(key), prober.hooks.result(key)) == (False, Result(GOOD))
        assert (wakes, len(requests)) == (["n1"], 1)
        prober.forget("u")
        assert prober.hooks.result(key) is None


def test_many_probes_that_hang_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 4 and 40 silent servers, a probe that comes last passes before their time limit is over."""
    monkeypatch.setattr(engine, "_AT_ONCE", 4)
    monkeypatch.setattr(engine, "_PATIENCE_SECONDS", 0.01)
    began = running_time()
    with silent() as port, server(answer("200 OK")) as (good, _), engine_of(Told()) as prober:
        late = Probe(Kind.READINESS, HttpGet(port), timeout=30.0)
        for number in range(40):
            prober.watch(f"u{number}", {"main": Watched(target(), (late,), datetime.now(UTC))})
        prober.watch("u", {"main": watched(HttpGet(good))})
        until(lambda: prober.health("u")["main"][1].ready, "ready")
        assert prober.runs >= 41
    assert running_time() - began < 10


def test_events_of_a_probe_that_keeps_failing_become_rare() -> None:
    """25 events, then one in five minutes, as kubelet's filter has it."""
    told = Told()
    probe = Probe(Kind.LIVENESS, TcpSocket(closed_port()), period=0.001, failure_threshold=100_000)
    with engine_of(told) as prober:
        prober.watch("u", {"main": Watched(target(), (probe,), datetime.now(UTC))})
        until(lambda: prober.runs > 60, "runs")
    assert len(told.events) == 25
