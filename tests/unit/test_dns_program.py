"""The DNS server's program against a real API server: it becomes ready, follows changes, and outlives the API."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
from apiserver import serving
from dns.message import Message
from dns.name import from_text
from dns.rcode import NOERROR, NXDOMAIN, REFUSED, SERVFAIL
from dns.rdatatype import A

from agents.dns.forward import ask_server
from agents.dns.settings import Server
from controller.api.server import open_api
from kubinet.cri import RuntimeClient

TOKEN = "secret"
WEB = "web.default.svc.cluster.local."
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]},
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Program:
    """The server's process and its ports."""

    def __init__(self, api_port: int, folder: Path) -> None:
        self.dns, self.ready = free_port(), free_port()
        self.api = f"http://127.0.0.1:{api_port}"
        self.server = Server(IPv4Address("127.0.0.1"), self.dns)
        (folder / "resolv.conf").write_text("")
        self.argv = [sys.executable, "-m", "agents.dns.cli", f"--api-url={self.api}", f"--token={TOKEN}"]
        self.argv += [f"--port={self.dns}", f"--ready-port={self.ready}", f"--health-port={free_port()}"]
        self.argv += ["--address=127.0.0.1", f"--resolv-conf={folder / 'resolv.conf'}", "--lameduck=0"]

    async def ask(self, name: str) -> Message:
        async with asyncio.timeout(5):
            return await ask_server(self.server, from_text(name), A)

    async def status(self, session: aiohttp.ClientSession) -> tuple[int, str]:
        try:
            async with session.get(f"http://127.0.0.1:{self.ready}/ready") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(*self.argv, stderr=asyncio.subprocess.PIPE)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def until(fact: Callable[[], Awaitable[Any]]) -> None:
    """Wait until it is true, at most 10 s."""
    async with asyncio.timeout(10):
        while not await fact():
            await asyncio.sleep(0.02)


def api(folder: Path, port: int) -> contextlib.AbstractAsyncContextManager[str]:
    return serving(open_api(folder, TOKEN, RuntimeClient(folder / "none.sock")), port)


def test_the_program_follows_the_api(tmp_path: Path) -> None:
    """Not ready without the API, ready with its lists, new Services answer; without the API it goes on with the old."""

    async def scenario() -> None:
        port = free_port()
        program = Program(port, tmp_path)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with program.running() as process, aiohttp.ClientSession(headers=headers) as session:
            waiting = "waiting for: endpointslices, pods, services, configmap"

            async def is_waiting() -> bool:
                return await program.status(session) == (503, waiting)

            async def is_ready() -> bool:
                return await program.status(session) == (200, "OK")

            async def has_web() -> bool:
                return (await program.ask(WEB)).rcode() == NOERROR

            async def lacks_web() -> bool:
                return (await program.ask(WEB)).rcode() == NXDOMAIN

            await until(is_waiting)
            assert (await program.ask(WEB)).rcode() == SERVFAIL
            services = f"{program.api}/api/v1/namespaces/default/services"
            async with api(tmp_path, port):
                await until(is_ready)
                assert (await program.ask(WEB)).rcode() == NXDOMAIN
                assert (await program.ask("www.example.org.")).rcode() == REFUSED
                async with session.post(services, json=SERVICE) as answer:
                    assert answer.status == 201
                await until(has_web)
            assert (await program.ask(WEB)).answer[0].to_text() == f"{WEB} 5 IN A 10.96.7.7"
            assert await program.status(session) == (200, "OK")
            async with api(tmp_path, port):
                async with session.delete(f"{services}/web") as answer:
                    assert answer.status == 200
                await until(lacks_web)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await process.wait() == 0

    asyncio.run(scenario())
