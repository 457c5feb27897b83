"""kubectl's port-forward and proxy, and the Python client's port forward, to programs of this machine."""

import contextlib
import http.client
import http.server
import importlib
import json
import re
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakepods import add_pod, kubectl_command

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
SIZE = 5_000_000


class Echo(http.server.BaseHTTPRequestHandler):
    """Tells what it was asked; `/away` redirects."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        seen = {"method": self.command, "path": self.path, "body": body, "auth": self.headers.get("Authorization")}
        answer = json.dumps(seen).encode()
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/there")
            answer = b""
        else:
            self.send_response(418 if self.path == "/teapot" else 200)
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Silence."""


def own_address() -> str:
    """An address of this machine that is no loopback: endpoints have none of those."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but its loopback's")
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def web_port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    """A port that sends everything back, and ends its side when the client ends its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def _echo(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)


@pytest.fixture(scope="module")
def pod(server: Any, web_port: int) -> str:
    return add_pod(server.client(), "ports", ports=[{"name": "http", "containerPort": web_port}])


@contextlib.contextmanager
def forwarded(server: Any, version: str, *arguments: str) -> Iterator[int]:
    """A local port that `kubectl port-forward` listens on."""
    command, environment = kubectl_command(server, version)
    process = subprocess.Popen(
        [*command, "port-forward", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"127\.0\.0\.1:(\d+) ->", line)
        assert match, line + (process.stdout.read() if process.poll() is not None else "")
        yield int(match[1])
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def round_trip(port: int, size: int = SIZE) -> bool:
    """Whether so many bytes come back over one connection, which is then half closed."""
    payload = bytes(range(256)) * (size // 256)
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(30)

        def send() -> None:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = bytearray()
        while len(received) < len(payload) and (data := connection.recv(1 << 20)):
            received += data
        sender.join()
    return bytes(received) == payload


@pytest.mark.parametrize("version", ["1.29", "1.30", "1.31", "1.32", "1.33"])
def test_port_forward(server: Any, pod: str, echo_port: int, web_port: int, version: str) -> None:
    """SPDY (kubectl to 1.30) and SPDY in a WebSocket (since 1.31): many connections, 5 MB both ways, HTTP."""
    with forwarded(server, version, f"pod/{pod}", f":{echo_port}") as port:
        assert round_trip(port)
        threads = []
        results: list[bool] = []
        for _ in range(8):
            threads.append(threading.Thread(target=lambda: results.append(round_trip(port, 200_000))))
            threads[-1].start()
        for thread in threads:
            thread.join()
        assert results == [True] * 8
    with forwarded(server, version, f"pod/{pod}", f":{web_port}") as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=30) as answer:
            assert json.load(answer)["path"] == "/hello"


def test_a_port_without_a_listener_is_named(server: Any, pod: str) -> None:
    """kubectl prints the pod's refusal."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        number = unused.getsockname()[1]
    command, environment = kubectl_command(server, "1.32")
    process = subprocess.Popen(
        [*command, "port-forward", pod, f":{number}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().split(":")[1].split()[0])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(10) == b""
    process.terminate()
    told = process.stdout.read()
    process.wait(30)
    process.stdout.close()
    assert f"failed to connect to localhost:{number} inside the pod: connection refused" in told


def test_port_forward_of_what_does_not_run(server: Any, kubectl: Kubectl) -> None:
    """A pod that does not run has no ports."""
    add_pod(server.client(), "waiting", phase="Pending")
    assert "pod is not running" in kubectl("port-forward", "pod/waiting", ":80", code=1).stderr


def test_the_python_client_forwards_ports(server: Any, pod: str, web_port: int, echo_port: int) -> None:
    """`stream.portforward` gives sockets; an error is a text."""
    kubernetes = pytest.importorskip("kubernetes", reason="the Python kubernetes client is not installed")
    portforward = importlib.import_module("kubernetes.stream").portforward
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(server.kubeconfig), client_configuration=configuration)
    with kubernetes.client.ApiClient(configuration) as connection:
        api = kubernetes.client.CoreV1Api(connection)
        forward = portforward(
            api.connect_get_namespaced_pod_portforward, pod, "default", ports=f"{echo_port},{web_port}"
        )
        echo = forward.socket(echo_port)
        echo.setblocking(True)
        echo.settimeout(30)
        echo.sendall(b"over channels")
        assert echo.recv(100) == b"over channels"
        web = http.client.HTTPConnection("pod", web_port)
        web.sock = forward.socket(web_port)
        web.sock.setblocking(True)
        web.request("GET", "/x")
        assert json.load(web.getresponse())["path"] == "/x"
        assert forward.error(web_port) is None
        forward.close()
        for port in (web_port, echo_port):
            # The client's own ends, which it leaves to the garbage collector.
            forward.local_ports[port].python.close()


def test_get_raw_through_the_proxy(server: Any, kubectl: Kubectl, pod: str, web_port: int) -> None:
    """By number, by name, with a scheme, and without a port: the first that the pod declares. The token stays here."""
    base = "/api/v1/namespaces/default/pods"
    for name in (f"{pod}:{web_port}", f"{pod}:http", f"http:{pod}:http", pod):
        seen = json.loads(kubectl("get", "--raw", f"{base}/{name}/proxy/a/b?c=d%2Fe").stdout)
        assert seen == {"method": "GET", "path": "/a/b?c=d%2Fe", "body": "", "auth": None}
    assert "no port 'none'" in kubectl("get", "--raw", f"{base}/{pod}:none/proxy/", code=1).stderr
    assert 'pods "absent" not found' in kubectl("get", "--raw", f"{base}/absent/proxy/", code=1).stderr


def test_every_method_and_status_passes(server: Any, pod: str) -> None:
    """Method, body, status and redirects are the program's; a redirect leads back into the proxy."""
    client = server.client()
    base = f"/api/v1/namespaces/default/pods/{pod}/proxy"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.raw(method, f"{base}/", data=b"body").json() == {
            "method": method,
            "path": "/",
            "body": "body",
            "auth": None,
        }
    away = client.raw("GET", f"{base}/away", allow_redirects=False)
    assert (away.status_code, away.headers["Location"]) == (302, f"{base}/there")
    bare = client.raw("GET", base, allow_redirects=False)
    assert (bare.status_code, bare.headers["Location"]) == (301, f"{base}/")
    with pytest.raises(Exception, match="Teapot") as refused:
        client.raw("GET", f"{base}/teapot")
    assert getattr(refused.value, "status", None) == 418


def test_services_are_reached_at_a_ready_endpoint(server: Any, kubectl: Kubectl, pod: str, web_port: int) -> None:
    """The target port comes from the EndpointSlice; endpoints that are not ready are left out."""
    client = server.client()
    spec = {"ports": [{"name": "web", "port": 80, "targetPort": "http"}]}
    client.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "namespace": "default"}, "spec": spec}
    )
    path = "/api/v1/namespaces/default/services/shop:web/proxy/there"
    assert 'no endpoints available for service "shop"' in kubectl("get", "--raw", path, code=1).stderr
    endpoints = [
        {"addresses": ["192.0.2.9"], "conditions": {"ready": False}},
        {"addresses": [own_address()], "conditions": {"ready": True}},
    ]
    client.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "shop-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "shop"}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "web", "port": web_port, "protocol": "TCP"}],
        }
    )
    for name in ("shop:web", "shop:80", "shop", "http:shop:web"):
        answer = kubectl("get", "--raw", f"/api/v1/namespaces/default/services/{name}/proxy/there").stdout
        assert json.loads(answer)["path"] == "/there"
    wrong = kubectl("get", "--raw", "/api/v1/namespaces/default/services/shop:81/proxy/", code=1).stderr
    assert 'no service port "81" found for service "shop"' in wrong


def test_kubectl_proxy(server: Any, pod: str) -> None:
    """`kubectl proxy` passes a browser's requests on."""
    command, environment = kubectl_command(server, "1.32")
    process = subprocess.Popen([*command, "proxy", "--port=0"], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/namespaces/default/pods/{pod}:http/proxy/page", timeout=30
        ) as answer:
            assert json.load(answer)["path"] == "/page"
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
