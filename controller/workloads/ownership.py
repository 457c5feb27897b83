"""Owner references of controllers: taking and releasing objects, and pods made from a template."""

from typing import Any, Final

import orjson

from controller.api import validation
from controller.api.objects import Objects
from controller.api.registry import POD, Kind
from controller.api.status import Object
from controller.api.store import Key, Stored

_PREFIX_LIMIT: Final = 253


def reference(owner: Object) -> Object:
    """The owner reference of a controller to this object."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def adopt(objects: Objects, kind: Kind, key: Key, owner: Object) -> None:
    """Make `owner` the controller of an object that has none."""
    stored = objects.get(kind, *key)
    new = stored.copy()
    owners = new["metadata"].get("ownerReferences") or []
    new["metadata"]["ownerReferences"] = [*owners, reference(owner)]
    objects.update(kind, stored, new)


def release(objects: Objects, kind: Kind, key: Key, uid: str) -> None:
    """Take the controller with this uid from an object."""
    stored = objects.get(kind, *key)
    new = stored.copy()
    owners = [owner for owner in new["metadata"].get("ownerReferences") or () if owner["uid"] != uid]
    new["metadata"]["ownerReferences"] = owners
    if not owners:
        del new["metadata"]["ownerReferences"]
    objects.update(kind, stored, new)


def pod_from(template: Object, owner: Object, **labels: str) -> Object:
    """A new pod by a template, controlled by `owner`, with these labels more."""
    copied: Any = orjson.loads(orjson.dumps(template))
    given = copied.get("metadata") or {}
    name = owner["metadata"]["name"]
    # Where name and dash would be no valid prefix, the name alone is.
    prefix = f"{name}-" if not validation.subdomain(f"{name}-x"[:_PREFIX_LIMIT]) else name
    metadata: Object = {"generateName": prefix, "ownerReferences": [reference(owner)]}
    for key in ("labels", "annotations", "finalizers"):
        if given.get(key):
            metadata[key] = given[key]
    if labels:
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    return {"metadata": metadata, "spec": copied["spec"]}


def create_pod(objects: Objects, template: Object, owner: Object, **labels: str) -> Stored:
    """Create a pod by a template, controlled by `owner`."""
    return objects.create(POD, owner["metadata"]["namespace"], pod_from(template, owner, **labels))
