"""The verbs on resources: from a request to the store and back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

from controller.api import codec, lists, patch, tables, times, watch
from controller.api.applying import applied
from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import POD, Kind
from controller.api.request import Request
from controller.api.status import (
    Object,
    bad_request,
    conflict,
    method_not_allowed,
    no_such_path,
    not_found,
    success,
    unsupported_media_type,
)
from controller.api.store import Stored

Handler = Callable[[Request], Awaitable[web.StreamResponse]]

_GZIP_FROM: Final = 128 * 1024
"""Answers from this size on are compressed when the client accepts it (as upstream)."""


def json_response(request: Request, body: bytes | Object, status: int = 200) -> web.Response:
    """An answer with the request's warnings."""
    if not isinstance(body, bytes):
        body = orjson.dumps(body)
    response = web.Response(body=body, status=status, content_type="application/json")
    for warning in dict.fromkeys(request.warnings):
        text = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{text}"')
    if len(body) >= _GZIP_FROM and "gzip" in request.http.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


@dataclass(slots=True)
class Rest:
    """Answers requests to resources."""

    objects: Objects
    subresources: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    """Handlers of subresources with behaviour of their own, by (kind key, name): log, exec, …; "": the kind itself."""

    async def handle(self, request: Request) -> web.StreamResponse:
        """Dispatch by method and target."""
        target, method = request.target, request.http.method
        special = self.subresources.get((target.kind.key, target.subresource))
        if special is not None:
            return await special(request)
        if target.subresource and target.subresource not in ("status", "finalize", "binding", "eviction"):
            raise no_such_path()
        match method, bool(target.name), target.subresource:
            case "GET", True, "" | "status" if request.flag("watch"):
                return await watch.serve(self.objects.store, request)
            case "GET", True, "" | "status":
                return self._one(request, self._stored(request))
            case "GET", False, _:
                return await self._list(request)
            case "POST", False, _:
                return await self._create(request)
            case "POST", True, "binding":
                return await self._bind(request)
            case "POST", True, "eviction":
                return await self._evict(request)
            case "PUT", True, "" | "status" | "finalize":
                return await self._update(request)
            case "PATCH", True, "" | "status":
                return await self._patch(request)
            case "DELETE", True, "":
                return await self._delete(request)
            case "DELETE", False, _:
                return await self._delete_collection(request)
        raise method_not_allowed(method, target.kind.plural)

    def _stored(self, request: Request) -> Stored:
        target = request.target
        return self.objects.get(target.kind, target.namespace, target.name)

    def _one(self, request: Request, stored: Stored, status: int = 200) -> web.Response:
        accept = request.http.headers.get("Accept", "")
        if not tables.wanted(accept):
            return json_response(request, stored.encoded, status)
        metadata = {"resourceVersion": stored.object["metadata"].get("resourceVersion", "")}
        include = request.query.get("includeObject", "Metadata")
        return json_response(request, tables.table(request.target.kind, [stored], metadata, include), status)

    async def _list(self, request: Request) -> web.StreamResponse:
        if request.flag("watch"):
            return await watch.serve(self.objects.store, request)
        answer = lists.page(self.objects.store, request)
        accept = request.http.headers.get("Accept", "")
        include = request.query.get("includeObject", "Metadata")
        return json_response(request, lists.encode(request.target.kind, answer, accept, include))

    async def _body(self, request: Request, definition: str) -> Object:
        body = await request.body()
        decoded = codec.decode(body, request.content_type, definition, request.field_validation)
        request.warnings += decoded.warnings
        return decoded.object

    async def _create(self, request: Request) -> web.Response:
        kind = request.target.kind
        obj = await self._body(request, kind.schema)
        if kind.namespaced and not request.target.namespace:
            raise no_such_path()
        stored = self.objects.create(
            kind, request.target.namespace, obj, dry_run=request.dry_run, manager=request.manager()
        )
        return self._written(request, stored, 201)

    async def _update(self, request: Request) -> web.Response:
        target = request.target
        obj = await self._body(request, target.kind.schema)
        old = self.objects.store.get(target.kind.key, target.namespace, target.name)
        if old is None:
            raise not_found(target.kind.group, target.kind.plural, target.name)
        manager = request.manager()
        new = self.objects.update(
            target.kind, old, obj, subresource=target.subresource, dry_run=request.dry_run, manager=manager
        )
        return self._written(request, new)

    async def _patch(self, request: Request) -> web.Response:
        target = request.target
        body = await request.body()
        kind = codec.media_type(request.content_type)
        if kind == patch.APPLY:
            return self._apply(request, body)
        # One thread and no await from here on: the version that is patched is the newest one.
        old = self._stored(request)
        obj = patched(target.kind, kind, old, body)
        checked = codec.check(obj, target.kind.schema, request.field_validation)
        request.warnings += checked.warnings
        new = self.objects.update(
            target.kind,
            old,
            checked.object,
            subresource=target.subresource,
            dry_run=request.dry_run,
            manager=request.manager(),
        )
        return self._written(request, new)

    def _written(self, request: Request, stored: Stored, status: int = 200) -> web.Response:
        kind = request.target.kind
        if kind.warn is not None and not request.target.subresource:
            request.warnings += kind.warn(stored.object)
        return self._one(request, stored, status)

    def _apply(self, request: Request, body: bytes) -> web.Response:
        target, kind = request.target, request.target.kind
        # Mostly JSON, which is YAML too, and read a hundred times faster.
        media = "application/json" if body.lstrip()[:1] == b"{" else "application/yaml"
        decoded = codec.decode(body, media, kind.schema, request.field_validation)
        request.warnings += decoded.warnings
        wanted = decoded.object
        old = self.objects.store.get(kind.key, target.namespace, target.name)
        new = applied(request, None if old is None else old.object, wanted)
        if old is None:
            if target.subresource:
                raise not_found(kind.group, kind.plural, target.name)
            stored = self.objects.create(kind, target.namespace, new, dry_run=request.dry_run)
            return self._written(request, stored, 201)
        stored = self.objects.update(kind, old, new, subresource=target.subresource, dry_run=request.dry_run)
        return self._written(request, stored)

    async def _delete(self, request: Request) -> web.Response:
        target, options = request.target, await request.delete_options()
        stored, gone = self.objects.delete(target.kind, target.namespace, target.name, options)
        metadata = stored.object["metadata"]
        if gone and target.kind is not POD:
            details = {"name": metadata["name"], "kind": target.kind.plural, "uid": metadata["uid"]}
            if target.kind.group:
                details["group"] = target.kind.group
            return json_response(request, success(details))
        return self._one(request, stored)

    async def _delete_collection(self, request: Request) -> web.Response:
        target, options = request.target, await request.delete_options()
        answer = lists.page(self.objects.store, request)
        for stored in answer.items:
            metadata = stored.object["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            if self.objects.store.get(target.kind.key, namespace, name) is not None:
                self.objects.delete(target.kind, namespace, name, options)
        return json_response(request, lists.encode(target.kind, answer, "", "Metadata"))

    async def _bind(self, request: Request) -> web.Response:
        target = request.target
        binding = await self._body(request, "io.k8s.api.core.v1.Binding")
        node = (binding.get("target") or {}).get("name") or ""
        if not node:
            raise bad_request("Binding.target.name: Required value: the node to bind to")
        if not request.dry_run:
            bind(self.objects, target.namespace, target.name, node)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return json_response(request, status, 201)

    async def _evict(self, request: Request) -> web.Response:
        target = request.target
        eviction = await self._body(request, "io.k8s.api.policy.v1.Eviction")
        given = eviction.get("deleteOptions") or {}
        options = DeleteOptions(given.get("gracePeriodSeconds"), dry_run=request.dry_run)
        self.objects.delete(target.kind, target.namespace, target.name, options)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return json_response(request, status, 201)


def bind(objects: Objects, namespace: str, name: str, node: str) -> Stored:
    """Assign a pod to a node; 409 when it has one already."""
    stored = objects.get(POD, namespace, name)
    if stored.object["spec"].get("nodeName"):
        there = stored.object["spec"]["nodeName"]
        raise conflict("", "pods/binding", name, f'pod {name} is already assigned to node "{there}"')
    new = stored.copy()
    new["spec"]["nodeName"] = node
    conditions = new["status"].setdefault("conditions", [])
    conditions[:] = [entry for entry in conditions if entry["type"] != "PodScheduled"]
    conditions.append({"type": "PodScheduled", "status": "True", "lastTransitionTime": times.now()})
    return objects.store.put(POD.key, new)


_PATCHES: Final = (patch.MERGE, patch.JSON, patch.STRATEGIC)


def patched(kind: Kind, media: str, old: Stored, body: bytes) -> Object:
    """A new version of an object by a patch of this media type; 415 where the kind does not take it."""
    change = codec.parse_json(body) if media in _PATCHES else None
    if media == patch.MERGE:
        if not isinstance(change, dict):
            raise bad_request("a JSON merge patch is an object")
        # Updating changes parts of the new version in place: it must not share them with the stored one.
        merged: Object = patch.merge(old.copy(), change)
        return merged
    if media == patch.JSON:
        return patch.json_patch(old.copy(), change)
    by_key = bool(kind.schema) and not kind.custom
    if media == patch.STRATEGIC and by_key:
        return patch.strategic(old.copy(), change, kind.schema)
    accepted = (*_PATCHES, patch.APPLY) if by_key else (patch.JSON, patch.MERGE, patch.APPLY)
    raise unsupported_media_type(media, accepted)
