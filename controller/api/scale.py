"""The `/scale` subresource: a workload's replicas as an `autoscaling/v1` Scale."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from controller.api import codec, tables
from controller.api.objects import Objects
from controller.api.registry import DEPLOYMENT, REPLICA_SET, SCALE, STATEFUL_SET, Kind
from controller.api.request import Request
from controller.api.rest import Handler, json_response, patched
from controller.api.selectors import selector_query
from controller.api.status import MODIFIED, Object, bad_request, conflict, invalid, method_not_allowed
from controller.api.store import Stored
from controller.api.validation.causes import invalid as invalid_value

_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(stored: Stored) -> Object:
    """The Scale of a workload."""
    obj = stored.object
    status: Object = {"replicas": (obj.get("status") or {}).get("replicas") or 0}
    if selector := selector_query(obj["spec"].get("selector")):
        status["selector"] = selector
    replicas = obj["spec"].get("replicas") or 0
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.group_version,
        "metadata": {key: obj["metadata"][key] for key in _KEPT if key in obj["metadata"]},
        # As upstream's encoding leaves zero out.
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


class Scales:
    """Answers GET, PUT and PATCH of `/scale`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """By (kind key, subresource), for `Rest`."""
        return {(kind.key, "scale"): self.handle for kind in (DEPLOYMENT, REPLICA_SET, STATEFUL_SET)}

    async def handle(self, request: Request) -> web.StreamResponse:
        """Dispatch by method."""
        match request.http.method:
            case "GET":
                return self._answer(request, self._stored(request))
            case "PUT":
                body = await request.body()
                decoded = codec.decode(body, request.content_type, SCALE.schema, request.field_validation)
                request.warnings += decoded.warnings
                return self._write(request, self._stored(request), decoded.object)
            case "PATCH":
                return await self._patch(request)
        raise method_not_allowed(request.http.method, f"{request.target.kind.plural}/scale")

    def _stored(self, request: Request) -> Stored:
        target = request.target
        return self._objects.get(target.kind, target.namespace, target.name)

    async def _patch(self, request: Request) -> web.StreamResponse:
        body = await request.body()
        # No await from here on: what is patched is the newest version.
        stored = self._stored(request)
        before = orjson.dumps(scale_of(stored))
        changed = patched(SCALE, codec.media_type(request.content_type), Stored({}, before, 0), body)
        checked = codec.check(changed, SCALE.schema, request.field_validation)
        request.warnings += checked.warnings
        return self._write(request, stored, checked.object)

    def _write(self, request: Request, stored: Stored, scale: Object) -> web.StreamResponse:
        kind = request.target.kind
        _check(kind, stored, scale)
        replicas = (scale.get("spec") or {}).get("replicas") or 0
        if replicas < 0:
            cause = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid(SCALE.group, SCALE.kind, request.target.name, [cause])
        new = stored.copy()
        new["spec"]["replicas"] = replicas
        return self._answer(request, self._objects.update(kind, stored, new, dry_run=request.dry_run))

    def _answer(self, request: Request, stored: Stored) -> web.StreamResponse:
        scale = scale_of(stored)
        if not tables.wanted(request.http.headers.get("Accept", "")):
            return json_response(request, scale)
        metadata = {"resourceVersion": scale["metadata"].get("resourceVersion", "")}
        include = request.query.get("includeObject", "Metadata")
        return json_response(request, tables.table(SCALE, [Stored(scale, b"", 0)], metadata, include))


def _check(kind: Kind, stored: Stored, scale: Object) -> None:
    given, metadata = scale.get("metadata") or {}, stored.object["metadata"]
    if given.get("name") not in (None, "", metadata["name"]):
        why = f"the name of the object ({given['name']}) does not match the name on the URL ({metadata['name']})"
        raise bad_request(why)
    if given.get("uid") not in (None, "", metadata["uid"]):
        why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {metadata['uid']}"
        raise conflict(kind.group, kind.plural, metadata["name"], why)
    if given.get("resourceVersion") not in (None, "", "0", metadata["resourceVersion"]):
        raise conflict(kind.group, kind.plural, metadata["name"], MODIFIED)
