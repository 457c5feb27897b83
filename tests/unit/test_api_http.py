"""The API over HTTP: tokens, verbs, watches, tables, paging, and input that is wrong or hostile."""

import asyncio
import gzip
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from apiserver import MAPS, MERGE, PODS, TABLE, Connection, config_map, serve, serving

from controller.api.codec import BODY_LIMIT
from controller.api.server import open_api
from kubinet.cri import RuntimeClient


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic secret", "Bearer"])
def test_every_request_needs_the_token(tmp_path: Path, token: str) -> None:
    """Without the right bearer token there is only a 401 Status."""

    async def scenario(api: Connection) -> None:
        for path in ("/version", MAPS, "/livez", "/nowhere"):
            status, answer = await api.ask("GET", path, Authorization=token)
            assert (status, answer["reason"]) == (401, "Unauthorized")

    serve(tmp_path, scenario)


def test_discovery_and_health(tmp_path: Path) -> None:
    """Old and new discovery name the same kinds; trailing slashes answer; unknown paths are a 404 Status."""

    async def scenario(api: Connection) -> None:
        aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        async with api.session.get(api.url + "/apis", headers={"Accept": aggregated}) as answer:
            assert answer.headers["Content-Type"] == aggregated
            groups = {item["metadata"]["name"] for item in (await answer.json())["items"]}
        _, old = await api.ask("GET", "/apis/")
        assert groups == {group["name"] for group in old["groups"]}
        assert "kubinet.dev" in groups
        _, core = await api.ask("GET", "/api/v1/")
        assert {"pods", "pods/status", "pods/exec", "pods/log"} <= {r["name"] for r in core["resources"]}
        for path in ("/livez", "/readyz", "/healthz", "/livez/ping"):
            assert await api.ask("GET", path) == (200, "ok")
        for path in ("/", "/api/v2", "/apis/none", "/apis/none/v1", "/api/v1/nothing", "/api/v1/pods/x", "/logs"):
            status, answer = await api.ask("GET", path)
            assert (status, answer["reason"]) == (404, "NotFound"), path

    serve(tmp_path, scenario)


def test_watch_sees_every_change(tmp_path: Path) -> None:
    """A watch from a list's version sees each change once, in order; a selection's entry and exit are events."""

    async def scenario(api: Connection) -> None:
        await api.ask("POST", MAPS, config_map("a"))
        _, listed = await api.ask("GET", MAPS)
        version = listed["metadata"]["resourceVersion"]
        async with (
            api.watch(MAPS, resourceVersion=version) as every,
            api.watch(MAPS, resourceVersion=version, labelSelector="on=yes") as some,
        ):
            labels = {"metadata": {"labels": {"on": "yes"}}}
            await api.ask("PATCH", f"{MAPS}/a", labels, Content_Type=MERGE)
            labels = {"metadata": {"labels": {"on": None}}}
            await api.ask("PATCH", f"{MAPS}/a", labels, Content_Type=MERGE)
            await api.ask("DELETE", f"{MAPS}/a")
            seen = [await every() for _ in range(3)]
            assert [kind for kind, _ in seen] == ["MODIFIED", "MODIFIED", "DELETED"]
            versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in seen]
            assert versions == sorted(set(versions))
            selected = [await some() for _ in range(2)]
            assert [kind for kind, _ in selected] == ["ADDED", "DELETED"]
            assert selected[1][1]["metadata"]["labels"] == {"on": "yes"}

    serve(tmp_path, scenario)


def test_watch_start_and_end(tmp_path: Path) -> None:
    """Without a version a watch begins with what is there; initial events end with a bookmark; timeouts are kept."""

    async def scenario(api: Connection) -> None:
        await api.ask("POST", MAPS, config_map("a"))
        initial = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
        async with api.watch(MAPS, timeoutSeconds="1", **initial) as event:
            kind, obj = await event()
            assert (kind, obj["metadata"]["name"]) == ("ADDED", "a")
            kind, mark = await event()
            assert (kind, mark["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})
            assert (await event())[0] == "BOOKMARK"
            assert (await event())[0] == "END"
        async with api.watch(f"{MAPS}/a") as event:
            assert (await event())[0] == "ADDED"
        status, answer = await api.ask("GET", f"{MAPS}?watch=1&resourceVersion=999999")
        assert (status, answer["reason"]) == (410, "Expired")

    serve(tmp_path, scenario)


def test_watches_end_with_the_api(tmp_path: Path) -> None:
    """An API that ends ends its watches as a time-out does: clients see no broken answer, and it waits for none."""

    async def main() -> None:
        api = open_api(tmp_path, "secret", RuntimeClient(tmp_path / "runtime.sock"))
        headers = {"Authorization": "Bearer secret"}
        async with aiohttp.ClientSession(headers=headers) as session, AsyncExitStack() as client:
            async with serving(api) as url:
                connection = Connection(session, url)
                await connection.ask("POST", MAPS, config_map("a"))
                event = await client.enter_async_context(connection.watch(MAPS))
                assert (await event())[0] == "ADDED"
            assert await event() == ("END", None)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_tables(tmp_path: Path) -> None:
    """Lists, single objects and watches come as tables when asked for."""

    async def scenario(api: Connection) -> None:
        await api.ask("POST", MAPS, config_map("a", x="1", y="2"))
        accept = TABLE["Accept"]
        _, table = await api.ask("GET", MAPS, Accept=accept)
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert table["rows"][0]["cells"][:2] == ["a", 2]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        _, one = await api.ask("GET", f"{MAPS}/a?includeObject=Object", Accept=accept)
        assert one["rows"][0]["object"]["data"] == {"x": "1", "y": "2"}

    serve(tmp_path, scenario)


def test_pages_show_one_state(tmp_path: Path) -> None:
    """A paged list shows the state of its first page, whatever is written meanwhile."""

    async def scenario(api: Connection) -> None:
        for name in "abcde":
            await api.ask("POST", MAPS, config_map(name))
        _, page = await api.ask("GET", f"{MAPS}?limit=2")
        names, version = [item["metadata"]["name"] for item in page["items"]], page["metadata"]["resourceVersion"]
        assert page["metadata"]["remainingItemCount"] == 3
        await api.ask("DELETE", f"{MAPS}/d")
        await api.ask("POST", MAPS, config_map("cc"))
        while token := page["metadata"].get("continue"):
            _, page = await api.ask("GET", f"{MAPS}?limit=2&continue={token}")
            assert page["metadata"]["resourceVersion"] == version
            names += [item["metadata"]["name"] for item in page["items"]]
        assert names == ["a", "b", "c", "d", "e"]
        assert (await api.ask("GET", f"{MAPS}?continue=nonsense"))[0] == 400

    serve(tmp_path, scenario)


def test_delete_collection_and_dry_run(tmp_path: Path) -> None:
    """deletecollection deletes what is selected; dryRun answers without storing."""

    async def scenario(api: Connection) -> None:
        assert (await api.ask("POST", f"{MAPS}?dryRun=All", config_map("a")))[0] == 201
        assert (await api.ask("GET", f"{MAPS}/a"))[0] == 404
        for name in "ab":
            await api.ask("POST", MAPS, config_map(name))
        await api.ask("DELETE", f"{MAPS}?fieldSelector=metadata.name=a")
        _, left = await api.ask("GET", MAPS)
        assert [item["metadata"]["name"] for item in left["items"]] == ["b"]
        assert (await api.ask("POST", f"{MAPS}?dryRun=some", config_map("a")))[0] == 400

    serve(tmp_path, scenario)


BOMB = b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]\n"
HOSTILE = [
    (b"{", "application/json", 400, "must be of type JSON"),
    (b"\xff\xfe", "application/json", 400, "must be of type JSON"),
    (b'{"metadata":{"name":"\xc3\x28"}}', "application/json", 400, "must be of type JSON"),
    (b"[]", "application/json", 400, "is no object"),
    (b"null", "application/json", 400, "is no object"),
    (b"[" * 100_000, "application/json", 400, "must be of type JSON"),
    (b'{"a":' * 500 + b"1" + b"}" * 500, "application/json", 400, "nested deeper than 100 levels"),
    (b'{"data":{"a":"1","a":"2"}}', "application/json", 400, 'duplicate field "data.a"'),
    (b'{"metadata":[]}', "application/json", 400, "cannot unmarshal array into field metadata of type object"),
    (b'{"metadata":{"name":7}}', "application/json", 400, "cannot unmarshal number into field metadata.name of type"),
    (b'{"data":{"a":1}}', "application/json", 400, "cannot unmarshal number into field data.a of type string"),
    (b'{"dta":{}}', "application/json", 400, 'strict decoding error: unknown field "dta"'),
    (BOMB, "application/yaml", 400, "YAML aliases are not accepted"),
    (b"!!python/object/apply:os.system [id]", "application/yaml", 400, "error parsing YAML"),
    (b"{" * 5000, "application/yaml", 400, "error parsing YAML"),
    (b"k8s\x00\x0a", "application/vnd.kubernetes.protobuf", 400, "malformed protobuf body"),
    (b"nope", "application/vnd.kubernetes.protobuf", 400, "does not start with"),
    (b"<a/>", "text/xml", 415, "accepted media types include: application/json"),
    (b" " * (BODY_LIMIT + 1), "application/json", 413, "limit is 3145728"),
]


@pytest.mark.parametrize(("body", "kind", "code", "text"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies(tmp_path: Path, body: bytes, kind: str, code: int, text: str) -> None:
    """A body that cannot be accepted is refused with the reason, and the server goes on."""

    async def scenario(api: Connection) -> None:
        status, answer = await api.ask("POST", f"{MAPS}?fieldValidation=Strict", body, Content_Type=kind)
        assert (status, answer["kind"]) == (code, "Status")
        assert text in answer["message"]
        assert (await api.ask("POST", MAPS, config_map("after")))[0] == 201

    serve(tmp_path, scenario)


def test_field_validation_modes(tmp_path: Path) -> None:
    """Warn stores without the unknown field and says so in a header; Ignore says nothing."""

    async def scenario(api: Connection) -> None:
        body = {**config_map("a"), "extra": 1}
        async with api.session.post(f"{api.url}{MAPS}?fieldValidation=Warn", json=body) as answer:
            assert answer.headers.getall("Warning") == ['299 - "unknown field \\"extra\\""']
            assert "extra" not in await answer.json()
        other = {**body, **config_map("b")}
        async with api.session.post(f"{api.url}{MAPS}?fieldValidation=Ignore", json=other) as answer:
            assert "Warning" not in answer.headers

    serve(tmp_path, scenario)


def test_wrong_verbs_and_patches(tmp_path: Path) -> None:
    """What a resource does not do is 405, a patch format it does not take 415."""

    async def scenario(api: Connection) -> None:
        assert (await api.ask("PUT", MAPS, config_map("a")))[0] == 405
        assert (await api.ask("POST", f"{PODS}/a/attach"))[0] == 404
        topology = {"apiVersion": "kubinet.dev/v1", "kind": "Topology", "metadata": {"name": "cluster"}}
        topologies = "/apis/kubinet.dev/v1/topologies"
        spec = {"spec": {"any": [1, {"thing": None}]}, "status": {"x": 1}}
        status, stored = await api.ask("POST", topologies, {**topology, **spec})
        assert (status, stored["spec"], stored["status"]) == (201, spec["spec"], spec["status"])
        strategic = "application/strategic-merge-patch+json"
        assert (await api.ask("PATCH", f"{topologies}/cluster", {}, Content_Type=strategic))[0] == 415
        assert (await api.ask("PATCH", f"{topologies}/cluster", [], Content_Type="application/json"))[0] == 415

    serve(tmp_path, scenario)


def test_large_answers_are_compressed(tmp_path: Path) -> None:
    """Answers over 128 KiB are gzip for clients that accept it."""

    async def scenario(api: Connection) -> None:
        await api.ask("POST", MAPS, config_map("big", x="y" * 200_000))
        url, headers = f"{api.url}{MAPS}", {"Authorization": "Bearer secret", "Accept-Encoding": "gzip"}
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            async with session.get(url, headers=headers) as answer:
                assert answer.headers["Content-Encoding"] == "gzip"
                assert len(json.loads(gzip.decompress(await answer.read()))["items"]) >= 1

    serve(tmp_path, scenario)


def test_pods_are_scheduled(tmp_path: Path) -> None:
    """Pods created over HTTP are bound without anyone asking; what cannot be bound has an event."""

    async def scenario(api: Connection) -> None:
        spec = {"containers": [{"name": "c", "image": "busybox"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec}
        await api.ask("POST", PODS, pod)
        _, events = await api.ask("GET", "/api/v1/namespaces/default/events")
        assert [event["message"] for event in events["items"]] == ["no nodes available to schedule pods"]
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": ready}
        async with api.watch(PODS) as event:
            await event()
            await api.ask("POST", "/api/v1/nodes", node)
            kind, bound = await event()
            assert (kind, bound["spec"]["nodeName"]) == ("MODIFIED", "n1")
            assert bound["status"]["conditions"][0]["status"] == "True"

    serve(tmp_path, scenario)


def test_scale(tmp_path: Path) -> None:
    """`/scale` reads and writes the replicas only, checks the resourceVersion, and refuses what is no Scale."""
    deployments = "/apis/apps/v1/namespaces/default/deployments"

    async def scenario(api: Connection) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 0, "template": template, "selector": {"matchLabels": {"a": "b"}}}
        status, made = await api.ask("POST", deployments, {"metadata": {"name": "web"}, "spec": spec})
        assert status == 201
        path = f"{deployments}/web/scale"
        status, scale = await api.ask("GET", path)
        assert (status, scale["kind"], scale["apiVersion"], scale["spec"]) == (200, "Scale", "autoscaling/v1", {})
        assert scale["status"] == {"replicas": 0, "selector": "a=b"}
        assert scale["metadata"]["uid"] == made["metadata"]["uid"]
        status, scaled = await api.ask("PATCH", path, {"spec": {"replicas": 2}}, Content_Type=MERGE)
        assert (status, scaled["spec"]) == (200, {"replicas": 2})
        status, stale = await api.ask("PUT", path, {**scale, "spec": {"replicas": 5}})
        assert (status, stale["reason"]) == (409, "Conflict")
        del scale["metadata"]["resourceVersion"]
        status, scaled = await api.ask("PUT", path, {**scale, "spec": {"replicas": 3}})
        assert (status, scaled["spec"]) == (200, {"replicas": 3})
        _, now = await api.ask("GET", f"{deployments}/web")
        assert now["spec"] == {**made["spec"], "replicas": 3}
        status, answer = await api.ask("PUT", path, {"spec": {"replicas": -1}})
        assert (status, answer["message"]) == (
            422,
            'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
        )
        for method, body, code in (("PUT", {"spec": {"replicas": "x"}}, 400), ("POST", {}, 405), ("PUT", [], 400)):
            assert (await api.ask(method, path, body))[0] == code, (method, body)
        assert (await api.ask("GET", f"{deployments}/none/scale"))[0] == 404

    serve(tmp_path, scenario)


def test_server_side_apply(tmp_path: Path) -> None:
    """YAML or JSON; created with 201; strict fields, a required manager, conflicts, dry runs and status."""
    apply = "application/apply-patch+yaml"
    path = f"{MAPS}/a?fieldManager=me"

    async def scenario(api: Connection) -> None:
        text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: '1'\n"
        status, made = await api.ask("PATCH", path, text, Content_Type=apply)
        assert (status, made["data"]) == (201, {"x": "1"})
        (entry,) = made["metadata"]["managedFields"]
        assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == ("me", "Apply", {"f:data": {"f:x": {}}})
        status, again = await api.ask("PATCH", path, config_map("a", x="1"), Content_Type=apply)
        assert (status, again) == (200, made)
        status, dry = await api.ask("PATCH", f"{path}&dryRun=All", config_map("a", y="1"), Content_Type=apply)
        assert (status, dry["data"]) == (200, {"y": "1"})
        assert (await api.ask("GET", f"{MAPS}/a"))[1] == made
        wrong = config_map("a") | {"dada": {}}
        status, answer = await api.ask("PATCH", f"{path}&fieldValidation=Strict", wrong, Content_Type=apply)
        assert (status, answer["message"]) == (400, 'strict decoding error: unknown field "dada"')
        status, answer = await api.ask("PATCH", f"{MAPS}/a", config_map("a"), Content_Type=apply)
        assert (status, answer["details"]["causes"][0]["field"]) == (422, "fieldManager")
        other = f"{MAPS}/a?fieldManager=you"
        status, answer = await api.ask("PATCH", other, config_map("a", x="2"), Content_Type=apply)
        assert (status, answer["details"]["causes"][0]["field"]) == (409, ".data.x")
        status, answer = await api.ask("PATCH", f"{other}&force=true", config_map("a", x="2"), Content_Type=apply)
        assert (status, answer["data"]) == (200, {"x": "2"})
        for body, message in (
            (config_map("b"), "the name of the object (b) does not match the name on the URL (a)"),
            ({"kind": "ConfigMap", "metadata": {"name": "a"}}, "apiVersion must be set in an apply patch"),
        ):
            status, answer = await api.ask("PATCH", path, body, Content_Type=apply)
            assert (status, answer["message"]) == (400, message)
        stale = config_map("a") | {"metadata": {"name": "a", "resourceVersion": "1"}}
        assert (await api.ask("PATCH", path, stale, Content_Type=apply))[0] == 409

    serve(tmp_path, scenario)


def test_a_deployment_makes_pods(tmp_path: Path) -> None:
    """A Deployment's pods appear by themselves, owned by its ReplicaSet, and go with it."""
    deployments = "/apis/apps/v1/namespaces/default/deployments"

    async def scenario(api: Connection) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 2, "template": template, "selector": {"matchLabels": {"a": "b"}}}
        async with api.watch(PODS) as event:
            await api.ask("POST", deployments, {"metadata": {"name": "web"}, "spec": spec})
            pods = [(await event())[1] for _ in range(2)]
            _, sets = await api.ask("GET", "/apis/apps/v1/namespaces/default/replicasets")
            (owner,) = sets["items"]
            for pod in pods:
                (reference,) = pod["metadata"]["ownerReferences"]
                assert reference == {
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
                }  # fmt: skip
                assert pod["metadata"]["name"].startswith(f"{owner['metadata']['name']}-")
                assert pod["metadata"]["labels"] == {"a": "b", "pod-template-hash": owner["metadata"]["name"][4:]}
            await api.ask("DELETE", f"{deployments}/web")
            gone: set[str] = set()
            while len(gone) < 2:
                kind, pod = await event()
                if kind == "DELETED":
                    gone.add(pod["metadata"]["name"])
            assert gone == {pod["metadata"]["name"] for pod in pods}

    serve(tmp_path, scenario)


def test_every_write_says_who_wrote(tmp_path: Path) -> None:
    """fieldManager, else the User-Agent up to its slash; our own agents' status reports are not recorded."""

    async def scenario(api: Connection) -> None:
        status, made = await api.ask("POST", f"{MAPS}?fieldManager=maker", config_map("a", x="1"))
        assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["maker"]
        change = {"data": {"x": "2"}}
        status, made = await api.ask("PATCH", f"{MAPS}/a", change, Content_Type=MERGE, User_Agent="tool/v1 (linux)")
        owned = {entry["manager"]: entry["fieldsV1"] for entry in made["metadata"]["managedFields"]}
        assert owned == {"maker": {"f:data": {}}, "tool": {"f:data": {"f:x": {}}}}
        status, kept = await api.ask("PUT", f"{MAPS}/a", config_map("a", x="2"), User_Agent="other")
        assert (status, kept) == (200, made)
        body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "b"}]}}
        await api.ask("POST", PODS, body, User_Agent="maker")
        report = {"status": {"phase": "Running"}}
        for agent, expected in (("kubinet", {"maker"}), ("agent", {"maker", "agent"})):
            status, made = await api.ask("PATCH", f"{PODS}/p/status", report, Content_Type=MERGE, User_Agent=agent)
            assert {entry["manager"] for entry in made["metadata"]["managedFields"]} == expected
            report = {"status": {"phase": "Succeeded"}}

    serve(tmp_path, scenario)
