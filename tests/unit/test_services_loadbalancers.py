"""LoadBalancer addresses: given from the pool, honoured when asked for, waited for when there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import EVENT, SERVICE, TOPOLOGY
from controller.api.store import Store
from controller.workloads.allocation import Allocation
from controller.workloads.loadbalancers import LoadBalancers
from controller.workloads.namespaces import ensure_defaults


def _scenario(
    steps: Callable[[Objects], Awaitable[None]], cidr: str = "172.31.0.0/30", store: Store | None = None
) -> None:
    async def main() -> None:
        objects = Objects(store or Store())
        ensure_defaults(objects)
        if objects.store.get(TOPOLOGY.key, "", "cluster") is None:
            spec = {"network": {"loadBalancerCIDR": cidr}}
            objects.create(TOPOLOGY, "", {"metadata": {"name": "cluster"}, "spec": spec})
        Allocation(objects)
        cycle = LoadBalancers(objects)
        await steps(objects)
        cycle.close()

    asyncio.run(main())


async def _settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def _create(objects: Objects, name: str, **spec: Any) -> Any:
    given = {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}
    objects.create(SERVICE, "default", {"metadata": {"name": name}, "spec": given})
    await _settle()
    return _ingress(objects, name)


def _ingress(objects: Objects, name: str) -> Any:
    return objects.get(SERVICE, "default", name).object["status"]["loadBalancer"].get("ingress")


async def _update(objects: Objects, name: str, **spec: Any) -> None:
    old = objects.get(SERVICE, "default", name)
    new = old.copy()
    new["spec"] |= spec
    objects.update(SERVICE, old, new)
    await _settle()


def _vip(address: str) -> list[dict[str, str]]:
    return [{"ip": address, "ipMode": "VIP"}]


def _events(objects: Objects, name: str) -> list[tuple[str, str, str]]:
    found = [stored.object for stored in objects.store.select(EVENT.key)]
    return [(e["type"], e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]


def test_addresses_come_from_the_pool_and_go_back() -> None:
    """Two addresses of a /30 go to two Services; the third waits with a Warning event until one is released."""

    async def steps(objects: Objects) -> None:
        assert await _create(objects, "a") == _vip("172.31.0.1")
        assert await _create(objects, "b") == _vip("172.31.0.2")
        assert await _create(objects, "c") is None
        await _update(objects, "c", sessionAffinity="ClientIP")
        full = "the cluster's loadBalancerCIDR 172.31.0.0/30 has no free address; the Service stays pending"
        assert _events(objects, "c") == [("Warning", "SyncLoadBalancerFailed", full)]
        objects.delete(SERVICE, "default", "a", DeleteOptions())
        await _settle()
        assert _ingress(objects, "c") == _vip("172.31.0.1")
        await _update(objects, "b", type="ClusterIP")
        assert _ingress(objects, "b") is None
        assert await _create(objects, "d") == _vip("172.31.0.2")

    _scenario(steps)


def test_an_address_that_is_asked_for() -> None:
    """loadBalancerIP is honoured when free; a taken one and one outside of the pool leave the Service pending."""

    async def steps(objects: Objects) -> None:
        assert await _create(objects, "a", loadBalancerIP="172.31.0.2") == _vip("172.31.0.2")
        assert await _create(objects, "b", loadBalancerIP="172.31.0.2") is None
        taken = "spec.loadBalancerIP 172.31.0.2 is already allocated to Service default/a; the Service stays pending"
        assert _events(objects, "b") == [("Warning", "SyncLoadBalancerFailed", taken)]
        assert await _create(objects, "c", loadBalancerIP="192.0.2.1") is None
        outside = (
            "spec.loadBalancerIP 192.0.2.1 is not in the cluster's loadBalancerCIDR 172.31.0.0/30; "
            "the Service stays pending"
        )
        assert _events(objects, "c") == [("Warning", "SyncLoadBalancerFailed", outside)]
        await _update(objects, "a", loadBalancerIP="172.31.0.1")
        assert (_ingress(objects, "a"), _ingress(objects, "b")) == (_vip("172.31.0.1"), _vip("172.31.0.2"))

    _scenario(steps)


def test_another_class_is_left_alone() -> None:
    """A Service with loadBalancerClass stays pending, an event says so, and a status of others stays."""

    async def steps(objects: Objects) -> None:
        assert await _create(objects, "a", loadBalancerClass="example.com/other") is None
        text = "loadBalancerClass is 'example.com/other': its address is left to that implementation"
        assert _events(objects, "a") == [("Normal", "LoadBalancerClass", text)]
        old = objects.get(SERVICE, "default", "a")
        new = old.copy()
        new["status"]["loadBalancer"] = {"ingress": [{"ip": "192.0.2.9"}]}
        objects.update(SERVICE, old, new, subresource="status")
        await _settle()
        assert _ingress(objects, "a") == [{"ip": "192.0.2.9"}]

    _scenario(steps)


def test_a_restart_keeps_addresses() -> None:
    """A new controller on the same store gives nobody a held address, and every Service keeps its own."""
    store = Store()

    async def first(objects: Objects) -> None:
        await _create(objects, "b")

    async def second(objects: Objects) -> None:
        assert await _create(objects, "a") == _vip("172.31.0.2")
        assert _ingress(objects, "b") == _vip("172.31.0.1")

    _scenario(first, store=store)
    _scenario(second, store=store)
