"""What a Service's owner is told of its selector and its target ports."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from controller.api.objects import Objects
from controller.api.registry import EVENT, POD, SERVICE
from controller.api.store import Store
from controller.workloads.endpoints import PodFacts, ServiceFacts, pod_facts, service_facts
from controller.workloads.namespaces import ensure_defaults
from controller.workloads.selecting import Selection
from controller.workloads.selectionnews import SelectionNews

KEY = ("default", "web")
PORTS = [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81, "targetPort": 8081}]
Told = list[tuple[str, str, str]]


class World:
    """One Service, and pods as they are given."""

    def __init__(self) -> None:
        self.objects = Objects(Store())
        ensure_defaults(self.objects)
        self.selection = Selection()
        self.news = SelectionNews(self.objects, self.selection, "test", patience=0)

    def service(self, **spec: Any) -> ServiceFacts:
        body = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web", "tier": "x"}, "ports": PORTS, **spec}}
        facts = service_facts(self.objects.create(SERVICE, "default", body).object)
        assert facts is not None
        self.selection.put_service(KEY, facts)
        return facts

    def pod(self, name: str, port: str, *, protocol: str = "TCP") -> PodFacts:
        ports = [{"name": port, "containerPort": 8080, "protocol": protocol}]
        spec = {"containers": [{"name": "c", "image": "i", "ports": ports}]}
        body = {"metadata": {"name": name, "labels": {"app": "web", "tier": "x"}}, "spec": spec}
        made = self.objects.create(POD, "default", body).object
        facts = pod_facts({**made, "status": {"podIP": "10.244.1.2"}})
        self.selection.put_pod(("default", name), facts)
        return facts

    def told(self) -> Told:
        events = [stored.object for stored in self.objects.store.select(EVENT.key)]
        return [(event["type"], event["reason"], event["message"]) for event in events]


def _run(steps: Callable[[World], Awaitable[None]]) -> Told:
    async def whole() -> Told:
        world = World()
        await steps(world)
        await asyncio.sleep(0.01)
        return world.told()

    return asyncio.run(whole())


def test_a_target_port_that_pods_have_not_is_told_once() -> None:
    """By name and protocol, with the first pod's name; numbers and names that the pod has are silent."""

    async def steps(world: World) -> None:
        service = world.service()
        world.news.pod(KEY, service, world.pod("good", "http"))
        world.news.pod(KEY, service, world.pod("udp", "http", protocol="UDP"))
        world.news.pod(KEY, service, world.pod("other", "web"))

    message = (
        "port 80: no TCP port of Pod udp's containers has the name 'http' (targetPort): the pod gets no connections "
        "there"
    )
    assert _run(steps) == [("Warning", "NoTargetPort", message)]


def test_a_selector_that_matches_nothing_is_told() -> None:
    """When it has stayed so; what that means depends on whether the Service has an address."""

    async def steps(world: World) -> None:
        world.service()
        world.news.selected(KEY, nobody=True)

    async def without_address(world: World) -> None:
        world.service(clusterIP="None")
        world.news.selected(KEY, nobody=True)

    text = "no pod has the labels app=web,tier=x:"
    assert _run(steps) == [("Normal", "NoPods", f"{text} connections are refused until one has")]
    assert _run(without_address) == [("Normal", "NoPods", f"{text} its name does not exist until one has")]


def test_an_external_name_that_is_an_address_is_told() -> None:
    """With what to use instead; a name is no news."""

    async def steps(world: World) -> None:
        for name, external in (("web", "192.0.2.1"), ("fine", "www.example.org")):
            body = {"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": external}}
            world.news.service(world.objects.create(SERVICE, "default", body).object)

    message = (
        "spec.externalName 192.0.2.1 is an address: DNS has no record for it, so the Service does not resolve; "
        "use a Service without selector and an EndpointSlice with the address"
    )
    assert _run(steps) == [("Warning", "ExternalNameIsAddress", message)]


def test_pods_that_come_in_time_are_no_news() -> None:
    """A pod that came, one that nobody reported yet, and a Service that is gone: silence."""

    async def came(world: World) -> None:
        world.service()
        world.news.selected(KEY, nobody=True)
        world.news.selected(KEY, nobody=False)

    async def there(world: World) -> None:
        world.service()
        world.news.selected(KEY, nobody=True)
        world.pod("good", "http")

    async def gone(world: World) -> None:
        world.service()
        world.news.selected(KEY, nobody=True)
        world.selection.put_service(KEY, None)
        world.news.forget(KEY)

    assert [_run(steps) for steps in (came, there, gone)] == [[], [], []]
