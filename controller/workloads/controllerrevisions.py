"""ControllerRevisions: earlier templates of DaemonSets and StatefulSets, for `kubectl rollout history` and `undo`."""

from typing import Any

import orjson

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import CONTROLLER_REVISION
from controller.api.status import Object
from controller.api.store import Key
from controller.workloads import ownership, revisions
from controller.workloads.daemons import HASH_LABEL
from controller.workloads.ownerindex import OwnerIndex

RevisionIndex = OwnerIndex[Object]


def _template(revision: Object) -> bytes:
    data: Any = revision.get("data") or {}
    template = {key: value for key, value in data["spec"]["template"].items() if key != "$patch"}
    return revisions.canonical(template)


def template_of(known: RevisionIndex, owner: Object, digest: str) -> Object:
    """The template with this hash; the present one where its revision is gone."""
    for one in known.owned(owner["metadata"]["uid"]).values():
        if one["metadata"]["labels"].get(HASH_LABEL) == digest:
            template: Object = one["data"]["spec"]["template"]
            return {key: value for key, value in template.items() if key != "$patch"}
    present: Object = owner["spec"]["template"]
    return present


def ensure(objects: Objects, known: RevisionIndex, owner: Object) -> str:
    """The hash of the present template; its revision exists afterwards and is the newest."""
    metadata, template = owner["metadata"], owner["spec"]["template"]
    owned = sorted(known.owned(metadata["uid"]).values(), key=lambda one: int(one["revision"]))
    wanted = revisions.canonical(template)
    newest = int(owned[-1]["revision"]) if owned else 0
    found = next((one for one in owned if _template(one) == wanted), None)
    if found is None:
        return _create(objects, owner, wanted, newest + 1)
    if int(found["revision"]) != newest:
        stored = objects.get(CONTROLLER_REVISION, metadata["namespace"], found["metadata"]["name"])
        objects.update(CONTROLLER_REVISION, stored, {**stored.copy(), "revision": newest + 1})
    return str(found["metadata"]["labels"][HASH_LABEL])


def _create(objects: Objects, owner: Object, wanted: bytes, number: int) -> str:
    metadata, template = owner["metadata"], owner["spec"]["template"]
    collisions = 0
    while True:
        digest = revisions.template_hash(wanted, collisions)
        name = f"{metadata['name']}-{digest}"
        if objects.store.get(CONTROLLER_REVISION.key, metadata["namespace"], name) is None:
            break
        collisions += 1
    copied: Any = orjson.loads(orjson.dumps(template))
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    about = {"name": name, "labels": labels, "ownerReferences": [ownership.reference(owner)]}
    if annotations := metadata.get("annotations"):
        hidden = revisions.LAST_APPLIED
        about["annotations"] = {key: value for key, value in annotations.items() if key != hidden}
    data = {"spec": {"template": {**copied, "$patch": "replace"}}}
    objects.create(CONTROLLER_REVISION, metadata["namespace"], {"metadata": about, "data": data, "revision": number})
    return digest


def clean(objects: Objects, known: RevisionIndex, owner: Object, used: set[str], limit: int) -> None:
    """Delete the oldest revisions beyond the limit that no pod has and that are not the newest."""
    owned: list[tuple[Key, Object]] = list(known.owned(owner["metadata"]["uid"]).items())
    owned.sort(key=lambda entry: int(entry[1]["revision"]))
    idle = [key for key, one in owned[:-1] if one["metadata"]["labels"].get(HASH_LABEL) not in used]
    for namespace, name in idle[: max(0, len(idle) - limit)]:
        objects.delete(CONTROLLER_REVISION, namespace, name, DeleteOptions())
