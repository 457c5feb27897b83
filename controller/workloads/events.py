"""Events about objects, as people read them in `kubectl describe`; the same event again only counts up."""

import hashlib
from typing import Literal

from controller.api import times
from controller.api.objects import Objects
from controller.api.registry import EVENT, NAMESPACE
from controller.api.status import Object


def record(
    objects: Objects,
    about: Object,
    reason: str,
    message: str,
    *,
    component: str,
    kind: Literal["Normal", "Warning"],
    same: str = "",
) -> None:
    """Write an event about a namespaced object, or count up the one that says the same.

    `same`: what makes it the same event, where that is not its message. A namespace that is being deleted takes no new
    events: nothing is written there.
    """
    metadata = about["metadata"]
    namespace = metadata["namespace"]
    home = objects.store.get(NAMESPACE.key, "", namespace)
    if home is None or home.object["metadata"].get("deletionTimestamp"):
        return
    told = hashlib.sha256(f"{metadata['uid']}/{reason}/{same or message}".encode()).hexdigest()[:16]
    name = f"{metadata['name'][:200]}.{told}"
    now = times.now()
    old = objects.store.get(EVENT.key, namespace, name)
    if old is not None:
        again = old.copy()
        again["count"] = again.get("count", 1) + 1
        again["lastTimestamp"] = now
        again["message"] = message
        objects.update(EVENT, old, again)
        return
    involved = {"apiVersion": about["apiVersion"], "kind": about["kind"], "namespace": namespace}
    involved |= {key: metadata[key] for key in ("name", "uid", "resourceVersion") if key in metadata}
    event: Object = {
        "metadata": {"name": name},
        "involvedObject": involved,
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    objects.create(EVENT, namespace, event)
