"""What writing an object means: metadata, conflicts, no-ops, deletion, garbage, namespaces."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import NAMESPACE, POD, by_path
from controller.api.status import StatusError
from controller.api.store import Store
from controller.workloads.garbage import Garbage
from controller.workloads.namespaces import Namespaces, ensure_defaults

CONFIG_MAP = by_path("", "v1", "configmaps")
POLICY = by_path("networking.k8s.io", "v1", "networkpolicies")
assert CONFIG_MAP is not None
assert POLICY is not None


@pytest.fixture
def objects() -> Objects:
    made = Objects(Store())
    ensure_defaults(made)
    return made


def _map(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more}, "data": {"k": "v"}}


def _pod(name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec}}


def test_create_fills_metadata(objects: Objects) -> None:
    """A created object has uid, creation time, namespace and version; what the client sent of these is ignored."""
    stored = objects.create(CONFIG_MAP, "default", _map(uid="mine", generation=7))
    metadata = stored.object["metadata"]
    assert set(metadata) == {"name", "namespace", "uid", "creationTimestamp", "resourceVersion"}
    assert metadata["uid"] != "mine"
    assert metadata["resourceVersion"] == str(objects.store.version)


@pytest.mark.parametrize(
    ("obj", "namespace", "code", "text"),
    [
        (_map(), "absent", 404, 'namespaces "absent" not found'),
        (_map("Bad_Name"), "default", 422, "a lowercase RFC 1123 subdomain must consist of"),
        (_map(namespace="other"), "default", 400, "does not match the namespace sent on the request"),
        (_map(resourceVersion="4"), "default", 400, "resourceVersion should not be set on objects to be created"),
        ({"data": {}}, "default", 422, "metadata.name: Required value: name or generateName is required"),
        ({**_map(), "kind": "Pod"}, "default", 400, "the kind in the data (Pod) does not match the expected kind"),
        (_map(labels={"a b": "c"}), "default", 422, 'metadata.labels: Invalid value: "a b"'),
    ],
)
def test_refused_creates(objects: Objects, obj: dict[str, Any], namespace: str, code: int, text: str) -> None:
    """A wrong create is refused in upstream's words."""
    with pytest.raises(StatusError) as caught:
        objects.create(CONFIG_MAP, namespace, obj)
    assert caught.value.code == code
    assert text in caught.value.message


def test_second_create_conflicts(objects: Objects) -> None:
    """A taken name is 409 AlreadyExists; generateName finds a free one."""
    objects.create(CONFIG_MAP, "default", _map())
    with pytest.raises(StatusError, match='configmaps "a" already exists'):
        objects.create(CONFIG_MAP, "default", _map())
    named = objects.create(CONFIG_MAP, "default", {"metadata": {"generateName": "g-"}}).object["metadata"]["name"]
    assert (named[:2], len(named)) == ("g-", 7)


def test_updates(objects: Objects) -> None:
    """A stale version conflicts, a version without a difference changes nothing, dryRun stores nothing."""
    first = objects.create(CONFIG_MAP, "default", _map())
    same = objects.update(CONFIG_MAP, first, first.copy())
    assert same is first
    changed = first.copy()
    changed["data"] = {"k": "w"}
    assert objects.update(CONFIG_MAP, first, dict(changed), dry_run=True).object["data"] == {"k": "w"}
    assert objects.get(CONFIG_MAP, "default", "a") is first
    second = objects.update(CONFIG_MAP, first, changed)
    assert second.version == first.version + 1
    stale = first.copy()
    stale["data"] = {"k": "x"}
    with pytest.raises(StatusError, match="the object has been modified"):
        objects.update(CONFIG_MAP, second, stale)


def test_generation_counts_spec_changes(objects: Objects) -> None:
    """metadata.generation grows with the spec, not with labels."""
    first = objects.create(POLICY, "default", {"metadata": {"name": "p"}, "spec": {"podSelector": {}}})
    labelled = first.copy()
    labelled["metadata"]["labels"] = {"a": "b"}
    second = objects.update(POLICY, first, labelled)
    changed = second.copy()
    changed["spec"]["policyTypes"] = ["Egress"]
    third = objects.update(POLICY, second, changed)
    assert [s.object["metadata"]["generation"] for s in (first, second, third)] == [1, 1, 2]


def test_status_and_spec_are_written_apart(objects: Objects) -> None:
    """The object's path leaves the status alone, `/status` leaves the spec alone."""
    first = objects.create(POD, "default", {**_pod(), "status": {"phase": "Running"}})
    assert first.object["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    both = first.copy()
    both["metadata"]["labels"] = {"a": "b"}
    both["status"]["phase"] = "Failed"
    assert objects.update(POD, first, both).object["status"]["phase"] == "Pending"
    now = objects.get(POD, "default", "a")
    status = now.copy()
    status["status"]["phase"] = "Running"
    status["spec"]["nodeName"] = "n1"
    written = objects.update(POD, now, status, subresource="status").object
    assert (written["status"]["phase"], written["spec"].get("nodeName")) == ("Running", None)


def test_a_pods_spec_is_frozen(objects: Objects) -> None:
    """Only images may change in a pod's spec."""
    first = objects.create(POD, "default", _pod())
    image = first.copy()
    image["spec"]["containers"][0]["image"] = "nginx"
    second = objects.update(POD, first, image)
    command = second.copy()
    command["spec"]["containers"][0]["command"] = ["x"]
    with pytest.raises(StatusError, match="pod updates may not change fields other than"):
        objects.update(POD, second, command)


def test_graceful_deletion(objects: Objects) -> None:
    """A bound pod is marked first and goes with grace 0; the grace only shortens; an unbound pod goes at once."""
    objects.create(POD, "default", _pod("unbound"))
    assert objects.delete(POD, "default", "unbound", DeleteOptions())[1] is True
    objects.create(POD, "default", _pod(nodeName="n1"))
    marked, gone = objects.delete(POD, "default", "a", DeleteOptions())
    assert (gone, marked.object["metadata"]["deletionGracePeriodSeconds"]) == (False, 30)
    again, _ = objects.delete(POD, "default", "a", DeleteOptions(grace_period=60))
    assert again.version == marked.version
    shorter, _ = objects.delete(POD, "default", "a", DeleteOptions(grace_period=5))
    assert shorter.object["metadata"]["deletionGracePeriodSeconds"] == 5
    with pytest.raises(StatusError, match="Precondition failed: UID in precondition: other"):
        objects.delete(POD, "default", "a", DeleteOptions(uid="other"))
    assert objects.delete(POD, "default", "a", DeleteOptions(grace_period=0))[1] is True
    with pytest.raises(StatusError, match='pods "a" not found'):
        objects.get(POD, "default", "a")


def test_finalizers_hold_an_object(objects: Objects) -> None:
    """An object with a finalizer lives on until the finalizer is removed; none can be added meanwhile."""
    objects.create(CONFIG_MAP, "default", _map(finalizers=["kubinet.dev/wait"]))
    marked, gone = objects.delete(CONFIG_MAP, "default", "a", DeleteOptions())
    assert (gone, "deletionTimestamp" in marked.object["metadata"]) == (False, True)
    more = marked.copy()
    more["metadata"]["finalizers"].append("kubinet.dev/more")
    with pytest.raises(StatusError, match="no new finalizers can be added"):
        objects.update(CONFIG_MAP, marked, more)
    less = marked.copy()
    less["metadata"]["finalizers"] = []
    objects.update(CONFIG_MAP, marked, less)
    assert objects.store.get(CONFIG_MAP.key, "default", "a") is None


def _in_loop(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))  # type: ignore[arg-type]


async def _until(fact: Callable[[], bool]) -> None:
    for _ in range(1000):
        if fact():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the fact did not come true")


def test_a_namespace_ends_when_it_is_empty(objects: Objects) -> None:
    """Deleting a namespace shows Terminating, refuses new contents, deletes the old ones, then removes it."""

    async def scenario() -> None:
        cycle = Namespaces(objects, grace=0.05)
        objects.create(NAMESPACE, "", {"metadata": {"name": "x"}})
        objects.create(CONFIG_MAP, "x", _map())
        objects.create(POD, "x", _pod(nodeName="n1"))
        marked, gone = objects.delete(NAMESPACE, "", "x", DeleteOptions())
        assert (gone, marked.object["status"]["phase"]) == (False, "Terminating")
        with pytest.raises(StatusError, match="because it is being terminated"):
            objects.create(CONFIG_MAP, "x", _map("late"))
        await _until(lambda: objects.store.get(CONFIG_MAP.key, "x", "a") is None)
        assert "deletionTimestamp" in objects.get(POD, "x", "a").object["metadata"]
        objects.delete(POD, "x", "a", DeleteOptions(grace_period=0))
        await _until(lambda: objects.store.get(NAMESPACE.key, "", "x") is None)
        cycle.close()

    _in_loop(scenario)


def test_protected_namespaces(objects: Objects) -> None:
    """The default namespaces cannot be deleted."""
    with pytest.raises(StatusError, match="this namespace may not be deleted"):
        objects.delete(NAMESPACE, "", "default", DeleteOptions())


def _owned(objects: Objects, name: str, owner: dict[str, Any]) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["name"], "uid": owner["uid"]}
    objects.create(CONFIG_MAP, "default", _map(name, ownerReferences=[{**reference, "blockOwnerDeletion": True}]))


@pytest.mark.parametrize(
    ("propagation", "left"), [("", []), ("Background", []), ("Foreground", []), ("Orphan", ["child"])]
)
def test_garbage_collection(objects: Objects, propagation: str, left: list[str]) -> None:
    """Dependents follow their owner, before it (Foreground) or after it, and stay when orphaned."""

    async def scenario() -> None:
        cycle = Garbage(objects)
        owner = objects.create(CONFIG_MAP, "default", _map("owner")).object["metadata"]
        _owned(objects, "child", owner)
        _, gone = objects.delete(CONFIG_MAP, "default", "owner", DeleteOptions(propagation=propagation))
        assert gone is (propagation in ("", "Background"))
        await _until(lambda: [s.object["metadata"]["name"] for s in objects.store.select(CONFIG_MAP.key)] == left)
        cycle.close()

    _in_loop(scenario)
