"""`pods/proxy` and `services/proxy`: HTTP requests to programs in the cluster, through the API.

`/api/v1/namespaces/NS/services/[SCHEME:]NAME[:PORT]/proxy/PATH`, as `kubectl proxy` and `kubectl get --raw` use it.
"""

import asyncio
import random
import ssl
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from controller.api.registry import ENDPOINT_SLICE, POD, SERVICE
from controller.api.request import Request
from controller.api.status import Object, StatusError, bad_request, not_found
from controller.api.store import Store
from controller.api.streams.dialing import CONNECT_SECONDS, Namespaces, socket_in
from kubinet.errors import KubinetError

_HOP_BY_HOP: Final = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
"""RFC 9110, section 7.6.1: they concern one connection only."""
_PLAIN: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the path names: `[SCHEME:]NAME[:PORT]`."""

    scheme: str
    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect; `pod_uid` is that of a pod which shares its node's network."""

    host: str
    port: int
    pod_uid: str = ""


def parse_wanted(text: str) -> Wanted:
    """The parts of the name in the path; 400 for what upstream does not understand either."""
    parts = text.split(":")
    if len(parts) == 1:
        return Wanted("http", text, "")
    if len(parts) == 2:
        return Wanted("http", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return Wanted(parts[0] or "http", parts[1], parts[2])
    raise bad_request(f"invalid name {text!r}: write [SCHEME:]NAME[:PORT], with http or https")


def pod_address(pod: Object, wanted: Wanted) -> Address:
    """The pod's address and the port, by default the first that it declares; 400 before the pod has an address."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise bad_request("address not allowed: the pod has no address yet")
    declared = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    if wanted.port:
        port = next((port["containerPort"] for port in declared if port.get("name") == wanted.port), None)
        port = int(wanted.port) if port is None and wanted.port.isdecimal() else port
        if port is None:
            raise bad_request(f"pod {wanted.name!r} has no port {wanted.port!r}")
    else:
        port = declared[0]["containerPort"] if declared else _PLAIN[wanted.scheme]
    shared = bool(pod["spec"].get("hostNetwork"))
    return Address(address, port, pod["metadata"]["uid"] if shared else "")


def service_port(service: Object, wanted: Wanted) -> Object:
    """The service's port that is meant, by number or name, or its only one; 503 as upstream when there is none."""
    ports = service["spec"].get("ports") or []
    if not wanted.port and len(ports) == 1:
        return dict(ports[0])
    for port in ports:
        if wanted.port in (str(port["port"]), port.get("name") or None):
            return dict(port)
    raise _unavailable(f'no service port "{wanted.port}" found for service "{wanted.name}"')


def ready_addresses(slices: list[Object], port: Object) -> list[tuple[str, int, Object]]:
    """(address, port, targetRef) of each ready endpoint."""
    found = []
    for entry in slices:
        ports = {listed.get("name") or "": listed["port"] for listed in entry.get("ports") or ()}
        number = ports.get(port.get("name") or "")
        if number is None:
            continue
        for endpoint in entry.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found += [(address, number, endpoint.get("targetRef") or {}) for address in endpoint["addresses"]]
    return found


def _unavailable(why: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", why)


class Proxy:
    """Answers `pods/proxy` and `services/proxy`."""

    def __init__(self, store: Store, namespaces: Namespaces) -> None:
        self._store = store
        self._namespaces = namespaces

    async def handle(self, request: Request) -> web.StreamResponse:
        """Any method; the answer is the program's."""
        http = request.http
        raw = http.rel_url.raw_path
        # /api/v1/namespaces/NS/pods/NAME/proxy and the program's own path
        parts = raw.split("/", 8)
        prefix, path = "/".join(parts[:8]), "/".join(["", *parts[8:]])
        if not path:
            location = f"{raw}/" + (f"?{http.query_string}" if http.query_string else "")
            return web.Response(status=301, headers={"Location": location})
        if "upgrade" in http.headers.get("Connection", "").lower():
            raise bad_request("proxy: upgrades (WebSocket) are not passed on; use port-forward")
        wanted = parse_wanted(request.target.name)
        address = self._resolve(request, wanted)
        url = f"{wanted.scheme}://{address.host}:{address.port}{path}"
        query = http.rel_url.raw_query_string
        target = URL(f"{url}?{query}" if query else url, encoded=True)
        try:
            return await self._forward(http, target, address, prefix)
        except (aiohttp.ClientError, TimeoutError, OSError, KubinetError) as error:
            what = f"error trying to reach service: dial tcp {address.host}:{address.port}"
            raise _unavailable(f"{what}: {error or 'timed out'}") from error

    def _resolve(self, request: Request, wanted: Wanted) -> Address:
        target = request.target
        stored = self._store.get(target.kind.key, target.namespace, wanted.name)
        if stored is None:
            raise not_found("", target.kind.plural, wanted.name)
        if target.kind is not SERVICE:
            return pod_address(stored.object, wanted)
        port = service_port(stored.object, wanted)
        slices = [
            entry.object
            for entry in self._store.select(ENDPOINT_SLICE.key, target.namespace)
            if (entry.object["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == wanted.name
        ]
        addresses = ready_addresses(slices, port)
        if not addresses:
            raise _unavailable(f'no endpoints available for service "{wanted.name}"')
        host, number, reference = random.choice(addresses)  # noqa: S311 - spreading, not secrecy
        pod = self._store.get(POD.key, target.namespace, reference.get("name") or "")
        shared = reference.get("kind") == "Pod" and pod is not None and bool(pod.object["spec"].get("hostNetwork"))
        return Address(host, number, pod.object["metadata"]["uid"] if shared and pod is not None else "")

    async def _forward(self, http: web.BaseRequest, url: URL, address: Address, prefix: str) -> web.StreamResponse:
        dropped = _HOP_BY_HOP | {"host", "authorization", "content-length"}
        headers = CIMultiDict((name, value) for name, value in http.headers.items() if name.lower() not in dropped)
        body: Any = http.content if http.body_exists else None
        if body is not None and http.content_length is not None:
            headers["Content-Length"] = str(http.content_length)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        session = aiohttp.ClientSession(
            connector=await self._connector(address), timeout=timeout, auto_decompress=False, trust_env=False
        )
        async with session:
            answer = await session.request(
                http.method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers.add(name, _relocated(value, prefix) if name.lower() == "location" else value)
            await response.prepare(http)
            async for block in answer.content.iter_any():
                await response.write(block)
            await response.write_eof()
            return response

    async def _connector(self, address: Address) -> aiohttp.TCPConnector:
        """Through the sandbox's routes to pods; from the node itself to pods that share its network."""
        # A program in a pod has a certificate of its own, if any: as upstream, nobody checks it.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if not address.pod_uid:
            return aiohttp.TCPConnector(ssl=context)
        path = await asyncio.to_thread(self._namespaces.network_namespace, address.pod_uid)

        def make(_: aiohttp.AddrInfoType) -> Any:
            return socket_in(path)

        return aiohttp.TCPConnector(ssl=context, socket_factory=make)


def _relocated(location: str, prefix: str) -> str:
    """A redirect to a path of the program, as a path of the proxy."""
    return f"{prefix}{location}" if location.startswith("/") and not location.startswith("//") else location
