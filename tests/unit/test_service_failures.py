"""One Service whose flows cannot be made: the others, and all nodes, go on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from clusters import node

from controller import service_compile
from controller.compile import Compiler, Programs, programs
from controller.features import balancing
from controller.features.balancing import Backends
from controller.program import Program
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.state import Algorithm, ClusterState, Endpoint, NetworkConfig, Service, ServicePort
from kubinet.transport import Protocol

NODES = {one.name: one for one in map(node, (1, 2))}
Broken = Callable[[pytest.MonkeyPatch], Service]


def service(name: str, *endpoints: Endpoint, last: int = 10, algorithm: Algorithm = Algorithm.RANDOM) -> Service:
    port = ServicePort("http", Protocol.TCP, 80, 30000 + last, endpoints)
    return Service("shop", name, IPv4Address(f"10.96.0.{last}"), (port,), algorithm=algorithm)


def with_services(*every: Service) -> ClusterState:
    return ClusterState(NetworkConfig(), NODES, {}, {one.key: one for one in every})


def texts(program: Program) -> list[str]:
    return sorted(f"{flow.owner} {flow.to_text()}" for flow in program.flows())


def own(made: Mapping[str, Programs | Exception], name: str) -> Program:
    programs_ = made[name]
    assert not isinstance(programs_, Exception)
    return programs_[INTEGRATION_BRIDGE]


ENDS = tuple(Endpoint(IPv4Address(f"10.244.2.{host}"), 8080, "n2") for host in (10, 11))
GOOD = service("good", *ENDS)


def _a_port_out_of_range(_patch: pytest.MonkeyPatch) -> Service:
    return service("bad", Endpoint(IPv4Address("10.244.2.12"), 70000, "n2"), last=11)


def _an_endpoint_that_only_old_connections_have(_patch: pytest.MonkeyPatch) -> Service:
    leaving = replace(ENDS[1], port=70000, ready=False, serving=True, terminating=True)
    return service("bad", ENDS[0], leaving, last=11)


def _a_table_that_cannot_be_made(patch: pytest.MonkeyPatch) -> Service:
    whole = balancing.slot_table

    def refusing(backends: Backends) -> list[Endpoint] | None:
        if backends.rule is Algorithm.MAGLEV:
            raise ZeroDivisionError("no slots")
        return whole(backends)

    patch.setattr(service_compile, "slot_table", refusing)
    return service("bad", *ENDS, last=11, algorithm=Algorithm.MAGLEV)


@pytest.mark.parametrize(
    "broken", [_a_port_out_of_range, _an_endpoint_that_only_old_connections_have, _a_table_that_cannot_be_made]
)
def test_a_service_that_cannot_be_made_does_not_keep_others_from_working(
    monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    """All nodes have the flows that they would have without it, its owner is told, and mended it is in force."""
    bad = broken(monkeypatch)
    alone = with_services(GOOD)
    compiler = Compiler()
    compiler.compile(alone)
    made = compiler.compile(with_services(GOOD, bad))
    for name in NODES:
        assert texts(own(made, name)) == texts(programs(alone, NODES[name])[INTEGRATION_BRIDGE])
    told = list(compiler.complaints(with_services(GOOD, bad)))
    assert [(one.owner, one.reason) for one in told] == [("Service/shop/bad", "ServiceNotRealised")]
    mended = with_services(GOOD, service("bad", *ENDS, last=11))
    again = own(compiler.compile(mended), "n1")
    assert texts(again) == texts(programs(mended, NODES["n1"])[INTEGRATION_BRIDGE])
    assert list(compiler.complaints(mended)) == []
