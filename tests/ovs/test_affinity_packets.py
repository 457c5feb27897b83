"""Session affinity: what the switch learns, keeps and forgets."""

from ipaddress import IPv4Address

import pytest
from frames import UDP
from nodes import UNDERLAY, NodeSwitch
from service_states import NODE_1, A, cluster, endpoint, from_outside, from_pod, service

from controller.features import balancing
from kubinet.state import Algorithm, ClusterState
from kubinet.transport import Protocol

pytestmark = pytest.mark.ovs

ALL = tuple(f"10.244.2.{host}" for host in range(10, 15))
CLIENTS = tuple(f"192.0.2.{host}" for host in range(1, 41))


def state(*ends: str, **options: object) -> ClusterState:
    """A Service that remembers its clients for a minute; its endpoints are on the other node."""
    options = {"affinity_seconds": 60, "node_port": 30080, **options}
    return cluster(service([endpoint(end) for end in ends], **options))  # type: ignore[arg-type]


def served(node: NodeSwitch, sport: int, proto: int = 6) -> dict[str, str]:
    """By client: the endpoint that a new connection from this source port gets."""
    frames = [from_outside(1, NODE_1, 30080, sport, client, proto=proto) for client in CLIENTS]
    out = node.send(UNDERLAY, *frames)[UNDERLAY]
    node.settle()
    return {client: frame.dst for client, frame in zip(CLIENTS, out, strict=True)}


@pytest.mark.parametrize("proto", [6, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_clients_next_connection_goes_to_the_same_endpoint(
    node: NodeSwitch, algorithm: Algorithm, proto: int
) -> None:
    """One flow is learned for each client; clients are spread over the endpoints."""
    node.controller().bring(state(*ALL, algorithm=algorithm, protocol=Protocol(proto)))
    first = served(node, 50000, proto)
    assert len(node.learned()) == len(CLIENTS)
    assert served(node, 50001, proto) == first
    assert set(first.values()) == set(ALL)


def test_a_remembered_client_stays_when_endpoints_come(node: NodeSwitch) -> None:
    """Although its address alone would choose one of the new ones by now."""
    controller = node.controller()
    controller.bring(state(*ALL[:2]))
    first = served(node, 50000)
    controller.bring(state(*ALL))
    assert served(node, 50001) == first
    node.settle()  # else what the datapath still has to report would learn the flows again
    node.ovs.ofctl("del-flows", "br-int", "table=24,ip")
    node.settle()
    assert set(served(node, 50002).values()) == set(ALL)


def test_when_its_endpoint_goes_a_client_gets_another_one_and_keeps_that(node: NodeSwitch) -> None:
    """Clients of the other endpoints are not disturbed."""
    controller = node.controller()
    controller.bring(state(*ALL))
    first = served(node, 50000)
    controller.bring(state(*ALL[1:]))
    second = served(node, 50001)
    assert {client for client in CLIENTS if second[client] != first[client]} == {
        client for client in CLIENTS if first[client] == ALL[0]
    }
    assert ALL[0] not in second.values()
    controller.bring(state(*ALL))
    assert served(node, 50002) == second


def test_another_controller_keeps_what_was_learned(node: NodeSwitch) -> None:
    """It programs the bridge anew, under another round, and sweeps the flows of the round before."""
    before = node.controller()
    before.bring(state(*ALL[:2]))
    first = served(node, 50000)
    learned = node.learned()
    before.end()
    node.controller().bring(state(*ALL))
    assert node.learned() == learned
    assert served(node, 50001) == first


def test_learned_flows_go_with_their_service(node: NodeSwitch) -> None:
    """Those of other Services stay."""
    controller = node.controller()
    one = service(ALL, affinity_seconds=60, node_port=30080)
    other = service(ALL, affinity_seconds=60, name="other", address=IPv4Address("10.96.0.11"))
    controller.bring(cluster(one, other))
    served(node, 50000)
    node.one("p102", from_pod(A, "10.96.0.11"))
    assert len(node.learned()) == len(CLIENTS) + 1
    controller.bring(cluster(other))
    assert len(node.learned()) == 1
    controller.bring(cluster())
    assert node.learned() == []


def test_a_client_is_forgotten_after_the_time_out_without_a_new_connection(node: NodeSwitch) -> None:
    """A new connection starts the time anew; further packets of one that is known do not."""
    node.controller().bring(state(*ALL))
    node.appctl("time/stop")
    served(node, 50000)
    node.appctl("time/warp", "20000", "5000")
    node.one(UNDERLAY, from_outside(1, NODE_1, 30080, 50000, CLIENTS[1]))
    node.appctl("time/warp", "20000", "5000")
    node.one(UNDERLAY, from_outside(1, NODE_1, 30080, 50001, CLIENTS[0]))
    node.appctl("time/warp", "35000", "5000")
    assert [line.split("nw_src=")[1].split()[0] for line in node.learned()] == [CLIENTS[0]]
    node.appctl("time/warp", "70000", "5000")
    assert node.learned() == []


def test_clients_above_the_limit_are_served_but_not_remembered(
    node: NodeSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their address alone: the same endpoint as long as the endpoints are the same. Each Service has its own limit,
    and a place becomes free when a client is forgotten."""
    monkeypatch.setattr(balancing, "LEARNED_LIMIT", 10)
    one = service(ALL, affinity_seconds=60, node_port=30080)
    other = service(ALL, affinity_seconds=60, name="other", address=IPv4Address("10.96.0.11"))
    node.controller().bring(cluster(one, other))
    first = served(node, 50000)
    remembered = node.learned()
    assert len(remembered) == 10
    assert set(first.values()) == set(ALL)
    assert served(node, 50001) == first
    node.one("p102", from_pod(A, "10.96.0.11"))
    assert len(node.learned()) == 11
    clients = {line.split("nw_src=")[1].split()[0] for line in remembered}
    late = next(client for client in CLIENTS if client not in clients)
    node.settle()
    node.ovs.ofctl("del-flows", "br-int", f"table=24,ip,nw_src={min(clients)}")
    node.settle()
    node.one(UNDERLAY, from_outside(1, NODE_1, 30080, 50002, late))
    assert any(f"nw_src={late} " in line for line in node.learned())
