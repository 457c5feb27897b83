"""Health checks: what nodes answer, and the server that answers."""

import asyncio
import os
import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from agents.services.external_routes import routed_addresses
from agents.services.health import (
    Answer,
    Currency,
    ServiceCheck,
    checks,
    encode,
    method_of,
    proxy_answer,
    service_answer,
)
from agents.services.health_server import HealthServer, end_listening
from kubinet.state import Endpoint, NetworkConfig, Node, Service, ServicePort
from kubinet.transport import Protocol

NODE = Node("n1", 1, IPv4Interface("172.18.0.1/24"), "06:00:00:00:00:01", IPv4Network("10.244.1.0/24"))


def _service(name: str, *, local: bool, health: int | None) -> Service:
    endpoints = (
        Endpoint(IPv4Address("10.244.1.5"), 80, node="n1"),
        Endpoint(IPv4Address("10.244.1.6"), 80, node="n1", ready=False, terminating=True),
        Endpoint(IPv4Address("10.244.2.5"), 80, node="n2"),
    )
    ports = tuple(ServicePort(f"p{port}", Protocol.TCP, port, None, endpoints) for port in (80, 81))
    return Service("shop", name, IPv4Address("10.96.0.9"), ports, external_local=local, health_check_node_port=health)


def test_a_node_counts_its_own_ready_endpoints() -> None:
    """Two ports, one ready endpoint here, one terminating, one elsewhere: one; only Services of policy Local."""
    services = {
        "shop/web": _service("web", local=True, health=30900),
        "shop/all": _service("all", local=False, health=30901),
        "shop/none": _service("none", local=True, health=None),
    }
    assert checks(services, NODE) == {30900: ServiceCheck("shop", "web", 1)}


@pytest.mark.parametrize(
    ("endpoints", "current", "status"), [(1, True, 200), (0, True, 503), (1, False, 503), (0, False, 503)]
)
def test_a_services_answer_is_kube_proxys(endpoints: int, current: bool, status: int) -> None:
    """200 with a local endpoint and current rules; the body says which Service, how many and whether it is current."""
    found = service_answer(ServiceCheck("shop", "web", endpoints), current=current)
    words = '{"service": {"namespace": "shop", "name": "web"}, "localEndpoints": %d, "serviceProxyHealthy": %s}'
    assert found == Answer(
        status,
        (words % (endpoints, str(current).lower())).encode(),
        {"X-Load-Balancing-Endpoint-Weight": str(endpoints)},
    )


def test_the_proxys_own_answer() -> None:
    """200 or 503 with the times of kube-proxy's /healthz."""
    good = proxy_answer("2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z", current=True)
    assert (good.status, good.body) == (
        200,
        b'{"lastUpdated": "2026-01-01T00:00:00Z", "currentTime": "2026-01-01T00:00:09Z", "nodeEligible": true}',
    )
    assert proxy_answer("", "", current=False).status == 503


def test_rules_that_are_late_for_longer_than_the_grace_are_not_current() -> None:
    """Late since second 1 with a grace of 10: current until 10.9, not at 11, current again when they caught up."""
    rules = Currency(10.0)
    rules.see(realised=False, now=1.0)
    rules.see(realised=False, now=5.0)
    assert [rules.current(10.9), rules.current(11.0)] == [True, False]
    rules.see(realised=True, now=12.0)
    assert rules.current(12.0)


def test_answers_are_http() -> None:
    """Status line, length and body; HEAD has no body."""
    whole = encode(Answer(503, b"{}", {"X-A": "b"}))
    assert whole == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
        b"Content-Length: 2\r\nConnection: close\r\nX-A: b\r\n\r\n{}"
    )
    assert encode(Answer(503, b"{}", {"X-A": "b"}), head=True) == whole[:-2]


@pytest.mark.parametrize(
    ("head", "method"),
    [(b"GET / HTTP/1.1\r\n", "GET"), (b"POST /x HTTP/1.0\r\n", "POST"), (b"\x16\x03\x01", None), (b"GET /\r\n", None)],
)
def test_methods_are_read(head: bytes, method: str | None) -> None:
    """HTTP/1 requests only."""
    assert method_of(head) == method


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(4096):
            found += part
        return found


def test_the_server_answers_where_it_is_told_to_listen() -> None:
    """GET, HEAD, POST and nonsense; a taken port is a failure that is named; after stopping it is closed."""
    if os.geteuid() != 0:
        pytest.skip("setns(2) needs CAP_SYS_ADMIN")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        occupied, port = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        server = HealthServer({"n1": "/proc/self/ns/net"}, lambda node, port: Answer(200, node.encode(), {}))
        try:
            failures = server.change([("n1", port), ("n1", occupied)], [])
            assert list(failures) == [("n1", occupied)]
            assert server.listening == {("n1", port)}
            assert _ask(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\nn1")
            assert _ask(port, b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"Connection: close\r\n\r\n")
            assert _ask(port, b"POST / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")
            assert _ask(port, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
            server.change([], [("n1", port)])
            assert server.listening == frozenset()
        finally:
            server.close()
        with pytest.raises(ConnectionRefusedError):
            _ask(port, b"")


@pytest.mark.parametrize("turns", range(5))
def test_no_connection_is_left_open_when_listening_ends(turns: int) -> None:
    """However many turns of the loop ago it came: it is answered, or it is reset because nobody had accepted it."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"fine")
        writer.close()

    async def scenario() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await end_listening(server)
            try:
                return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 10), 10)
            except ConnectionResetError:
                return b""

    assert asyncio.run(scenario()) == (b"fine" if turns >= 2 else b"")


def test_only_external_addresses_of_foreign_networks_need_a_route() -> None:
    """An externalIP of the outside world does; addresses of the pool, of nodes, pods and Services do not."""
    texts = ("203.0.113.7", "172.31.0.5", "172.18.0.1", "10.244.0.9", "10.96.0.3", "172.30.0.1")
    service = replace(
        _service("web", local=False, health=None),
        external_ips=tuple(map(IPv4Address, texts)),
        load_balancer_ips=(IPv4Address("198.51.100.1"),),
    )
    found = routed_addresses([service], NetworkConfig())
    assert found == {IPv4Address("203.0.113.7"), IPv4Address("198.51.100.1")}
