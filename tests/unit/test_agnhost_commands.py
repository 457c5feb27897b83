"""agnhost on the loopback: flags, HTTP, UDP, connect."""

import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.agnhost import flags, hostinfo, net, porter, probed, web
from agents.agnhost.netexec import NetExec, answer_datagram
from agents.agnhost.web import serve_connection

AGNHOST = Path(__file__).parents[2] / "agents" / "agnhost" / "agnhost"


@pytest.fixture
def port() -> Iterator[int]:
    """netexec's HTTP server on a free port."""
    server = NetExec()
    serve = partial(serve_connection, handler=server.handle, activity=server.activity)
    listener = net.listen(0, "tcp", "127.0.0.1")
    thread = threading.Thread(target=net.serve_connections, args=(listener, serve))
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def ask(port: int, target: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", target, headers={"Connection": "close", **(headers or {})})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_hostname_and_client_address(port: int) -> None:
    """/hostname tells the server's name, /clientip the client's address and port."""
    assert ask(port, "/hostname") == (200, socket.gethostname())
    status, body = ask(port, "/clientip")
    assert status == 200
    assert re.fullmatch(r"127\.0\.0\.1:\d+", body)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/echo?msg=a+b%21&code=404", (404, "a b!")),
        ("/echo?code=x", (200, "argument 'code' must be an integer or empty, got \"x\"\n")),
        ("/shell?cmd=echo+hi%3B+exit+3", (200, '{"error":"exit status 3","output":"hi\\n"}')),
        ("/shell?shellCommand=true", (200, "{}")),
        ("/healthz", (412, "")),
        ("/header?key=X-A", (200, "b")),
        ("/dial?host=127.0.0.1&port=1", (400, "request parameter not specified.\n")),
        ("/dial?host=h&port=1&request=a&tries=x", (400, 'tries parameter is invalid. "x": invalid syntax\n')),
        ("/dial?host=h&port=1&request=a&protocol=icmp", (400, "unsupported protocol. icmp\n")),
        ("/upload", (501, "upload is not implemented by Kubinet's agnhost\n")),
    ],
)
def test_endpoints(port: int, target: str, expected: tuple[int, str]) -> None:
    """Each endpoint answers with upstream's status and text."""
    assert ask(port, target, {"X-A": "b"}) == expected


def test_dial_collects_responses(port: int) -> None:
    """/dial asks another server as often as told, following redirects."""
    _, body = ask(port, f"/dial?host=127.0.0.1&port={port}&request=redirect%3Flocation%3D/echo%253Fmsg%253Dx&tries=3")
    assert json.loads(body) == {"responses": ["x", "x", "x"]}


def test_three_hundred_connections_at_once(port: int) -> None:
    """Hundreds of clients are served at the same time."""
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: ask(port, f"/echo?msg={number}"), range(300)))
    assert answers == [(200, str(number)) for number in range(300)]


def test_malformed_request_is_refused(port: int) -> None:
    """What is not HTTP gets 400, and the server goes on."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"hello\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400 Bad Request")
    assert ask(port, "/hostname")[0] == 200


def test_datagrams() -> None:
    """The UDP server knows hostname, echo and clientip, in any case and with a newline."""
    asked = [b"HostName\n", b"echo Hi there", b"clientip", b"other", b""]
    assert [answer_datagram(text, "1.2.3.4:5") for text in asked] == [
        socket.gethostname().encode(), b"hi there", b"1.2.3.4:5", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("300ms", 0.3), ("1m30s", 90.0), ("1.5h", 5400.0), ("-2s", -2.0)]
)
def test_duration(text: str, seconds: float) -> None:
    """Durations are Go's."""
    assert flags.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("arguments", [["--no"], ["--port"], ["--port=x"], ["--udp=maybe"], ["extra"]])
def test_wrong_flags(arguments: list[str]) -> None:
    """A wrong flag or argument is an error, never ignored."""
    with pytest.raises(flags.FlagError):
        flags.parse(arguments, {"port": 1, "udp": False})


def test_flag_forms() -> None:
    """`--name=value`, `--name value` and bare booleans."""
    parsed = flags.parse(["--port", "7", "--udp", "--http=false"], {"port": 1, "udp": False, "http": True})
    assert parsed == ({"port": 7, "udp": True, "http": False}, [])


def test_porter_servers() -> None:
    """porter serves what the environment asks for, and refuses what is no port."""
    assert porter.wanted({"SERVE_PORT_80": "a", "SERVE_SCTP_PORT_81": "b", "X": "c"}) == [
        ("http", 80, "a"), ("sctp", 81, "b"),
    ]  # fmt: skip
    with pytest.raises(flags.FlagError, match="SERVE_PORT_x"):
        porter.wanted({"SERVE_PORT_x": "a"})


def test_resolver_values() -> None:
    """Of several search lines the last counts; name servers add up."""
    text = "search a b\nnameserver 1.1.1.1\nsearch c\nnameserver 2.2.2.2\n"
    assert (hostinfo.resolver_values("search", text), hostinfo.resolver_values("nameserver", text)) == (
        ["c"], ["1.1.1.1", "2.2.2.2"],
    )  # fmt: skip


def test_connect_words() -> None:
    """connect prints REFUSED for a closed port, TIMEOUT for silence, UNKNOWN for a bad address; exit 1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        closed.bind(("127.0.0.1", 0))
        cases = {
            f"127.0.0.1:{closed.getsockname()[1]}": "REFUSED\n",
            "127.0.0.1": "UNKNOWN: address 127.0.0.1: missing port in address\n",
        }
        got = {target: connect(target) for target in cases}
        quiet = connect(f"127.0.0.1:{silent.getsockname()[1]}", "--protocol=udp", "--timeout=200ms")
    assert got == {target: (1, text) for target, text in cases.items()}
    assert quiet == (1, "TIMEOUT\n")


def test_connect_succeeds(port: int) -> None:
    """connect to an open port is silent and exits 0."""
    assert connect(f"127.0.0.1:{port}") == (0, "")


def connect(*arguments: str) -> tuple[int, str]:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("/usr/bin/python3 is missing")
    ended = subprocess.run([AGNHOST, "connect", *arguments], capture_output=True, text=True, timeout=20, check=False)
    return ended.returncode, ended.stderr


def test_liveness_is_healthy_for_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """/healthz says ok up to an age of 10 s and 500 afterwards; /started tells the age; other paths are 404."""

    def get(path: str, query: dict[str, str] | None = None) -> tuple[int, str]:
        answer = probed.liveness_answer(100.0, web.Request("GET", path, query or {}, {}, "127.0.0.1:1", 8080))
        return answer.status, answer.headers.get("Location", answer.body)

    monkeypatch.setattr(probed, "time", SimpleNamespace(monotonic=lambda: 110.0))
    assert get("/healthz") == (200, "ok")
    monkeypatch.setattr(probed, "time", SimpleNamespace(monotonic=lambda: 110.5))
    assert get("/healthz") == (500, "error: 10.5")
    assert get("/started") == (200, "10.5")
    assert get("/redirect", {"loc": "http://example.com/"}) == (302, "http://example.com/")
    assert get("/none")[0] == 404


def test_the_test_webserver_serves_files_and_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    """Files by their bytes, folders as a list of links, what is missing as 404."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "data").write_bytes(b"\xffraw")
    (tmp_path / "secret").write_text("no")

    def get(path: str) -> tuple[int, bytes]:
        answer = probed.file_answer(tmp_path / "in", web.Request("GET", path, {}, {}, "127.0.0.1:1", 80))
        return answer.status, answer.body.encode("utf-8", "surrogateescape")

    assert get("/data") == (200, b"\xffraw")
    assert get("/") == (200, b'<pre>\n<a href="data">data</a>\n<a href="sub/">sub/</a>\n</pre>\n')
    assert get("/missing")[0] == get("/../secret")[0] == 404


def test_netexec_delays_its_end_when_told_to(tmp_path: Path) -> None:
    """With --delay-shutdown=1 SIGTERM ends it with 0 a second later; without, at once with 2, as Go's programs do."""
    found = []
    for flag in ("--delay-shutdown=1", "--delay-shutdown=0"):
        log = tmp_path / "log"
        with log.open("w") as errors:
            argv = [AGNHOST, "netexec", "--http-port=0", "--udp-port=-1", flag]
            process = subprocess.Popen(argv, stderr=errors)
            deadline = time.monotonic() + 30
            while "Started HTTP server" not in log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            began = time.monotonic()
            process.terminate()
            found.append((process.wait(30), time.monotonic() - began >= 1))
    assert found == [(0, True), (2, False)]


def test_pause_is_a_shell_that_leaves_its_output_alone() -> None:
    """No Python runs, SIGTERM ends it with status 2, and what it printed stays for the container's log."""
    with subprocess.Popen([str(AGNHOST), "pause"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        own, deadline = Path(f"/proc/{process.pid}"), time.monotonic() + 30
        try:
            while (own / "fd/0").readlink() != (own / "fd/2").readlink():
                assert time.monotonic() < deadline
            assert (own / "cmdline").read_text().split("\0") == ["/bin/sh", str(AGNHOST.parent / "pause"), "2", "1", ""]
            process.terminate()
            assert process.communicate(timeout=30) == (b"Paused\n", b"")
            assert process.returncode == 2
        finally:
            process.kill()  # leaving the block waits for its end
