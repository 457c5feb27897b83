"""What a request asks for: its path as kind, namespace, name and subresource, and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from aiohttp import web

from controller.api import protobuf
from controller.api.access import ADMIN, Access, User
from controller.api.codec import BODY_LIMIT, FieldValidation, check, media_type, parse_json
from controller.api.managed.managers import UPDATE, Manager
from controller.api.objects import DeleteOptions
from controller.api.registry import Kind, by_path
from controller.api.selectors import FieldSelector, LabelSelector, parse_fields, parse_labels
from controller.api.status import Object, bad_request, too_large

_DELETE_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_VERBS: Final = {
    ("GET", True): "get",
    ("GET", False): "list",
    ("HEAD", True): "get",
    ("HEAD", False): "list",
    ("POST", True): "create",
    ("POST", False): "create",
    ("PUT", True): "update",
    ("DELETE", False): "deletecollection",
}
_MANAGER_LIMIT: Final = 128
_GENERIC_FIELDS: Final = {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace")}


@dataclass(frozen=True, slots=True)
class Target:
    """A resource path."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> Target | None:
    """The resource that a path names; None when it is no resource path of a served kind."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    # /namespaces/NAME/status is a namespace's subresource, /namespaces/NAME/pods a collection.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = by_path(group, version, rest[0])
    if rest[2:3] == ["proxy"]:
        del rest[3:]  # what follows is a path of the program behind it
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        return None
    name, subresource = [*rest, "", ""][1:3]
    if subresource and not _has(kind, subresource):
        return None
    if name and kind.namespaced and not namespace:
        return None
    return Target(kind, namespace, name, subresource)


def _has(kind: Kind, subresource: str) -> bool:
    return (subresource == "status" and kind.has_status) or any(s.name == subresource for s in kind.subresources)


@dataclass(slots=True)
class Request:
    """One request to a resource, with what its answer must carry along."""

    http: web.BaseRequest
    target: Target
    query: Mapping[str, str]
    user: User = ADMIN
    warnings: list[str] = field(default_factory=list)

    @property
    def dry_run(self) -> bool:
        """`dryRun=All`."""
        value = self.query.get("dryRun", "")
        if value not in ("", "All"):
            raise bad_request(f'dryRun: Unsupported value: "{value}": supported values: "All"')
        return value == "All"

    @property
    def field_validation(self) -> FieldValidation:
        """How unknown and duplicate fields are treated; Warn by default, as upstream."""
        value = self.query.get("fieldValidation") or "Warn"
        if value not in ("Strict", "Warn", "Ignore"):
            message = f'fieldValidation: Unsupported value: "{value}": supported values: "Ignore", "Strict", "Warn"'
            raise bad_request(message)
        return cast(FieldValidation, value)

    def access(self) -> Access:
        """What the request wants to do, for the rule of who may do what."""
        target, method = self.target, self.http.method
        verb = _VERBS.get((method, bool(target.name)), method.lower())
        if verb in ("get", "list") and self.flag("watch"):
            verb = "watch"
        kind = target.kind
        return Access(verb, kind.group, kind.plural, target.namespace, target.name, target.subresource)

    def manager(self) -> Manager | None:
        """Who writes, for managedFields; None for our own agents' status reports, which nobody competes about."""
        agent = self.http.headers.get("User-Agent", "").partition("/")[0]
        subresource = self.target.subresource
        name = self.query.get("fieldManager") or ("" if subresource == "status" and agent == "kubinet" else agent)
        if len(name) > _MANAGER_LIMIT or not name.isprintable():
            raise bad_request(f"fieldManager: Invalid value: at most {_MANAGER_LIMIT} printable characters")
        return Manager(name, UPDATE, self.target.kind.group_version, subresource) if name else None

    @property
    def content_type(self) -> str:
        """The body's declared format."""
        return self.http.headers.get("Content-Type", "")

    def label_selector(self) -> LabelSelector:
        """The labelSelector parameter."""
        return parse_labels(self.query.get("labelSelector", ""))

    def field_selector(self) -> FieldSelector:
        """The fieldSelector parameter, and the name in the path of a watch on one object."""
        text = self.query.get("fieldSelector", "")
        selector = parse_fields(text, {**_GENERIC_FIELDS, **self.target.kind.selectable})
        if self.target.name:
            selector = FieldSelector((*selector.terms, (("metadata", "name"), self.target.name, True)))
        return selector

    def flag(self, name: str) -> bool:
        """A boolean parameter."""
        return self.query.get(name, "").lower() in ("true", "1", "t")

    def number(self, name: str) -> int | None:
        """An integer parameter, None when absent."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f"{name}: {text!r} is no integer") from None

    async def body(self) -> bytes:
        """The whole body, at most `BODY_LIMIT` bytes."""
        return await read_body(self.http)

    async def delete_options(self) -> DeleteOptions:
        """From the body and the parameters."""
        given = _delete_body(await self.body(), self.content_type)
        preconditions = given.get("preconditions") or {}
        grace = given.get("gracePeriodSeconds")
        propagation = given.get("propagationPolicy") or self.query.get("propagationPolicy", "")
        if given.get("orphanDependents") and not propagation:
            propagation = "Orphan"
        if propagation not in ("", "Background", "Foreground", "Orphan"):
            message = f'propagationPolicy: Unsupported value: "{propagation}": supported values: '
            raise bad_request(message + '"Background", "Foreground", "Orphan"')
        return DeleteOptions(
            grace_period=self.number("gracePeriodSeconds") if grace is None else grace,
            propagation=propagation,
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            dry_run=self.dry_run or given.get("dryRun") == ["All"],
        )


def _delete_body(body: bytes, content_type: str) -> Object:
    if not body.strip():
        return {}
    if media_type(content_type) == protobuf.MEDIA_TYPE:
        return protobuf.decode(body)
    value = parse_json(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request("the body of a DELETE is a DeleteOptions object")
    return check(value, _DELETE_OPTIONS, "Ignore").object


async def read_body(http: web.BaseRequest) -> bytes:
    """A request's body; 413 beyond the limit, without reading on."""
    if (http.content_length or 0) > BODY_LIMIT:
        raise too_large(BODY_LIMIT)
    chunks, size = [], 0
    async for chunk in http.content.iter_any():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise too_large(BODY_LIMIT)
        chunks.append(chunk)
    return b"".join(chunks)
