"""When nodes forget connections: after their rules know of the change, and again after a failure."""

from ipaddress import IPv4Address

from agents.services.forget import PATIENCE_SECONDS, Forgetter
from agents.services.stale import Known, Stale
from kubinet.errors import KubinetError
from kubinet.state import Endpoint, Service, ServicePort
from kubinet.transport import Protocol

A, B = IPv4Address("10.244.1.5"), IPv4Address("10.244.2.6")
Calls = list[tuple[str, list[str], list[str]]]


class Table:
    """Writes down what it is asked; refuses while `broken`."""

    def __init__(self) -> None:
        self.calls: Calls = []
        self.broken = False

    def forget(self, stale: frozenset[Stale], pods: frozenset[IPv4Address]) -> None:
        if self.broken:
            raise KubinetError("no switch")
        targets = sorted({str(one.target[0]) for one in stale})
        self.calls.append(("forget", targets, sorted(map(str, pods))))

    def sweep(self, known: Known) -> None:
        if self.broken:
            raise KubinetError("no switch")
        self.calls.append(("sweep", sorted(str(front.port) for front in known), []))


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.tables = {"n1": Table(), "n2": Table()}
        self.realised = {"n1": 1, "n2": 1}
        self.forgetter = Forgetter(self.tables, lambda: self.now)

    def update(
        self, version: int, *addresses: IPv4Address, pods: tuple[IPv4Address, ...] = (A, B), **more: object
    ) -> None:
        protocol = more.get("protocol", Protocol.UDP)
        endpoints = tuple(Endpoint(address, 53) for address in addresses)
        port = ServicePort("", protocol, 53, None, endpoints)  # type: ignore[arg-type]
        services = {"default/dns": Service("default", "dns", IPv4Address("10.96.0.10"), (port,))}
        self.forgetter.update(services, frozenset(pods), version)

    def run(self) -> tuple[float | None, Calls, Calls]:
        wait = self.forgetter.run(self.realised.__getitem__)
        calls = [list(table.calls) for table in self.tables.values()]
        for table in self.tables.values():
            table.calls.clear()
        return wait, calls[0], calls[1]


def test_each_node_is_swept_once_and_then_told_of_changes() -> None:
    """The first round compares everything; a removed endpoint is one call per node."""
    world = World()
    world.update(1, A, B)
    assert world.run() == (None, [("sweep", ["53"], [])], [("sweep", ["53"], [])])
    assert world.run() == (None, [], [])
    world.update(1, A)
    assert world.run() == (None, [("forget", ["10.244.2.6"], [])], [("forget", ["10.244.2.6"], [])])


def test_a_node_forgets_when_its_own_rules_know_of_the_change() -> None:
    """Node n2 is behind: it forgets later, after ten seconds even without news of it."""
    world = World()
    world.update(1, A, B)
    world.run()
    world.realised["n1"] = 7
    world.update(7, A)
    assert world.run() == (PATIENCE_SECONDS, [("forget", ["10.244.2.6"], [])], [])
    world.now += PATIENCE_SECONDS
    assert world.run() == (None, [], [("forget", ["10.244.2.6"], [])])


def test_a_node_that_cannot_forget_is_swept_afterwards() -> None:
    """The switch is down: tried again after a second, with a sweep for what else was missed."""
    world = World()
    world.update(1, A, B)
    world.run()
    world.tables["n2"].broken = True
    world.update(1, A)
    assert world.run() == (1.0, [("forget", ["10.244.2.6"], [])], [])
    world.tables["n2"].broken = False
    assert world.run() == (1.0, [], [])
    world.now += 1.0
    assert world.run() == (None, [], [("sweep", ["53"], []), ("forget", ["10.244.2.6"], [])])


def test_connections_of_a_deleted_pod_go_in_every_protocol() -> None:
    """A TCP Service's endpoint whose pod is deleted: forgotten when no Service names it any more, once."""
    world = World()
    world.update(1, A, B, protocol=Protocol.TCP)
    world.run()
    world.update(1, A, B, pods=(A,), protocol=Protocol.TCP)
    assert world.run() == (None, [], [])
    world.update(1, A, pods=(A,), protocol=Protocol.TCP)
    assert world.run() == (None, [("forget", [], ["10.244.2.6"])], [("forget", [], ["10.244.2.6"])])
    world.update(1, A, pods=(A,), protocol=Protocol.TCP)
    assert world.run() == (None, [], [])


def test_a_deleted_pod_that_served_nothing_costs_nothing() -> None:
    """A pod that was no endpoint goes: no call."""
    world = World()
    world.update(1, A)
    world.run()
    world.update(1, A, pods=(A,))
    assert world.run() == (None, [], [])


def test_an_address_that_a_new_pod_has_is_not_forgotten_later() -> None:
    """The pod goes, another one gets its address before its endpoint is gone: nothing to forget."""
    world = World()
    world.update(1, A, B)
    world.run()
    world.update(1, A, B, pods=(A,))
    world.update(1, A, B, pods=(A, B))
    world.update(1, A, B, pods=(A, B))
    assert world.run() == (None, [], [])
