"""Services over HTTP: lifecycle with watch, status, collections, tables, warnings."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from apiserver import serving

from controller.api.server import open_api
from kubinet.cri import RuntimeClient

SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

Ask = Callable[..., Awaitable[tuple[int, Any, list[str]]]]


def serve(tmp_path: Path, scenario: Callable[[Ask, aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async def main() -> None:
        api = open_api(tmp_path, "secret", RuntimeClient(tmp_path / "runtime.sock"))
        async with serving(api) as url, aiohttp.ClientSession(headers={"Authorization": "Bearer secret"}) as session:

            async def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, list[str]]:
                given = {"Content-Type": "application/json"}
                given |= {key.replace("_", "-"): text for key, text in headers.items()}
                data = None if body is None else json.dumps(body).encode()
                async with session.request(method, url + path, data=data, headers=given) as answer:
                    return answer.status, json.loads(await answer.read()), answer.headers.getall("Warning", [])

            await scenario(ask, session, url)

    asyncio.run(asyncio.wait_for(main(), 20))


def service(name: str, **spec: Any) -> dict[str, Any]:
    given = {"ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"of": "test"}}, "spec": given}


async def eventually(ask: Ask, path: str, holds: Callable[[Any], bool]) -> Any:
    """Ask until the answer holds."""
    answer = None
    for _ in range(200):
        _, answer, _ = await ask("GET", path)
        if holds(answer):
            return answer
        await asyncio.sleep(0.01)
    raise AssertionError(answer)


def test_status_is_got_patched_and_replaced(tmp_path: Path) -> None:
    """The conformance suite's lifecycle: status by GET, PATCH and PUT, seen by a watch; the spec stays."""

    async def scenario(ask: Ask, session: aiohttp.ClientSession, url: str) -> None:
        _, made, _ = await ask("POST", SERVICES, service("a", type="LoadBalancer"))
        await eventually(ask, f"{SERVICES}/a/status", lambda got: got["status"]["loadBalancer"].get("ingress"))
        _, listed, _ = await ask("GET", SERVICES)
        query = {"watch": "true", "labelSelector": "of=test", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with session.get(url + SERVICES, params=query) as watch:
            annotations = {"metadata": {"annotations": {"patched": "true"}}}
            code, got, _ = await ask("PATCH", f"{SERVICES}/a/status", annotations, Content_Type=MERGE)
            assert (code, got["metadata"]["annotations"]) == (200, {"patched": "true"})
            condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "m"}
            condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
            got["status"]["conditions"] = [condition]
            code, got, _ = await ask("PUT", f"{SERVICES}/a/status", got)
            assert (code, got["status"]["conditions"], got["spec"]) == (200, [condition], made["spec"])
            for wanted in ("patched", "conditions"):
                event = json.loads(await asyncio.wait_for(watch.content.readline(), 30))
                assert event["type"] == "MODIFIED"
                assert wanted in json.dumps(event["object"])

    serve(tmp_path, scenario)


def test_collections_are_deleted_by_label(tmp_path: Path) -> None:
    """deletecollection with a selector deletes those Services and their slices, and no others."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        for name in "abc":
            made = service(name, selector={"app": name})
            made["metadata"]["labels"] = {"of": "some" if name != "c" else "other"}
            await ask("POST", SERVICES, made)
        await eventually(ask, SLICES, lambda got: len(got["items"]) == 3)
        code, _, _ = await ask("DELETE", f"{SERVICES}?labelSelector=of%3Dsome")
        assert code == 200
        _, left, _ = await ask("GET", SERVICES)
        assert [item["metadata"]["name"] for item in left["items"]] == ["c"]
        got = await eventually(ask, SLICES, lambda got: len(got["items"]) == 1)
        assert got["items"][0]["metadata"]["labels"]["kubernetes.io/service-name"] == "c"

    serve(tmp_path, scenario)


def test_warnings_and_refusals_reach_the_client(tmp_path: Path) -> None:
    """Warnings are headers of the answers to create, update and patch; an ordinary Service has none."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        assert (await ask("POST", SERVICES, service("a", selector={"a": "b"})))[2] == []
        external = service("x", type="ExternalName", externalName="192.0.2.7", ports=[])
        code, _, warnings = await ask("POST", SERVICES, external)
        assert (code, len(warnings)) == (201, 1)
        assert warnings[0].startswith('299 - "spec.externalName: 192.0.2.7 looks like an address')
        change = {"spec": {"loadBalancerIP": "172.31.0.9"}}
        code, _, warnings = await ask("PATCH", f"{SERVICES}/a", change, Content_Type=MERGE)
        assert (code, warnings) == (200, ['299 - "spec.loadBalancerIP is ignored: the type is not LoadBalancer"'])
        code, refused, _ = await ask("POST", SERVICES, service("y", clusterIP="10.96.0.1"))
        assert (code, refused["details"]["causes"][0]["field"]) == (422, "spec.clusterIPs")

    serve(tmp_path, scenario)


def test_affinity_is_switched_off_by_its_name_alone(tmp_path: Path) -> None:
    """A client that sets sessionAffinity to None and leaves the timeout there is understood, as upstream."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        _, made, _ = await ask("POST", SERVICES, service("a", sessionAffinity="ClientIP"))
        assert made["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
        made["spec"]["sessionAffinity"] = "None"
        code, got, _ = await ask("PUT", f"{SERVICES}/a", made)
        assert (code, "sessionAffinityConfig" in got["spec"]) == (200, False)

    serve(tmp_path, scenario)


def test_ports_of_one_number_and_two_protocols(tmp_path: Path) -> None:
    """The conformance suite's same port on TCP and UDP: patched in and out by strategic merge."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        ports = [{"name": "t", "port": 80, "protocol": "TCP"}, {"name": "u", "port": 80, "protocol": "UDP"}]
        await ask("POST", SERVICES, service("a", type="NodePort", ports=ports))
        _, got, _ = await ask("GET", f"{SERVICES}/a")
        got["spec"]["ports"] = got["spec"]["ports"][:1]
        code, got, _ = await ask("PUT", f"{SERVICES}/a", got)
        assert (code, [port["protocol"] for port in got["spec"]["ports"]]) == (200, ["TCP"])

    serve(tmp_path, scenario)


def test_refused_status(tmp_path: Path) -> None:
    """A LoadBalancer status is checked; other types have none."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        await ask("POST", SERVICES, service("a"))
        await ask("POST", SERVICES, service("b", type="LoadBalancer", loadBalancerClass="x/y"))
        for name, point, text in (
            ("a", {"ip": "192.0.2.1"}, "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is"),
            ("b", {"ip": "192.0.2.01"}, 'status.loadBalancer.ingress[0].ip: Invalid value: "192.0.2.01": must be'),
            ("b", {"ipMode": "VIP"}, "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be set when `ip`"),
            ("b", {"ip": "192.0.2.1", "ipMode": "x"}, 'status.loadBalancer.ingress[0].ipMode: Unsupported value: "x"'),
        ):
            change = {"status": {"loadBalancer": {"ingress": [point]}}}
            code, got, _ = await ask("PATCH", f"{SERVICES}/{name}/status", change, Content_Type=MERGE)
            assert code == 422
            assert text in got["message"]

    serve(tmp_path, scenario)


def test_node_hints_are_known_fields(tmp_path: Path) -> None:
    """A hand-made slice keeps hints.forNodes, which is younger than the announced version, without a warning."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        point = {"addresses": ["10.244.1.2"], "hints": {"forNodes": [{"name": "n1"}]}}
        metadata = {"name": "x", "labels": {"kubernetes.io/service-name": "a"}}
        made = {"metadata": metadata, "addressType": "IPv4", "endpoints": [point], "ports": []}
        code, got, warnings = await ask("POST", SLICES, made)
        assert (code, got["endpoints"], warnings) == (201, [point], [])

    serve(tmp_path, scenario)


def test_tables(tmp_path: Path) -> None:
    """Service, Endpoints and EndpointSlice print as upstream's columns."""

    async def scenario(ask: Ask, _session: aiohttp.ClientSession, _url: str) -> None:
        balancer = service("a", type="LoadBalancer", externalIPs=["192.0.2.1"], selector={"app": "a"})
        await ask("POST", SERVICES, balancer)
        await eventually(ask, f"{SERVICES}/a", lambda got: got["status"]["loadBalancer"].get("ingress"))
        _, table, _ = await ask("GET", SERVICES, Accept=TABLE)
        cells = table["rows"][0]["cells"]
        assert (*cells[:5], *cells[6:]) == (
            "a", "LoadBalancer", "10.96.1.0", "172.31.0.1,192.0.2.1", "80:30086/TCP", "app=a",
        )  # fmt: skip
        await eventually(ask, SLICES, lambda got: got["items"])
        _, table, _ = await ask("GET", SLICES, Accept=TABLE)
        assert table["rows"][0]["cells"][1:4] == ["IPv4", "<unset>", "<unset>"]

    serve(tmp_path, scenario)
