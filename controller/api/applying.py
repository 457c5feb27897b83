"""A server-side apply request (`application/apply-patch+yaml`): checks, and the object that comes of it."""

from controller.api.managed.managers import APPLY, Manager, apply
from controller.api.managed.typed import type_of
from controller.api.request import Request
from controller.api.status import MODIFIED, Cause, Object, bad_request, conflict, invalid


def applied(request: Request, live: Object | None, wanted: Object) -> Object:
    """The new version with its managedFields; `live` is None when the object does not exist yet."""
    target, kind = request.target, request.target.kind
    name = request.query.get("fieldManager", "")
    if not name:
        cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    metadata = wanted.setdefault("metadata", {})
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    for field, value in (("apiVersion", kind.group_version), ("kind", kind.kind)):
        if not wanted.get(field):
            raise bad_request(f"{field} must be set in an apply patch")
        if wanted[field] != value:
            raise bad_request(f"{field} in the patch is {wanted[field]!r}, on the URL {value!r}")
    if metadata.setdefault("name", target.name) != target.name:
        why = f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        raise bad_request(why)
    if live is None and metadata.get("uid"):
        why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: "
        raise conflict(kind.group, kind.plural, target.name, why)
    version = metadata.pop("resourceVersion", None)
    if version not in (None, "", "0", (live or {}).get("metadata", {}).get("resourceVersion")):
        raise conflict(kind.group, kind.plural, target.name, MODIFIED)
    manager = Manager(name, APPLY, kind.group_version, target.subresource)
    schema = type_of(kind.schema)
    return apply(live, wanted, schema, manager, force=request.flag("force"), has_status=kind.has_status)
