"""The API server: routes requests, checks tokens, answers discovery; listens on TLS and on the sandbox's loopback."""

import argparse
import asyncio
import contextlib
import hmac
import logging
import signal
import socket
import ssl
import sys
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from controller.api import access, discovery, openapi
from controller.api.admission import ServiceAccountAdmission
from controller.api.journal import Journal
from controller.api.listening import cluster_network, listen_for_pods, server_tls
from controller.api.objects import Objects
from controller.api.proxy import Proxy
from controller.api.registry import POD, SERVICE
from controller.api.request import Request, parse_path
from controller.api.rest import Handler, Rest
from controller.api.reviews import Reviews
from controller.api.scale import Scales
from controller.api.status import Object, StatusError, forbidden, internal, no_such_path, unauthorized
from controller.api.store import Store
from controller.api.streams.dialing import Dialer
from controller.api.streams.exec import Attach, Exec
from controller.api.streams.logs import Logs
from controller.api.streams.portforward import PortForward
from controller.api.streams.session import Runtime
from controller.api.tokens import Tokens, load_key
from controller.workloads.apiservice import API_PORT, ApiService
from controller.workloads.garbage import Garbage
from controller.workloads.manager import Workloads
from controller.workloads.namespaces import Namespaces, ensure_defaults
from controller.workloads.nodelifecycle import NodeLifecycle
from controller.workloads.scheduling import Scheduling
from controller.workloads.serviceaccounts import ServiceAccounts
from controller.workloads.servicecycles import ServiceCycles
from kubinet import collector
from kubinet.cri import RuntimeClient
from kubinet.service import ServiceContext
from kubinet.state import NetworkConfig

_LOG: Final = logging.getLogger(__name__)
_HEALTH: Final = ("/livez", "/readyz", "/healthz")
_FOREVER: Final = {"Cache-Control": "public, immutable", "Vary": "Accept, Accept-Encoding"}


def _json(body: Object | bytes, status: int = 200, content_type: str = "application/json") -> web.Response:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return web.Response(body=data, status=status, headers={"Content-Type": content_type})


def _failure(error: StatusError) -> web.Response:
    response = _json(error.to_json(), error.code)
    response.headers.update(error.headers)
    return response


@dataclass(slots=True)
class Api:
    """One API: its objects, who may ask, and what answers beside resources."""

    objects: Objects
    token: str
    tokens: Tokens
    subresources: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    network: NetworkConfig | None = None
    """The cluster's network, where there is one: pods find the API in it."""
    authority: str = ""
    """The certificate by which pods know the API, PEM; empty without TLS."""
    rest: Rest = field(init=False)

    def __post_init__(self) -> None:
        self.rest = Rest(self.objects, self.subresources)

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Any request; every failure becomes a `Status`."""
        try:
            user = self._authenticate(http)
            target = parse_path(http.path)
            if target is None:
                return self._other(http)
            request = Request(http, target, http.query, user)
            if user is not access.ADMIN:
                _authorize(request)
            return await self.rest.handle(request)
        except StatusError as error:
            return _failure(error)
        except (ConnectionError, asyncio.CancelledError, web.HTTPException):
            raise
        except Exception:
            _LOG.exception("%s %s", http.method, http.path)
            return _failure(internal(f"a defect in the API server; see its log ({http.method} {http.path})"))

    def _authenticate(self, http: web.BaseRequest) -> access.User:
        scheme, _, token = http.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorized()
        if hmac.compare_digest(token.strip().encode(), self.token.encode()):
            return access.ADMIN
        return self.tokens.check(token.strip())

    def _other(self, http: web.BaseRequest) -> web.Response:
        path = http.path.rstrip("/")
        if http.method not in ("GET", "HEAD"):
            raise no_such_path()
        if path.startswith(_HEALTH):
            return web.Response(text="ok")
        if path == "/version":
            return _json(discovery.VERSION)
        if path == "/openapi/v2":
            return _json(openapi.V2, content_type=openapi.V2_MEDIA_TYPE)
        if path.startswith("/openapi/v3"):
            return _openapi(http, path)
        answer = _discover(path, http.headers.get("Accept", ""))
        if answer is None:
            raise no_such_path()
        return answer


def _authorize(request: Request) -> None:
    wanted = request.access()
    if access.refusal(request.user, wanted):
        why = access.message(request.user, wanted)
        raise forbidden(wanted.group, wanted.resource, wanted.name, why)


def _discover(path: str, accept: str) -> web.Response | None:
    if path in ("/api", "/apis"):
        if "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept.replace(" ", ""):
            return _json(discovery.aggregated(path == "/api"), content_type=discovery.AGGREGATED)
        return _json(discovery.core_versions() if path == "/api" else discovery.groups())
    parts = path.split("/")[1:] or [""]
    found: Object | None = None
    if parts[0] == "api" and len(parts) == 2:
        found = discovery.resources("", parts[1])
    elif parts[0] == "apis" and len(parts) == 2:
        found = discovery.group(parts[1])
    elif parts[0] == "apis" and len(parts) == 3:
        found = discovery.resources(parts[1], parts[2])
    return None if found is None else _json(found)


def _openapi(http: web.BaseRequest, path: str) -> web.Response:
    name = path.removeprefix("/openapi/v3").strip("/")
    if not name:
        return _json(openapi.index())
    document = openapi.document(name)
    if document is None:
        raise no_such_path()
    tag = f'"{openapi.etag(name)}"'
    if http.headers.get("If-None-Match") == tag:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    response = _json(document)
    response.headers.update(_FOREVER | {"ETag": tag})
    if "gzip" in http.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


@contextlib.asynccontextmanager
async def running(api: Api) -> AsyncIterator[web.ServerRunner]:
    """The API and the life cycles on its store, without a listening address yet."""
    ensure_defaults(api.objects)
    objects = api.objects
    cycles: list[
        Namespaces | Scheduling | Garbage | ServiceCycles | Workloads | ServiceAccounts | ApiService | NodeLifecycle
    ]
    cycles = [ServiceAccounts(objects, api.authority), ServiceCycles(objects), Namespaces(objects), Scheduling(objects)]
    cycles += [Garbage(objects), Workloads(objects), NodeLifecycle(objects)]
    if api.network is not None:
        cycles.append(ApiService(objects, api.network))
    runner = web.ServerRunner(web.Server(api.handle, access_log=None), shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield runner
    finally:
        for cycle in cycles:
            cycle.close()
        api.objects.store.end()  # else the watches hold the end up
        await runner.cleanup()
        api.objects.store.close()


def open_api(state_dir: Path, token: str, runtime: Runtime) -> Api:
    """The API on the journal in a state folder, with the streams of pods; it serves TLS when `pki/ca.crt` is there."""
    store = Store(Journal(state_dir / "api.sqlite"))
    objects = Objects(store, [ServiceAccountAdmission(store)])
    tokens = Tokens(store, load_key(state_dir / "pki" / "sa.key"))
    proxy = Proxy(store, runtime)
    subresources = {
        **Scales(objects).handlers(),
        (POD.key, "log"): Logs(store, state_dir).handle,
        (POD.key, "exec"): Exec(store, runtime).handle,
        (POD.key, "attach"): Attach(store, runtime).handle,
        (POD.key, "portforward"): PortForward(store, Dialer(runtime)).handle,
        (POD.key, "proxy"): proxy.handle,
        (SERVICE.key, "proxy"): proxy.handle,
        **Reviews(objects, tokens).handlers(),
    }
    authority = state_dir / "pki" / "ca.crt"
    pem = authority.read_text() if authority.exists() else ""
    return Api(objects, token, tokens, subresources, cluster_network(state_dir), pem)


async def _until_terminated() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


async def _serve(context: ServiceContext) -> None:
    url = urllib.parse.urlsplit(context.api_url)
    facts: dict[str, object] = {"url": context.api_url}
    tls = server_tls(context.state_dir)
    api = open_api(context.state_dir, context.token, RuntimeClient(context.runtime_socket))
    async with running(api) as runner:
        await web.TCPSite(runner, url.hostname, url.port or 8080, backlog=1024).start()
        if api.network is not None:
            await web.SockSite(runner, listen_for_pods(api.network), ssl_context=tls, backlog=1024).start()
            facts["pods"] = f"https://{api.network.management_address}:{API_PORT}"
        if "api" in context.listen_fds:
            listener = socket.socket(fileno=context.listen_fds["api"])
            await web.SockSite(runner, listener, ssl_context=tls).start()
            facts["tls"] = "https://{}:{}".format(*listener.getsockname()[:2])
        context.ready(facts)
        await _until_terminated()


def serve(context: ServiceContext) -> None:
    """The API service: TLS on the inherited socket, plain HTTP on `context.api_url`, until SIGTERM."""
    collector.search_rarely()
    asyncio.run(_serve(context))


async def serve_alone(api: Api, port: int, *, tls: ssl.SSLContext | None = None) -> None:
    """Serve on 127.0.0.1 until SIGTERM; prints the URL. `tls`: from `server_tls`, before the API was opened."""
    async with running(api) as runner:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        address = runner.addresses[0]
        print(f"{'https' if tls else 'http'}://{address[0]}:{address[1]}", flush=True)
        await _until_terminated()


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m controller.api.server`: the API alone, for tests and development; prints its URL."""
    parser = argparse.ArgumentParser(prog="controller.api.server", description=main.__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--token", required=True)
    parser.add_argument("--tls", action="store_true", help="serve https with the certificates in STATE_DIR/pki")
    options = parser.parse_args(arguments)
    tls = server_tls(options.state_dir) if options.tls else None
    api = open_api(options.state_dir, options.token, RuntimeClient(options.state_dir / "runtime.sock"))
    asyncio.run(serve_alone(api, options.port, tls=tls))


if __name__ == "__main__":
    main(sys.argv[1:])
