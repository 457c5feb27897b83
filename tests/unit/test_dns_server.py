"""The server's edge on the loopback: UDP, TCP, forwarding to other servers, and what happens when those fail."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network

import dns.message
import pytest
from dns.flags import AA, RA, TC
from dns.message import Message
from dns.name import from_text
from dns.rcode import NOERROR, NXDOMAIN, REFUSED, SERVFAIL
from dns.rdatatype import RdataType

from agents.dns import forward
from agents.dns.cluster import Cluster
from agents.dns.forward import Forwarder, ask_server
from agents.dns.records import ClusterNames
from agents.dns.resolver import zone_of
from agents.dns.server import Responder, listen, sockets
from agents.dns.settings import Forwarding, Server
from agents.dns.zone import Zone

LOOPBACK = IPv4Address("127.0.0.1")
SERVICE = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.96.7.7"}}
WEB = "web.shop.svc.cluster.local."


def cluster(*more: dict[str, object]) -> Cluster:
    made = Cluster(ClusterNames(reverse=(IPv4Network("10.96.0.0/16"),)))
    made.replace("services", [SERVICE, *more])
    made.replace("endpointslices", [])
    made.replace("pods", [])
    return made


def external(name: str, target: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"type": "ExternalName", "externalName": target}}


@asynccontextmanager
async def serving(
    zone: Zone, forwarder: Forwarder | None = None, synced: Callable[[], bool] = lambda: True
) -> AsyncIterator[Server]:
    udp, tcp = sockets("127.0.0.1", 0)
    port = udp.getsockname()[1]
    server, transport = await listen(Responder(zone, forwarder, synced), udp, tcp)
    try:
        yield Server(LOOPBACK, port)
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


def world(**names: list[str]) -> Zone:
    addresses = {name.replace("_", "."): [IPv4Address(text) for text in listed] for name, listed in names.items()}
    return zone_of("isp.example", addresses)


async def ask(server: Server, name: str, rdtype: str = "A") -> Message:
    async with asyncio.timeout(5):
        return await ask_server(server, from_text(name), RdataType.make(rdtype))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(limited())


def lines(message: Message) -> list[str]:
    return [line for rrset in message.answer for line in rrset.to_text().splitlines()]


def test_a_name_of_the_cluster_is_answered_with_authority() -> None:
    """AA is set; RA is not, as there is nobody to forward to."""

    async def scenario() -> None:
        async with serving(cluster().zone) as server:
            response = await ask(server, WEB)
        assert lines(response) == [f"{WEB} 5 IN A 10.96.7.7"]
        assert response.flags & (AA | RA) == AA

    run(scenario)


def test_other_names_are_refused_without_a_forwarder() -> None:
    """REFUSED, as CoreDNS without `forward`."""

    async def scenario() -> None:
        async with serving(cluster().zone, Forwarder(Forwarding())) as server:
            assert (await ask(server, "www.example.org.")).rcode() == REFUSED

    run(scenario)


def test_names_of_the_cluster_fail_until_all_is_known() -> None:
    """SERVFAIL, not NXDOMAIN, while lists are outstanding: clients try again; other names are forwarded meanwhile."""

    async def scenario() -> None:
        young = Cluster(ClusterNames())
        async with serving(world(www_example_org=["192.0.2.80"])) as upstream:
            async with serving(young.zone, Forwarder(Forwarding((upstream,))), young.synced) as server:
                response = await ask(server, WEB)
                assert (response.rcode(), response.flags & AA) == (SERVFAIL, 0)
                assert lines(await ask(server, "www.example.org.")) == ["www.example.org. 5 IN A 192.0.2.80"]
                for kind in ("services", "endpointslices", "pods"):
                    young.replace(kind, [SERVICE] if kind == "services" else [])
                assert (await ask(server, WEB)).rcode() == NOERROR

    run(scenario)


def test_other_names_are_forwarded() -> None:
    """Answers and denials come from the upstream, without authority; RA is set."""

    async def scenario() -> None:
        async with serving(world(www_example_org=["192.0.2.80"])) as upstream:
            async with serving(cluster().zone, Forwarder(Forwarding((upstream,)))) as server:
                response = await ask(server, "www.example.org.")
                assert lines(response) == ["www.example.org. 5 IN A 192.0.2.80"]
                assert response.flags & (AA | RA) == RA
                reverse = await ask(server, "80.2.0.192.in-addr.arpa.", "PTR")
                assert lines(reverse) == ["80.2.0.192.in-addr.arpa. 5 IN PTR www.example.org."]
                assert (await ask(server, "nothing.example.org.")).rcode() == NXDOMAIN

    run(scenario)


def test_an_external_name_is_followed_outside() -> None:
    """The answer holds the CNAME and the upstream's records."""

    async def scenario() -> None:
        async with serving(world(www_example_org=["192.0.2.80"])) as upstream:
            own = cluster(external("mirror", "www.example.org"), external("lost", "gone.example.org"))
            async with serving(own.zone, Forwarder(Forwarding((upstream,)))) as server:
                assert lines(await ask(server, "mirror.shop.svc.cluster.local.")) == [
                    "mirror.shop.svc.cluster.local. 5 IN CNAME www.example.org.",
                    "www.example.org. 5 IN A 192.0.2.80",
                ]
                lost = await ask(server, "lost.shop.svc.cluster.local.")
                assert lost.rcode() == NXDOMAIN
                assert lines(lost) == ["lost.shop.svc.cluster.local. 5 IN CNAME gone.example.org."]

    run(scenario)


def test_an_external_name_without_a_forwarder_is_a_cname_alone() -> None:
    """NOERROR with all that is known."""

    async def scenario() -> None:
        async with serving(cluster(external("mirror", "www.example.org")).zone, Forwarder(Forwarding())) as server:
            response = await ask(server, "mirror.shop.svc.cluster.local.")
            assert response.rcode() == NOERROR
            assert lines(response) == ["mirror.shop.svc.cluster.local. 5 IN CNAME www.example.org."]

    run(scenario)


def test_stub_domains_have_servers_of_their_own() -> None:
    """The longest zone decides; names beside it go upstream."""

    async def scenario() -> None:
        async with (
            serving(world(a_corp_example=["192.0.2.1"])) as corp,
            serving(world(a_corp_example=["192.0.2.2"], b_example=["192.0.2.3"])) as upstream,
        ):
            stubs = (((b"corp", b"example"), (corp,)),)
            async with serving(cluster().zone, Forwarder(Forwarding((upstream,), stubs))) as server:
                assert lines(await ask(server, "a.corp.example.")) == ["a.corp.example. 5 IN A 192.0.2.1"]
                assert lines(await ask(server, "b.example.")) == ["b.example. 5 IN A 192.0.2.3"]

    run(scenario)


def test_a_server_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is asked; when none answers the client gets SERVFAIL."""
    monkeypatch.setattr(forward, "ATTEMPT_SECONDS", 0.1)

    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            dead = Server(LOOPBACK, silent.getsockname()[1])
            async with serving(world(www_example_org=["192.0.2.80"])) as upstream:
                async with serving(cluster().zone, Forwarder(Forwarding((dead, upstream)))) as server:
                    for _ in range(8):
                        assert (await ask(server, "www.example.org.")).rcode() == NOERROR
            async with serving(cluster().zone, Forwarder(Forwarding((dead,)))) as server:
                assert (await ask(server, "www.example.org.")).rcode() == SERVFAIL

    run(scenario)


def test_forwarded_answers_are_cached() -> None:
    """The upstream is asked once for questions that come together or soon after; other servers empty the cache."""

    async def scenario() -> None:
        asked = 0

        class Counting(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                nonlocal asked
                asked += 1
                response = dns.message.make_response(dns.message.from_wire(data))
                response.answer = [dns.rrset.from_text("www.example.org.", 300, "IN", "A", "192.0.2.80")]
                self.transport.sendto(response.to_wire(), addr)  # type: ignore[attr-defined]

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Counting, local_addr=("127.0.0.1", 0))
        upstream = Server(LOOPBACK, transport.get_extra_info("sockname")[1])
        forwarder = Forwarder(Forwarding((upstream,)))
        async with serving(cluster().zone, forwarder) as server:
            await asyncio.gather(*(ask(server, "www.example.org.") for _ in range(20)))
            assert lines(await ask(server, "WWW.example.org."))[0].split()[1] == "30"
            assert asked == 1
            forwarder.forwarding = Forwarding((upstream, upstream))
            await ask(server, "www.example.org.")
            assert asked == 2
        transport.close()

    run(scenario)


def test_a_large_answer_comes_by_tcp() -> None:
    """Truncated over UDP, whole over TCP; the forwarder does the same with its upstream."""

    async def scenario() -> None:
        many = [f"192.0.2.{number}" for number in range(200)]
        async with serving(world(many_example=many)) as upstream:
            async with serving(cluster().zone, Forwarder(Forwarding((upstream,)))) as server:
                query = dns.message.make_query("many.example.", "A")
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.connect(("127.0.0.1", server.port))
                    client.setblocking(False)
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(client, query.to_wire())
                    short = dns.message.from_wire(await loop.sock_recv(client, 4096))
                assert short.flags & TC
                response = await ask(server, "many.example.")
                assert {str(data) for data in response.answer[0]} == set(many)

    run(scenario)


def test_a_connection_carries_several_queries() -> None:
    """Two queries sent at once get two answers in order; then a cut one ends the connection without harm."""

    async def scenario() -> None:
        async with serving(cluster().zone) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            queries = [dns.message.make_query(WEB, "A", id=1), dns.message.make_query("no.cluster.local.", "A", id=2)]
            for query in queries:
                wire = query.to_wire()
                writer.write(len(wire).to_bytes(2, "big") + wire)
            writer.write(b"\x00\x30abc")
            writer.write_eof()
            responses = []
            for _ in queries:
                size = int.from_bytes(await reader.readexactly(2), "big")
                responses.append(dns.message.from_wire(await reader.readexactly(size)))
            assert [(one.id, one.rcode()) for one in responses] == [(1, NOERROR), (2, NXDOMAIN)]
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            assert (await ask(server, WEB)).rcode() == NOERROR

    run(scenario)
