"""A private API server for one test, and a client's session with it."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from controller.api.server import Api, open_api, running
from kubinet.cri import RuntimeClient

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
MERGE = "application/merge-patch+json"


@dataclass
class Connection:
    """A client's session with a private server."""

    session: aiohttp.ClientSession
    url: str

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        given = {"Content-Type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        data = None if body is None else io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with self.session.request(method, self.url + path, data=data, headers=given) as answer:
            text = await answer.read()
            kind = answer.content_type
            return answer.status, json.loads(text) if kind == "application/json" else text.decode()

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[Callable[[], Awaitable[tuple[str, Any]]]]:
        async with self.session.get(self.url + path, params={"watch": "true", **query}) as answer:
            assert answer.status == 200, await answer.text()

            async def event() -> tuple[str, Any]:
                line = await asyncio.wait_for(answer.content.readline(), 30)
                if not line:
                    return "END", None
                decoded = json.loads(line)
                return decoded["type"], decoded["object"]

            yield event


@asynccontextmanager
async def serving(api: Api, port: int = 0) -> AsyncIterator[str]:
    """An API in the test's own loop, at 127.0.0.1; its URL."""
    async with running(api) as runner:
        listener = socket.create_server(("127.0.0.1", port))
        await web.SockSite(runner, listener).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # A server that is closed in the turn of the loop in which a connection was accepted leaves it open for ever
            # (CPython's issue 109564). So accepting ends one turn earlier.
            asyncio.get_running_loop().remove_reader(listener)
            await asyncio.sleep(0)


def serve(tmp_path: Path, scenario: Callable[[Connection], Awaitable[None]]) -> None:
    """Run a scenario against a server of its own."""

    async def main() -> None:
        api = open_api(tmp_path, "secret", RuntimeClient(tmp_path / "runtime.sock"))
        async with serving(api) as url, aiohttp.ClientSession(headers={"Authorization": "Bearer secret"}) as session:
            await scenario(Connection(session, url))

    asyncio.run(asyncio.wait_for(main(), 20))


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
