"""EndpointSlices, Endpoints and mirrors in the store, as Services, pods and nodes come, change and go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import ENDPOINT_SLICE, ENDPOINTS, EVENT, NAMESPACE, NODE, POD, SERVICE, Kind
from controller.api.store import Change, Store
from controller.workloads.endpoints import place, pod_facts, service_facts
from controller.workloads.garbage import Garbage
from controller.workloads.namespaces import ensure_defaults
from controller.workloads.servicecycles import ServiceCycles

SELECTOR = {"app": "a"}
HTTP = [{"name": "http", "port": 80, "targetPort": "http"}]
MANAGED = "endpointslice.kubernetes.io/managed-by"
SELECTED, MIRRORED = "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"


class World:
    """A store with the cycles on it, and short ways to change and read it."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.writes: list[tuple[str, str]] = []
        objects.store.listen(ENDPOINT_SLICE.key, self._written)

    def _written(self, change: Change) -> None:
        self.writes.append((change.type, change.key[1]))

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def old_endpoints(self, name: str = "a", *, gone: bool = False) -> Any:
        """The subsets, once they are written, as they are written a moment later."""
        await asyncio.sleep(0.15)
        await self.settle()
        stored = self.objects.store.get(ENDPOINTS.key, "default", name)
        assert (stored is None) is gone
        return None if stored is None else stored.object.get("subsets")

    async def create(self, kind: Kind, name: str, **fields: Any) -> None:
        namespace = "default" if kind.namespaced else ""
        metadata = {"name": name, **fields.pop("metadata", {})}
        self.objects.create(kind, namespace, {"metadata": metadata, **fields})
        await self.settle()

    async def service(self, name: str = "a", **spec: Any) -> None:
        given_spec = {"selector": dict(SELECTOR), "ports": [dict(port) for port in HTTP], **spec}
        await self.create(SERVICE, name, spec={key: value for key, value in given_spec.items() if value is not None})

    async def pod(self, name: str, address: str = "", *, port: int = 8080, ready: bool = True, **metadata: Any) -> None:
        containers = [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": port}]}]
        metadata.setdefault("labels", SELECTOR)
        await self.create(POD, name, metadata=metadata, spec={"nodeName": "n1", "containers": containers})
        await self.status(name, address, ready=ready)

    async def status(self, name: str, address: str, *, ready: bool = True, phase: str = "Running") -> None:
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        status = {"phase": phase, "conditions": conditions} | ({"podIP": address} if address else {})
        await self.change(POD, name, lambda obj: obj.update(status=status), subresource="status")

    async def change(self, kind: Kind, name: str, edit: Callable[[Any], None], *, subresource: str = "") -> None:
        stored = self.objects.get(kind, "default" if kind.namespaced else "", name)
        new = stored.copy()
        edit(new)
        self.objects.update(kind, stored, new, subresource=subresource)
        await self.settle()

    async def delete(self, kind: Kind, name: str, grace: int = 0) -> None:
        self.objects.delete(kind, "default" if kind.namespaced else "", name, DeleteOptions(grace_period=grace))
        await self.settle()

    def slices(self, service: str = "a", manager: str = SELECTED) -> list[Any]:
        wanted = {"kubernetes.io/service-name": service, MANAGED: manager}
        found = [stored.object for stored in self.objects.store.select(ENDPOINT_SLICE.key)]
        return [obj for obj in found if wanted.items() <= (obj["metadata"].get("labels") or {}).items()]

    def addresses(self, service: str = "a", manager: str = SELECTED) -> list[list[str]]:
        return [[p["addresses"][0] for p in obj["endpoints"]] for obj in self.slices(service, manager)]


def run(steps: Callable[[World], Awaitable[None]], store: Store | None = None) -> None:
    async def main() -> None:
        objects = Objects(store or Store())
        ensure_defaults(objects)
        cycles = (ServiceCycles(objects), Garbage(objects))
        await steps(World(objects))
        for cycle in cycles:
            cycle.close()

    asyncio.run(main())


def test_a_service_s_life() -> None:
    """No pods: one slice without endpoints; pods come, get ready, terminate, go; with the Service all of it goes."""

    async def steps(world: World) -> None:
        await world.create(NODE, "n1", metadata={"labels": {"topology.kubernetes.io/zone": "east"}})
        await world.service()
        (empty,) = world.slices()
        assert (empty["endpoints"], empty["ports"]) == ([], [])
        assert await world.old_endpoints() is None
        await world.pod("p", ready=False)
        assert world.addresses() == [[]]
        await world.status("p", "10.244.1.2", ready=False)
        (one,) = world.slices()
        assert one["metadata"]["name"] == empty["metadata"]["name"]
        assert one["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        assert one["endpoints"] == [
            {
                "addresses": ["10.244.1.2"],
                "conditions": {"ready": False, "serving": False, "terminating": False},
                "nodeName": "n1",
                "zone": "east",
                "targetRef": {
                    "kind": "Pod",
                    "namespace": "default",
                    "name": "p",
                    "uid": world.objects.get(POD, "default", "p").object["metadata"]["uid"],
                },
            }
        ]
        await world.status("p", "10.244.1.2")
        (subset,) = await world.old_endpoints()
        assert [entry["ip"] for entry in subset["addresses"]] == ["10.244.1.2"]
        await world.delete(POD, "p", grace=30)
        assert world.slices()[0]["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
        await world.delete(POD, "p")
        assert world.addresses() == [[]]
        assert await world.old_endpoints() is None
        await world.delete(SERVICE, "a")
        assert world.slices() == []
        await world.old_endpoints(gone=True)

    run(steps)


def test_changes_write_little() -> None:
    """A pod's change writes one slice; a status of a pod that means nothing to the Service writes none."""

    async def steps(world: World) -> None:
        await world.service()
        await world.service("other", selector={"app": "b"})
        for number in range(3):
            await world.pod(f"p{number}", f"10.244.1.{number + 2}")
        (entry,) = world.slices()
        world.writes.clear()
        await world.status("p1", "10.244.1.3", ready=False)
        assert world.writes == [("MODIFIED", entry["metadata"]["name"])]
        await world.change(POD, "p1", lambda obj: obj["status"].update(message="x"), subresource="status")
        await world.change(SERVICE, "a", lambda obj: obj["spec"].update(sessionAffinity="ClientIP"))
        assert len(world.writes) == 1
        await world.change(POD, "p1", lambda obj: obj["metadata"].update(labels={"app": "b"}))
        assert (world.addresses(), world.addresses("other")) == ([["10.244.1.2", "10.244.1.4"]], [["10.244.1.3"]])
        assert len(world.writes) == 3

    run(steps)


def test_ports_by_name_separate_slices() -> None:
    """Pods that give a port's name different numbers are in different slices."""

    async def steps(world: World) -> None:
        await world.service()
        await world.pod("p", "10.244.1.2")
        await world.pod("q", "10.244.1.3", port=9090)
        found = {obj["ports"][0]["port"]: obj["endpoints"][0]["addresses"][0] for obj in world.slices()}
        assert found == {8080: "10.244.1.2", 9090: "10.244.1.3"}
        await world.change(SERVICE, "a", lambda obj: obj["spec"]["ports"][0].update(targetPort=7))
        (one,) = [obj for obj in world.slices() if len(obj["endpoints"]) == 2] or world.slices()[:1]
        assert {port["port"] for obj in world.slices() for port in obj["ports"]} == {7}
        assert one["ports"] == [{"name": "http", "port": 7, "protocol": "TCP"}]

    run(steps)


def test_labels_weights_and_zones_follow() -> None:
    """The Service's labels, the headless label, pods' weights and nodes' zones are in the slices."""

    async def steps(world: World) -> None:
        await world.service(clusterIP="None")
        await world.pod("p", "10.244.1.2", annotations={"kubinet.dev/weight": "7"})
        await world.pod("q", "10.244.1.3", annotations={"kubinet.dev/weight": "heavy"})
        await world.change(SERVICE, "a", lambda obj: obj["metadata"].update(labels={"team": "x"}))
        await world.create(NODE, "n1", metadata={"labels": {"topology.kubernetes.io/zone": "west"}})
        (entry,) = world.slices()
        labels = entry["metadata"]["labels"]
        assert (labels["team"], labels["service.kubernetes.io/headless"]) == ("x", "")
        assert entry["metadata"]["annotations"] == {"kubinet.dev/weights": '{"10.244.1.2":7}'}
        assert {point["zone"] for point in entry["endpoints"]} == {"west"}
        event = world.objects.store.select(EVENT.key)[0].object
        text = "Pod q: annotation kubinet.dev/weight 'heavy' is no integer from 0 to 1000: the pod counts as 1"
        assert (event["type"], event["reason"], event["message"]) == ("Warning", "InvalidWeight", text)
        assert event["involvedObject"]["name"] == "a"

    run(steps)


def test_what_others_did_to_a_slice_is_repaired() -> None:
    """An edited slice is written back, a deleted one is made again; slices made by hand are left alone."""

    async def steps(world: World) -> None:
        await world.service()
        await world.pod("p", "10.244.1.2")
        name = world.slices()[0]["metadata"]["name"]
        await world.change(ENDPOINT_SLICE, name, lambda obj: obj.update(endpoints=[]))
        assert world.addresses() == [["10.244.1.2"]]
        await world.delete(ENDPOINT_SLICE, name)
        assert world.addresses() == [["10.244.1.2"]]
        by_hand = {"addressType": "IPv4", "endpoints": [{"addresses": ["10.244.1.9"]}], "ports": []}
        await world.create(ENDPOINT_SLICE, "mine", metadata={"labels": {"kubernetes.io/service-name": "a"}}, **by_hand)
        await world.status("p", "10.244.1.2", ready=False)
        assert world.objects.get(ENDPOINT_SLICE, "default", "mine").object["endpoints"] == by_hand["endpoints"]

    run(steps)


def test_services_that_stop_selecting() -> None:
    """ExternalName and a removed selector have no managed slices; Endpoints of the latter stay and are mirrored."""

    async def steps(world: World) -> None:
        for name in "ab":
            await world.service(name)
        await world.pod("p", "10.244.1.2")
        await world.old_endpoints()
        external = {"type": "ExternalName", "externalName": "x.example"}
        await world.change(SERVICE, "a", lambda obj: obj["spec"].update(external))
        assert world.slices("a") == []
        await world.old_endpoints("a", gone=True)
        await world.change(SERVICE, "b", lambda obj: obj["spec"].pop("selector"))
        assert world.slices("b") == []
        assert world.addresses("b", MIRRORED) == [["10.244.1.2"]]

    run(steps)


def test_hand_made_endpoints_are_mirrored() -> None:
    """Endpoints of a Service without selector: mirrored, followed, and gone with them; skipped ones are not."""

    async def steps(world: World) -> None:
        first = {
            "addresses": [{"ip": "192.0.2.1"}],
            "notReadyAddresses": [{"ip": "192.0.2.2"}],
            "ports": [{"port": 80}],
        }
        second = {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 81, "name": "x"}]}
        await world.create(ENDPOINTS, "a", metadata={"labels": {"team": "x"}}, subsets=[first, second])
        assert world.slices("a", MIRRORED) == []
        await world.service(selector=None)
        found = {
            (obj["ports"][0]["port"], point["addresses"][0], point["conditions"]["ready"])
            for obj in world.slices("a", MIRRORED)
            for point in obj["endpoints"]
        }
        assert found == {(80, "192.0.2.1", True), (80, "192.0.2.2", False), (81, "192.0.2.1", True)}
        metadata = world.slices("a", MIRRORED)[0]["metadata"]
        assert metadata["labels"]["team"] == "x"
        assert [(owner["kind"], owner["name"]) for owner in metadata["ownerReferences"]] == [("Endpoints", "a")]
        await world.change(ENDPOINTS, "a", lambda obj: obj.update(subsets=[second]))
        assert world.addresses("a", MIRRORED) == [["192.0.2.1"]]
        skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        await world.change(ENDPOINTS, "a", lambda obj: obj["metadata"].update(labels=skip))
        assert world.slices("a", MIRRORED) == []
        await world.change(ENDPOINTS, "a", lambda obj: obj["metadata"].pop("labels"))
        assert world.addresses("a", MIRRORED) == [["192.0.2.1"]]
        await world.delete(ENDPOINTS, "a")
        assert world.slices("a", MIRRORED) == []

    run(steps)


def test_a_restart_changes_nothing() -> None:
    """A new controller on the same store writes nothing, and deletes slices of Services that went meanwhile."""
    store = Store()
    versions = []

    async def first(world: World) -> None:
        await world.service()
        await world.service("b", selector=None)
        await world.create(ENDPOINTS, "b", subsets=[{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}])
        await world.pod("p", "10.244.1.2", annotations={"kubinet.dev/weight": "7"})
        await world.old_endpoints()
        versions.append(world.objects.store.version)

    async def second(world: World) -> None:
        await world.old_endpoints()
        versions.append(world.objects.store.version)

    async def third(world: World) -> None:
        await world.settle()
        assert world.slices() == []

    run(first, store)
    run(second, store)
    assert versions[0] == versions[1]
    store.remove(SERVICE.key, "default", "a")
    run(third, store)


def test_statuses_that_make_no_endpoint() -> None:
    """A pod whose address is none, of another family or special is left out, and others are not held up."""

    async def steps(world: World) -> None:
        await world.service()
        for number, address in enumerate(("x", "2001:db8::1", "127.0.0.1", "10.244.1.2")):
            await world.pod(f"p{number}", address)
        assert world.addresses() == [["10.244.1.2"]]

    run(steps)


def test_a_namespace_that_goes() -> None:
    """Pods that change in a namespace that is being deleted do not make the controller write there, or fail."""

    async def steps(world: World) -> None:
        await world.service()
        await world.change(NAMESPACE, "default", lambda obj: obj["metadata"].update(finalizers=["example.com/wait"]))
        stored = world.objects.get(NAMESPACE, "", "default").copy()
        stored["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        world.objects.store.put(NAMESPACE.key, stored)
        (entry,) = world.slices()
        await world.delete(ENDPOINT_SLICE, entry["metadata"]["name"])
        assert world.slices() == []
        await world.old_endpoints(gone=True)

    run(steps)


_NAMES = st.sampled_from([f"p{number}" for number in range(8)])
_CHURN = st.lists(
    st.tuples(
        st.sampled_from(["pod", "pod", "pod", "delete", "terminate", "service", "zone", "restart"]),
        _NAMES,
        st.booleans(),
        st.sampled_from([8080, 9090]),
        st.sampled_from(["a", "b"]),
    ),
    min_size=12,
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(_CHURN)
def test_slices_are_what_pods_and_services_say(steps: list[tuple[str, str, bool, int, str]]) -> None:
    """After any churn of pods, Services, labels and zones the slices' union is the pure expectation."""

    async def main() -> None:
        objects = Objects(Store())
        ensure_defaults(objects)
        cycles = ServiceCycles(objects)
        world = World(objects)
        await world.create(NODE, "n1")
        await world.service("a")
        await world.service("b", selector={"app": "b"}, trafficDistribution="PreferSameNode")
        for number, (action, name, ready, port, app) in enumerate(steps):
            exists = objects.store.get(POD.key, "default", name) is not None
            world.writes.clear()
            if action == "pod" and not exists:
                await world.pod(name, f"10.244.1.{number + 2}", port=port, ready=ready, labels={"app": app})
            elif action == "pod":
                await world.change(POD, name, lambda obj, app=app: obj["metadata"].update(labels={"app": app}))
                assert len(world.writes) <= 4  # two Services: each at most two
                await world.status(name, f"10.244.1.{number + 2}", ready=ready)
            elif action in ("delete", "terminate") and exists:
                await world.delete(POD, name, grace=0 if action == "delete" else 30)
                assert len(world.writes) <= 2
            elif action == "service":
                target = [{"name": "http", "port": 80, "targetPort": "http" if ready else port}]
                change = {"ports": target, "publishNotReadyAddresses": ready}
                await world.change(SERVICE, app, lambda obj, change=change: obj["spec"].update(change))
            elif action == "zone":
                labels = {"topology.kubernetes.io/zone": name} if ready else {}
                await world.change(NODE, "n1", lambda obj, labels=labels: obj["metadata"].update(labels=labels))
            elif action == "restart":
                cycles.close()
                objects.allocate.clear()
                cycles = ServiceCycles(objects)
                await world.settle()
            for service in "ab":
                _compare(world, service)
        cycles.close()

    asyncio.run(main())


def _compare(world: World, name: str) -> None:
    service = service_facts(world.objects.get(SERVICE, "default", name).object)
    assert service is not None
    labels = world.objects.get(NODE, "", "n1").object["metadata"].get("labels") or {}
    zones = {"n1": labels.get("topology.kubernetes.io/zone", "")}
    pods = [pod_facts(stored.object) for stored in world.objects.store.select(POD.key)]
    placed = [place(service, pod, zones) for pod in pods if service.selects(pod)]
    wanted = set()
    for entry in placed:
        if entry is not None:
            point = entry.endpoint
            facts = (point.address, point.ready, point.terminating, point.zone, point.hint_node)
            wanted.add((*facts, tuple(port.number for port in entry.ports)))
    found = set()
    for obj in world.slices(name):
        for made in obj["endpoints"]:
            conditions, hints = made["conditions"], (made.get("hints") or {}).get("forNodes") or [{"name": ""}]
            facts = (made["addresses"][0], conditions["ready"], conditions["terminating"], made.get("zone", ""))
            found.add((*facts, hints[0]["name"], tuple(port["port"] for port in obj["ports"])))
    assert found == wanted
