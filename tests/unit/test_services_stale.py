"""Which tracked connections are forgotten when Services and endpoints change."""

from ipaddress import IPv4Address

import pytest

from agents.services.stale import (
    REFUSED,
    Entry,
    Front,
    Stale,
    flush_entry,
    flush_pod,
    flush_stale,
    read_entries,
    stale_entries,
    step,
)
from kubinet.state import Endpoint, Service, ServicePort
from kubinet.transport import Protocol

VIP, OWN = IPv4Address("10.96.0.10"), IPv4Address("172.18.0.1")
A, B = (IPv4Address("10.244.1.5"), 53), (IPv4Address("10.244.2.6"), 53)


def _service(*endpoints: Endpoint, protocol: Protocol = Protocol.UDP, **more: object) -> dict[str, Service]:
    port = ServicePort("dns", protocol, 5353, 30053, tuple(endpoints))
    return {"default/dns": Service("default", "dns", VIP, (port,), **more)}  # type: ignore[arg-type]


def _up(target: tuple[IPv4Address, int], **more: bool) -> Endpoint:
    return Endpoint(target[0], target[1], **more)  # type: ignore[arg-type]


def _after(*states: dict[str, Service]) -> frozenset[Stale]:
    """What the last of several states makes stale."""
    known, before, found = {}, {}, frozenset()  # type: ignore[var-annotated]
    for state in states:
        known, found = step(known, before, state)
        before = state
    return found


def _both(target: tuple[IPv4Address, int]) -> frozenset[Stale]:
    return frozenset({Stale(Front(VIP, 5353), target), Stale(Front(None, 30053), target)})


def test_a_removed_endpoints_udp_connections_are_stale_by_every_way_in() -> None:
    """Two endpoints, then one: connections to the other through cluster IP and node port."""
    assert _after(_service(_up(A), _up(B)), _service(_up(A))) == _both(B)


def test_external_addresses_are_ways_in_too() -> None:
    """A balancer's address and an externalIP: four fronts with cluster IP and node port."""
    more = {"load_balancer_ips": (IPv4Address("172.31.0.1"),), "external_ips": (IPv4Address("203.0.113.7"),)}
    found = _after(_service(_up(A), _up(B), **more), _service(_up(A), **more))
    assert {str(stale.front.address) for stale in found} == {"10.96.0.10", "172.31.0.1", "203.0.113.7", "None"}


@pytest.mark.parametrize(
    "later",
    [
        _service(_up(A), _up(B), _up((IPv4Address("10.244.3.7"), 53))),
        _service(_up(A), _up(B, ready=False, terminating=True)),
        _service(_up(A), _up(B, ready=True, serving=False)),
        _service(_up(A), _up(B), internal_local=True),
        {},
    ],
    ids=["one more", "terminating but serving", "publishNotReadyAddresses", "traffic policy", "Service deleted"],
)
def test_endpoints_that_serve_keep_their_connections(later: dict[str, Service]) -> None:
    """More endpoints, a terminating one that serves, a policy, the end of the Service: nothing is forgotten."""
    assert _after(_service(_up(A), _up(B)), later) == frozenset()


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.SCTP])
def test_other_protocols_are_left_alone(protocol: Protocol) -> None:
    """A removed endpoint's TCP and SCTP connections end by themselves."""
    assert _after(_service(_up(A), _up(B), protocol=protocol), _service(_up(A), protocol=protocol)) == frozenset()


def test_not_serving_is_as_good_as_gone() -> None:
    """An endpoint that fails its readiness probe loses its UDP connections."""
    assert _after(_service(_up(A), _up(B)), _service(_up(A), _up(B, ready=False, serving=False))) == _both(B)


def test_the_last_endpoints_connections_stay_until_another_one_serves() -> None:
    """One endpoint, none, another one: nothing, then the first one's and the refused connections."""
    one, none, other = _service(_up(A)), _service(), _service(_up(B))
    assert _after(one, none) == frozenset()
    assert _after(one, none, other) == _both(A) | _both(REFUSED)
    assert _after(one, none, one) == _both(REFUSED)


def test_refused_connections_are_stale_even_where_nobody_saw_a_moment_without_endpoints() -> None:
    """A new Service, or one whose endpoints are all new: others may have seen it without any meanwhile."""
    assert _after(_service(_up(A))) == _both(REFUSED)
    assert _after(_service(_up(A)), _service(_up(B))) == _both(A) | _both(REFUSED)
    assert _after(_service(_up(A)), _service(_up(A), _up(B))) == frozenset()


def test_an_unchanged_service_is_not_looked_at() -> None:
    """The same value again: the same knowledge, nothing stale."""
    state = _service(_up(A))
    known, _ = step({}, {}, state)
    assert step(known, state, state) == (known, frozenset())


def test_the_words_for_open_vswitch() -> None:
    """Original and reply tuples, with the node's own address in the place of a node port's."""
    assert flush_stale(Stale(Front(VIP, 5353), A), OWN) == (
        "zone=1",
        "ct_nw_dst=10.96.0.10,ct_nw_proto=17,ct_tp_dst=5353",
        "ct_nw_src=10.244.1.5,ct_nw_proto=17,ct_tp_src=53",
    )
    assert flush_stale(Stale(Front(None, 30053), A), OWN)[1] == "ct_nw_dst=172.18.0.1,ct_nw_proto=17,ct_tp_dst=30053"
    assert flush_pod(A[0]) == ("zone=1", "", "ct_nw_src=10.244.1.5")


DUMP = """\
udp,orig=(src=10.244.1.9,dst=10.96.0.10,sport=1000,dport=5353),reply=(src=10.244.1.5,dst=10.244.1.9,sport=53,dport=1000),zone=1
udp,orig=(src=10.244.1.9,dst=10.96.0.10,sport=1001,dport=5353),reply=(src=10.244.2.6,dst=10.244.1.9,sport=53,dport=1001),zone=1,mark=16
udp,orig=(src=10.9.9.9,dst=172.18.0.1,sport=1002,dport=30053),reply=(src=10.244.2.6,dst=10.9.9.9,sport=53,dport=1002),zone=1
udp,orig=(src=10.244.1.9,dst=10.96.0.10,sport=1003,dport=5353),reply=(src=10.244.2.6,dst=10.244.1.9,sport=53,dport=1003),zone=12
udp,orig=(src=10.244.1.9,dst=10.244.2.6,sport=1004,dport=53),reply=(src=10.244.2.6,dst=10.244.1.9,sport=53,dport=1004),zone=1
tcp,orig=(src=10.244.1.9,dst=10.96.0.10,sport=77,dport=5353),reply=(src=10.244.2.6,dst=10.244.1.9,sport=53,dport=77),zone=1,protoinfo=(state=SYN_SENT)
"""


def test_a_sweep_finds_what_became_stale_while_nobody_looked() -> None:
    """With only the first endpoint serving: the entries to the second through cluster IP and node port, no others."""
    known, _ = step({}, {}, _service(_up(A)))
    found = list(stale_entries(read_entries(DUMP), known, OWN))
    assert found == [
        Entry(IPv4Address("10.244.1.9"), 1001, VIP, 5353, B),
        Entry(IPv4Address("10.9.9.9"), 1002, OWN, 30053, B),
    ]
    assert flush_entry(found[0]) == (
        "zone=1",
        "ct_nw_src=10.244.1.9,ct_tp_src=1001,ct_nw_dst=10.96.0.10,ct_tp_dst=5353,ct_nw_proto=17",
    )


def test_a_sweep_leaves_services_without_endpoints_alone() -> None:
    """No endpoint serves: every entry stays."""
    known, _ = step({}, {}, _service())
    assert list(stale_entries(read_entries(DUMP), known, OWN)) == []
