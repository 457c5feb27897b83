"""What a pod is to a Service, how endpoints are cut into slices, and Endpoints (v1): the pure parts."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.workloads import endpointsv1, slicing
from controller.workloads.endpoints import (
    Endpoint,
    Placed,
    PodFacts,
    Port,
    ServiceFacts,
    ServicePort,
    place,
    pod_facts,
    service_facts,
    weight,
)
from controller.workloads.slicewire import (
    Header,
    address_and_ports,
    pod_name,
    read_slice,
    slice_labels,
    slice_object,
)
from controller.workloads.slicing import Slice, SliceSet

POD = PodFacts(
    namespace="d",
    name="p",
    uid="u",
    labels=(("app", "a"),),
    address="10.244.1.2",
    node="n1",
    hostname="",
    subdomain="",
    ready=True,
    terminating=False,
    ports=(("http", "TCP", 8080), ("dns", "UDP", 5353)),
    weight=None,
)
SERVICE = ServiceFacts(
    namespace="d",
    name="s",
    uid="v",
    selector=(("app", "a"),),
    ports=(ServicePort("web", "TCP", "http", "", 80),),
    labels=(),
    headless=False,
    publish_unready=False,
    distribution="",
)
ZONES = {"n1": "east"}
WEB = (Port("web", "TCP", 8080),)
TARGET = (("kind", "Pod"), ("name", "p"), ("namespace", "d"), ("uid", "u"))


def _point(service: ServiceFacts = SERVICE, **changes: Any) -> Endpoint:
    placed = place(service, replace(POD, **changes), ZONES)
    assert placed is not None
    return placed.endpoint


def test_a_ready_pod() -> None:
    """Address, conditions, node, its zone, targetRef, and the named port's number."""
    assert place(SERVICE, POD, ZONES) == Placed(
        WEB,
        Endpoint("10.244.1.2", True, serving=True, terminating=False, node="n1", zone="east", target=TARGET),
    )


@pytest.mark.parametrize(
    ("ready", "terminating", "publish", "wanted"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, False, True, (True, False, False)),
        (False, True, True, (True, False, True)),
    ],
)
def test_conditions(ready: bool, terminating: bool, publish: bool, wanted: tuple[bool, bool, bool]) -> None:
    """A terminating pod is not ready, and serves while it passes its probes; publishing overrides ready."""
    point = _point(replace(SERVICE, publish_unready=publish), ready=ready, terminating=terminating)
    assert (point.ready, point.serving, point.terminating) == wanted


@pytest.mark.parametrize(
    ("distribution", "ready", "hints"),
    [
        ("", True, ("", "")),
        ("PreferClose", True, ("east", "")),
        ("PreferSameZone", True, ("east", "")),
        ("PreferSameNode", True, ("east", "n1")),
        ("PreferSameNode", False, ("", "")),
    ],
)
def test_hints(distribution: str, ready: bool, hints: tuple[str, str]) -> None:
    """trafficDistribution gives ready endpoints their own zone as hint, and their own node for PreferSameNode."""
    point = _point(replace(SERVICE, distribution=distribution), ready=ready)
    assert (point.hint_zone, point.hint_node) == hints


def test_host_names_are_for_the_pod_s_own_subdomain() -> None:
    """hostname is set when the pod's subdomain is the Service's name."""
    assert _point(hostname="h", subdomain="s").hostname == "h"
    assert _point(hostname="h", subdomain="other").hostname == ""


def test_ports() -> None:
    """A number is itself; a name is looked up with its protocol; a name that the pod lacks is left out."""
    ports = (
        ServicePort("a", "TCP", 90, "http", 80),
        ServicePort("b", "UDP", "dns", "", 53),
        ServicePort("c", "TCP", "dns", "", 53),
    )
    placed = place(replace(SERVICE, ports=ports), POD, ZONES)
    assert placed is not None
    assert placed.ports == (Port("a", "TCP", 90, "http"), Port("b", "UDP", 5353))


def test_weights() -> None:
    """0 to 1000; anything else is refused and counts as none."""
    assert [weight(text) for text in (None, "0", "7", "1000")] == [None, 0, 7, 1000]
    for text in ("", "-1", "1001", "1.5", "٣", "x"):
        with pytest.raises(ValueError, match="is no integer from 0 to 1000: the pod counts as 1"):
            weight(text)
        assert _point(weight=text).weight is None
    assert _point(weight="7").weight == 7


def _pod(**status: Any) -> dict[str, Any]:
    spec = {"nodeName": "n1", "hostNetwork": True, "containers": [{"ports": [{"containerPort": 1}]}]}
    return {"metadata": {"namespace": "d", "name": "p", "uid": "u"}, "spec": spec, "status": status}


def test_pods_without_address_and_ended_pods_are_no_endpoints() -> None:
    """A pod that has ended keeps its address in the status, and is left out; hostNetwork pods count."""
    assert place(SERVICE, pod_facts(_pod(phase="Pending")), {}) is None
    for phase in ("Succeeded", "Failed"):
        assert place(SERVICE, pod_facts(_pod(phase=phase, podIP="172.18.1.2")), {}) is None
    placed = place(SERVICE, pod_facts(_pod(phase="Running", podIP="172.18.1.2")), {})
    assert placed == Placed((), Endpoint("172.18.1.2", False, False, False, node="n1", target=TARGET))


def test_services_that_select_nothing() -> None:
    """Without selector, and as ExternalName, a Service has no slices of the controller's."""
    metadata = {"namespace": "d", "name": "s", "uid": "v"}
    assert service_facts({"metadata": metadata, "spec": {"ports": []}}) is None
    assert service_facts({"metadata": metadata, "spec": {"type": "ExternalName", "selector": {"a": "b"}}}) is None


# Slices

_LABELS = slice_labels((("team", "x"), ("kubernetes.io/service-name", "lie")), "s", "me", headless=True)
HEADER = Header(_LABELS, "Service", "s", "v")


def test_a_slice_as_an_object() -> None:
    """Labels, owner, endpoints, ports, hints and weights, in upstream's form."""
    point = replace(_point(hostname="h", subdomain="s", weight="7"), hint_zone="east", hint_node="n1")
    assert slice_object("s-x", HEADER, Slice((Port("web", "TCP", 8080, "http"),), {"p": point}), None) == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "s-x",
            "labels": {
                "team": "x",
                "kubernetes.io/service-name": "s",
                "endpointslice.kubernetes.io/managed-by": "me",
                "service.kubernetes.io/headless": "",
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": "s",
                    "uid": "v",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "annotations": {"kubinet.dev/weights": '{"10.244.1.2":7}'},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.244.1.2"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hostname": "h",
                "nodeName": "n1",
                "zone": "east",
                "targetRef": {"kind": "Pod", "namespace": "d", "name": "p", "uid": "u"},
                "hints": {"forZones": [{"name": "east"}], "forNodes": [{"name": "n1"}]},
            }
        ],
        "ports": [{"name": "web", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
    }


_PORTS = st.sampled_from([(), WEB, (Port("web", "TCP", 9090),), (*WEB, Port("dns", "UDP", 53, "x/y"))])


@st.composite
def _placements(draw: st.DrawFn) -> tuple[str, Placed]:
    number = draw(st.integers(0, 11))
    ready = draw(st.booleans())
    point = _point(
        name=f"p{number}",
        address=f"10.244.1.{number + 2}",
        ready=ready,
        terminating=draw(st.booleans()),
        weight=draw(st.sampled_from([None, "0", "12"])),
    )
    return f"p{number}", Placed(draw(_PORTS), point)


@given(st.lists(_placements(), max_size=12))
def test_what_is_written_is_read_back(placed: list[tuple[str, Placed]]) -> None:
    """A restart reads from the objects exactly the slices that were written."""
    points = {name: entry.endpoint for name, entry in placed}
    entry = Slice(placed[0][1].ports if placed else (), points)
    assert read_slice(slice_object("s-x", HEADER, entry, None), pod_name) == entry
    assert set(read_slice(slice_object("s-x", HEADER, entry, None), address_and_ports).endpoints) == {
        (entry.ports, point.address) for point in points.values()
    }


_CHANGES = st.lists(st.tuples(st.booleans(), _placements()), max_size=60)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(_CHANGES)
def test_slices_say_what_should_be_and_change_little(changes: list[tuple[bool, tuple[str, Placed]]]) -> None:
    """Whatever comes and goes: the union is what should be, no slice is too long, each change touches at most two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slicing, "MAX_ENDPOINTS", 3)
        names = count()
        slices: SliceSet[str] = SliceSet(lambda: f"s-{next(names)}")
        slices.tidy()
        slices.written()
        wanted: dict[str, Placed] = {}
        for remove, (name, placed) in changes:
            wanted.pop(name, None)
            if not remove:
                wanted[name] = placed
            slices.set(name, wanted.get(name))
            slices.tidy()
            _check(slices, wanted, 3)
            assert len(slices.dirty) + len(slices.removed) <= 2
            assert not set(slices.dirty) & set(slices.removed)
            slices.written()
        again = {
            name: Placed((*placed.ports, Port("more", "TCP", 1)), placed.endpoint) for name, placed in wanted.items()
        }
        slices.replace(again)
        slices.tidy()
        _check(slices, again, 3)


def _check(slices: SliceSet[str], wanted: dict[str, Placed], limit: int) -> None:
    pairs = [
        (name, Placed(entry.ports, point))
        for entry in slices.slices.values()
        for name, point in entry.endpoints.items()
    ]
    assert len(pairs) == len(wanted)
    assert dict(pairs) == wanted
    sizes = [len(entry.endpoints) for entry in slices.slices.values()]
    assert max(sizes) <= limit
    assert sizes == [0] or 0 not in sizes


def test_ten_thousand_endpoints() -> None:
    """A hundred full slices; then one change is one slice, and a change of all ports keeps every slice's members."""
    names = count()
    slices: SliceSet[str] = SliceSet(lambda: f"s-{next(names)}")
    wanted = {f"p{n}": Placed(WEB, _point(address=f"10.{n >> 8}.{n & 255}.1", name=f"p{n}")) for n in range(10_000)}
    slices.replace(wanted)
    assert [len(entry.endpoints) for entry in slices.slices.values()] == [100] * 100
    slices.written()
    slices.set("p4711", Placed(WEB, replace(wanted["p4711"].endpoint, ready=False)))
    assert list(slices.dirty) == ["s-47"]
    members = {name: list(entry.endpoints) for name, entry in slices.slices.items()}
    moved = (Port("web", "TCP", 9090),)
    slices.replace({name: Placed(moved, placed.endpoint) for name, placed in wanted.items()})
    assert {name: list(entry.endpoints) for name, entry in slices.slices.items()} == members
    assert {entry.ports for entry in slices.slices.values()} == {moved}


# Old Endpoints


def test_endpoints_v1() -> None:
    """Ready and unready addresses by ports; terminating pods and pods without the port are left out."""
    pods = [
        replace(POD, name="b", address="10.244.1.10"),
        POD,
        replace(POD, name="c", address="10.244.1.3", ready=False),
        replace(POD, name="d", address="10.244.1.4", terminating=True),
        replace(POD, name="e", address="10.244.1.5", ports=()),
        replace(POD, name="f", address="10.244.1.6", ports=(("http", "TCP", 9090),)),
    ]

    def address(name: str, ip: str) -> dict[str, Any]:
        target = {"kind": "Pod", "namespace": "d", "name": name, "uid": "u"}
        return {"ip": ip, "nodeName": "n1", "targetRef": target}

    assert endpointsv1.subsets(SERVICE, pods) == (
        [
            {
                "addresses": [address("p", "10.244.1.2"), address("b", "10.244.1.10")],
                "notReadyAddresses": [address("c", "10.244.1.3")],
                "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
            },
            {
                "addresses": [address("f", "10.244.1.6")],
                "ports": [{"name": "web", "port": 9090, "protocol": "TCP"}],
            },
        ],
        False,
    )


def test_endpoints_v1_are_truncated() -> None:
    """Beyond 1,000 addresses unready ones are left out first, and an annotation says so until there is room again."""
    pods = [replace(POD, name=f"p{n}", address=f"10.1.{n >> 8}.{n & 255}", ready=n % 4 > 0) for n in range(1200)]
    made = endpointsv1.endpoints_object(SERVICE, pods, None)
    assert made["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    (subset,) = made["subsets"]
    assert (len(subset["addresses"]), len(subset["notReadyAddresses"])) == (900, 100)
    again = endpointsv1.endpoints_object(SERVICE, pods[:1000], made)
    assert "annotations" not in again["metadata"]
