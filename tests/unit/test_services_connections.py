"""Open Service connections: what nodes' connection tracking says, summed by endpoint, written only when it changed."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from agents.services.connection_counter import ConnectionCounter, pause
from agents.services.open_connections import count_open, counted_endpoints, rounded, smoothed, summed
from controller.registers import CT_SERVICE
from kubinet.addressing import SERVICE_MARK_BIT
from kubinet.client import Client
from kubinet.connectioncounts import ConnectionCache, counts_from_object
from kubinet.errors import ApiError, KubinetError
from kubinet.state import Algorithm, Endpoint, Service, ServicePort
from kubinet.transport import Protocol

A, B = (IPv4Address("10.244.1.2"), 8080), (IPv4Address("10.244.2.2"), 8080)


def line(target: str, *, protocol: str = "tcp", mark: int = 19, zone: int = 1, state: str = "ESTABLISHED") -> str:
    """A connection to 10.96.0.77:80 as `dpctl/dump-conntrack` prints it."""
    return (
        f"{protocol},orig=(src=10.244.0.3,dst=10.96.0.77,sport=59790,dport=80),"
        f"reply=(src={target},dst=10.244.0.3,sport=8080,dport=59790),zone={zone},mark={mark},"
        f"labels=0x6dbe975b0000000000000000" + (f",protoinfo=(state={state})" if state else "")
    )


def service(algorithm: Algorithm, *endpoints: tuple[IPv4Address, int]) -> Service:
    ports = (ServicePort("", Protocol.TCP, 80, endpoints=tuple(Endpoint(*one) for one in endpoints)),)
    return Service("default", "web", IPv4Address("10.96.0.77"), ports, algorithm=algorithm)


@pytest.mark.parametrize(
    ("entry", "counted"),
    [
        (line("10.244.1.2"), 1),
        (line("10.244.1.2", protocol="sctp"), 1),
        (line("10.244.1.2", protocol="udp", state=""), 1),
        (line("10.244.1.2", mark=16 + 32 + 3), 1),
        (line("10.244.1.2", state="TIME_WAIT"), 0),
        (line("10.244.1.2", state="SYN_SENT"), 0),
        (line("10.244.1.2", mark=3), 0),
        (line("10.244.1.2", zone=2), 0),
        ("tcp,orig=(src=1.2.3.4", 0),
    ],
)
def test_open_connections_of_services_count(entry: str, counted: int) -> None:
    """Established TCP and SCTP and every UDP connection of zone 1 whose mark says Service; no other."""
    assert count_open(f"{line('10.244.9.9')}\n{entry}\n") == {
        ("10.244.9.9", "8080"): 1,
        **({("10.244.1.2", "8080"): 1} if counted else {}),
    }


def test_the_mark_is_the_pipelines() -> None:
    """The agents look at the bit that the pipeline sets."""
    assert (CT_SERVICE.first, CT_SERVICE.width) == (SERVICE_MARK_BIT, 1)


def test_nodes_are_summed_and_others_left_out() -> None:
    """Two nodes' connections to one endpoint add up; endpoints that nobody asked for are not published."""
    nodes = [count_open("\n".join([line("10.244.1.2")] * 3)), count_open(f"{line('10.244.1.2')}\n{line('10.1.1.1')}")]
    assert summed(nodes, {A, B}) == {A: 4}


def test_levels_rise_at_once_and_fall_by_a_third() -> None:
    """12 connections that all end count as 8 a second later, then 5, and as none after nine seconds."""
    levels = smoothed({}, {A: 12})
    seen = [rounded(levels)]
    while levels and len(seen) < 20:
        levels = smoothed(levels, {})
        seen.append(rounded(levels))
    assert seen[:4] == [{A: 12}, {A: 8}, {A: 5}, {A: 4}]
    assert len(seen) == 9
    assert seen[-1] == {}
    assert rounded(smoothed({A: 8.0}, {A: 9, B: 1})) == {A: 9, B: 1}


def test_only_least_connections_is_counted() -> None:
    """Endpoints of Services with any other algorithm are not asked for."""
    services = {"default/a": service(Algorithm.LEAST_CONNECTIONS, A), "default/b": service(Algorithm.RANDOM, B)}
    assert counted_endpoints(services) == {A}


def test_counting_takes_at_most_a_twentieth_of_the_time() -> None:
    """A quick count comes once a second; one of half a second every ten."""
    assert pause(0.01) == pytest.approx(0.99)
    assert pause(0.5) == pytest.approx(9.5)


def test_unchanged_counts_are_the_same_object() -> None:
    """A new version of the object that says the same does not make compilation look different."""
    cache = ConnectionCache()
    first = cache.counts({"status": {"endpoints": {"10.244.1.2:8080": 12}}})
    assert first == {A: 12}
    assert cache.counts({"status": {"endpoints": {"10.244.1.2:8080": 12}}}) is first
    assert cache.counts({"status": {"endpoints": {"10.244.1.2:8080": 13}}}) == {A: 13}
    assert cache.counts(None) == {}


def test_entries_that_mean_nothing_are_left_out() -> None:
    """What a user may write into the object does not stop the data plane."""
    endpoints = {"10.244.1.2:8080": 2, "web:80": 1, "10.244.1.3": 1, "10.244.1.4:80": "many", "10.244.1.5:80": None}
    assert counts_from_object({"status": {"endpoints": endpoints}}) == {A: 2}


class Api(Client):
    """The API with at most the one object."""

    def __init__(self, obj: dict[str, Any] | None) -> None:
        super().__init__("http://127.0.0.1:1", "token")
        self.obj = obj
        self.writes: list[dict[str, Any]] = []

    def clone(self) -> "Api":
        return self

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        if self.obj is None:
            raise ApiError(404, "NotFound", "no such object")
        return self.obj

    def patch(self, kind: str, name: str, patch: Any, namespace: str | None = None, **_: Any) -> dict[str, Any]:
        if self.obj is None:
            raise ApiError(404, "NotFound", "no such object")
        return self._stored(patch[0]["value"])

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        return self._stored(obj["status"])

    def _stored(self, status: dict[str, Any]) -> dict[str, Any]:
        self.writes.append(status)
        self.obj = {"status": status}
        return self.obj


class Switch:
    """A node's control connection; `dump` None: the switch is down."""

    def __init__(self, dump: str | None) -> None:
        self.dump, self.asked = dump, 0

    def __call__(self, *command: str) -> Any:
        if not command:
            self.asked += 1
            if self.dump is None:
                raise KubinetError("down")
            return self
        assert command == ("dpctl/dump-conntrack", "zone=1")
        return self.dump

    def __enter__(self) -> "Switch":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_sums_are_written_only_when_they_changed() -> None:
    """The object is made with the first count, written anew after a change, and emptied when nobody needs it."""
    api, one, other = Api(None), Switch(line("10.244.1.2")), Switch(None)
    counter = ConnectionCounter(api, {"n1": one, "n2": other})
    counter.update({"default/a": service(Algorithm.LEAST_CONNECTIONS, A, B)})
    counter.count()
    counter.count()
    assert api.writes == [{"endpoints": {"10.244.1.2:8080": 1}}]
    other.dump = f"{line('10.244.1.2')}\n{line('10.244.2.2')}"
    counter.count()
    assert counts_from_object(api.obj) == {A: 2, B: 1}
    asked = one.asked
    counter.update({})
    counter.count()
    counter.count()
    assert (api.writes[2:], one.asked - asked) == ([{"endpoints": {}}], 0)


def test_nothing_is_asked_or_written_without_the_algorithm() -> None:
    """No Service has it and none had it before: no switch is asked and the API not written."""
    api, switch = Api(None), Switch("")
    counter = ConnectionCounter(api, {"n1": switch})
    counter.update({"default/a": service(Algorithm.HASH, A)})
    counter.count()
    assert (api.writes, switch.asked) == ([], 0)


def test_what_an_earlier_process_published_is_replaced() -> None:
    """Counts of before a restart of the agents do not stay."""
    api = Api({"status": {"endpoints": {"10.244.1.2:8080": 7}}})
    ConnectionCounter(api, {}).count()
    assert api.writes == [{"endpoints": {}}]
