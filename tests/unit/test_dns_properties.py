"""Random clusters: whatever Services, endpoints and pods there are, the answers agree with each other."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from dns.rcode import NOERROR, NXDOMAIN
from dns.rdatatype import ANY, CNAME, PTR, SOA, SRV, A, RdataType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.dns.answer import Content, answer
from agents.dns.cluster import Cluster
from agents.dns.names import Key, name_of, reverse_key
from agents.dns.rdata import target
from agents.dns.records import ClusterNames

pytestmark = pytest.mark.slow

NAMES = ClusterNames(reverse=(IPv4Network("10.96.0.0/16"), IPv4Network("10.244.0.0/16")))
_NAMESPACES = st.sampled_from(["a", "b", "kube-system"])
_NAME = st.sampled_from(["x", "y", "kube-dns", "pod"])
_POD_ADDRESS = st.integers(1, 6).map(lambda number: f"10.244.1.{number}")
_HOST = st.sampled_from(["", "x", "h-0"])
_PORTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["http", "dns", ""]),
            "protocol": st.sampled_from(["TCP", "UDP"]),
            "port": st.integers(1, 3),
        }
    ),
    max_size=3,
)
_ADDRESS = st.integers(1, 6).map(lambda number: f"10.96.0.{number}")


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {"ports": draw(_PORTS), "publishNotReadyAddresses": draw(st.booleans())}
    match draw(st.sampled_from(["cluster", "headless", "external"])):
        case "cluster":
            spec["clusterIP"] = draw(_ADDRESS)
        case "headless":
            spec["clusterIP"] = "None"
        case _:
            names = ["x.a.svc.cluster.local", "example.org", "192.0.2.1"]
            spec |= {"type": "ExternalName", "externalName": draw(st.sampled_from(names))}
    return {"metadata": {"namespace": draw(_NAMESPACES), "name": draw(_NAME)}, "spec": spec}


@st.composite
def slices(draw: st.DrawFn) -> dict[str, Any]:
    metadata = {
        "namespace": draw(_NAMESPACES),
        "name": draw(st.sampled_from(["s1", "s2", "s3"])),
        "labels": {"kubernetes.io/service-name": draw(_NAME)},
    }
    one = st.fixed_dictionaries(
        {
            "addresses": st.lists(_POD_ADDRESS, min_size=1, max_size=1),
            "hostname": _HOST,
            "conditions": st.fixed_dictionaries({"ready": st.booleans()}),
        }
    )
    return {"metadata": metadata, "endpoints": draw(st.lists(one, max_size=4)), "ports": draw(_PORTS)}


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    metadata = {"namespace": draw(_NAMESPACES), "name": draw(st.sampled_from(["p1", "p2", "p3"]))}
    phase = draw(st.sampled_from(["Running", "Pending", "Failed"]))
    return {"metadata": metadata, "status": {"podIP": draw(_POD_ADDRESS), "phase": phase}}


_OBJECTS = st.one_of(
    services().map(lambda obj: ("services", obj)),
    slices().map(lambda obj: ("endpointslices", obj)),
    pods().map(lambda obj: ("pods", obj)),
)
_CHANGES = st.lists(st.tuples(_OBJECTS, st.booleans()), max_size=14)
# On a busy machine making the examples takes longer than hypothesis expects.
_PATIENT = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Change = tuple[tuple[str, dict[str, Any]], bool]


def told(changes: list[Change]) -> Cluster:
    """A cluster after these changes: an object is put, or dropped."""
    cluster = Cluster(NAMES)
    for (kind, obj), put in changes:
        if put:
            cluster.put(kind, obj)
        else:
            cluster.drop(kind, obj)
    return cluster


def ask(cluster: Cluster, key: Key, rdtype: RdataType) -> Content:
    content = answer(cluster.zone, name_of(key), rdtype)
    assert content is not None
    return content


def owned(cluster: Cluster, rdtype: RdataType) -> list[tuple[Key, Any]]:
    zone = cluster.zone
    return [(key, data) for key in zone.names() for data in zone.find(key) or () if data.rdtype == rdtype]


@given(_CHANGES)
@_PATIENT
def test_the_order_of_changes_leaves_no_trace(changes: list[Change]) -> None:
    """A cluster changed step by step has the same names and records as one that lists only what is left."""
    stepped = told(changes)
    left: dict[tuple[str, str, str], dict[str, Any]] = {}
    for (kind, obj), put in changes:
        key = kind, obj["metadata"]["namespace"], obj["metadata"]["name"]
        left.pop(key, None)
        if put:
            left[key] = obj
    fresh = Cluster(NAMES)
    for kind in ("pods", "endpointslices", "services"):
        fresh.replace(kind, [obj for key, obj in left.items() if key[0] == kind])
    assert set(stepped.zone.names()) == set(fresh.zone.names())
    for name in fresh.zone.names():
        assert set(stepped.zone.find(name) or ()) == set(fresh.zone.find(name) or ())


@given(_CHANGES)
@_PATIENT
def test_a_name_does_not_exist_exactly_when_nothing_is_at_or_below_it(changes: list[Change]) -> None:
    """NXDOMAIN if and only if no record's name is the name or ends in it; NODATA and NXDOMAIN carry the SOA."""
    cluster = told(changes)
    existing = set(cluster.zone.names())
    asked = {key[cut:] for key in existing for cut in range(len(key) + 1)} | {(b"no", *key) for key in existing}
    asked |= {(b"x", b"a", b"svc", *NAMES.domain), (b"a", b"svc", *NAMES.domain), reverse_key(IPv4Address("10.96.0.9"))}
    for key in asked:
        content = answer(cluster.zone, name_of(key), CNAME)
        if content is None:
            assert cluster.zone.authority.apex(key) is None
            continue
        exists = any(name[len(name) - len(key) :] == key for name in existing) or key in cluster.zone.authority.apexes
        if not content.answer:
            assert content.rcode == (NOERROR if exists else NXDOMAIN)
            assert [rrset.rdtype for rrset in content.authority] == [SOA]
        else:
            assert exists


@given(_CHANGES)
@_PATIENT
def test_pointers_and_services_lead_to_addresses(changes: list[Change]) -> None:
    """The name that a PTR record gives has the address that was asked for; every SRV target has an address."""
    cluster = told(changes)
    for key, data in owned(cluster, PTR):
        address = IPv4Address(".".join(label.decode() for label in reversed(key[:4])))
        found = ask(cluster, tuple(target(data).labels[:-1]), A)
        assert str(address) in [str(one) for rrset in found.answer for one in rrset]
    for key, data in owned(cluster, SRV):
        assert ask(cluster, tuple(target(data).labels[:-1]), A).answer
        assert len(ask(cluster, key, SRV).additional) == len({target(one) for one in cluster.zone.find(key) or ()})


@given(_CHANGES)
@_PATIENT
def test_what_has_records_is_answered(changes: list[Change]) -> None:
    """Every name with records answers ANY and each of its types with NOERROR and all records of that type."""
    cluster = told(changes)
    for key in cluster.zone.names():
        assert ask(cluster, key, ANY).rcode == NOERROR
        records = cluster.zone.find(key) or ()
        for rdtype in {data.rdtype for data in records}:
            content = ask(cluster, key, rdtype)
            assert set(content.answer[0]) == {data for data in records if data.rdtype == rdtype}
