"""/openapi/v3: an index and one document per group-version, with the vendored schemas."""

import hashlib
from functools import cache
from typing import Final

import orjson

from controller.api.registry import Kind, group_versions
from controller.api.schema import definitions
from controller.api.status import Object

_PREFIX: Final = "#/components/schemas/"
_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


V2_MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2: Final = b"\x0a\x032.0\x12\x12\x0a\x07Kubinet\x12\x07v1.32.0"
"""/openapi/v2 without definitions (protobuf: swagger 2.0, info): kubectl asks for it when v3 lacks a group-version, and
says "no matches for kind" only if it gets one."""


@cache
def index() -> bytes:
    """The index, with the hash of every document in its URL so that clients may keep it for ever."""
    paths = {
        _path(*pair): {"serverRelativeURL": f"/openapi/v3/{_path(*pair)}?hash={etag(_path(*pair))}"}
        for pair in group_versions()
    }
    return orjson.dumps({"paths": paths})


@cache
def etag(path: str) -> str:
    """The document's hash."""
    return hashlib.sha256(document(path) or b"").hexdigest().upper()


@cache
def document(path: str) -> bytes | None:
    """The document of `api/v1` or `apis/GROUP/VERSION`; None where there is none."""
    for pair, kinds in group_versions().items():
        if _path(*pair) == path:
            return orjson.dumps(_document(f"/{path}", kinds))
    return None


def _document(base: str, kinds: list[Kind]) -> Object:
    schemas: dict[str, Object] = {}
    paths: dict[str, Object] = {}
    for kind in kinds:
        _collect(schemas, kind.schema or _own_name(kind), _own_schema(kind))
        paths |= _paths(base, kind)
    info = {"title": "Kubinet", "version": "v1.32.0"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _own_name(kind: Kind) -> str:
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def _own_schema(kind: Kind) -> Object | None:
    if kind.schema:
        return None
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {
        "type": "object",
        "description": f"{kind.kind} of Kubinet; free-form.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": _PREFIX + _METADATA}]},
            "spec": free,
            "status": free,
        },
        "x-kubernetes-group-version-kind": [gvk],
    }


def _collect(schemas: dict[str, Object], name: str, node: Object | None = None) -> None:
    if name in schemas:
        return
    schemas[name] = node or definitions()[name]
    for reference in _references(schemas[name]):
        _collect(schemas, reference)


def _references(node: object) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _references(item)}
    if not isinstance(node, dict):
        return set()
    found = {name for item in node.values() for name in _references(item)}
    target = node.get("$ref")
    return found | {target.removeprefix(_PREFIX)} if isinstance(target, str) else found


def _paths(base: str, kind: Kind) -> dict[str, Object]:
    gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    schema = {"$ref": _PREFIX + (kind.schema or _own_name(kind))}
    content = {"application/json": {"schema": schema}}

    def operation(action: str, body: bool) -> Object:
        names = ["dryRun", "fieldManager", "fieldValidation"] if body else []
        parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
        result: Object = {
            "operationId": f"{action}{kind.kind}",
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
        }
        return result | ({"requestBody": {"content": content}} if body else {})

    prefix = f"{base}/namespaces/{{namespace}}" if kind.namespaced else base
    collection = {"get": operation("list", False), "post": operation("post", True)}
    single = {
        "get": operation("get", False),
        "put": operation("put", True),
        "patch": operation("patch", True),
        "delete": operation("delete", False),
    }
    return {f"{prefix}/{kind.plural}": collection, f"{prefix}/{kind.plural}/{{name}}": single}
