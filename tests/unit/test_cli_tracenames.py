"""What `kubinet trace` says of Services that have a name and no address: what DNS answers, and where to go on."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from agents.dns.model import service_from_object, slice_from_object
from agents.dns.names import name_of
from agents.dns.records import ClusterNames, service_records
from kubinet.cli.clusterview import View
from kubinet.cli.tracenames import document, lines, named_services, refuse_options
from kubinet.cli.traceplaces import named_answer
from kubinet.errors import UsageError
from kubinet.state import ClusterState, NetworkConfig

Object = dict[str, Any]


def _service(name: str, **spec: Any) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


def _slice(name: str, service: str, port: int, *endpoints: Object) -> Object:
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": list(endpoints),
        "ports": [{"name": "sql", "protocol": "TCP", "port": port}, {"name": "log", "protocol": "UDP", "port": 514}],
    }


def _end(address: str, pod: str = "", node: str = "", *, ready: bool | None = True) -> Object:
    made: Object = {"addresses": [address], "nodeName": node, "conditions": {} if ready is None else {"ready": ready}}
    return made | ({"targetRef": {"kind": "Pod", "namespace": "shop", "name": pod}} if pod else {})


SLICES = [
    _slice("db-1", "db", 5432, _end("10.244.2.9", "db-1", "n2"), _end("10.244.1.9", "db-2", "n1", ready=False)),
    _slice("db-2", "db", 5432, _end("10.244.1.2", "db-0", "n1", ready=None)),
    _slice("mixed-1", "mixed", 5432, _end("10.244.1.2", "db-0", "n1")),
    _slice("mixed-2", "mixed", 0, _end("10.244.2.9", "db-1", "n2"))
    | {"ports": [{"name": "admin", "protocol": "TCP", "port": 9000}]},
    _slice("all-1", "all", 80, _end("10.244.1.9", "db-2", "n1", ready=False)),
    _slice("hand-1", "hand", 80, _end("192.0.2.7")),
    _slice("none-1", "none", 80, _end("10.244.1.9", "db-2", "n1", ready=False)),
    _slice("web-1", "web", 80, _end("10.244.1.2", "db-0", "n1")),
]
SERVICES = [
    _service("db", clusterIP="None"),
    _service("mixed", clusterIP="None"),
    _service("all", clusterIP="None", publishNotReadyAddresses=True),
    _service("hand", clusterIP="None"),
    _service("none", clusterIP="None"),
    _service("web", type="ClusterIP", clusterIP="10.96.0.9"),
    _service("far", type="ExternalName", externalName="www.example.org."),
    _service("near", type="ExternalName", externalName="web.shop.svc.cluster.local"),
    _service("bare", type="ExternalName", externalName="192.0.2.7"),
]
VIEW = View(ClusterState(NetworkConfig(), {}, {}), named=named_services(SERVICES, SLICES))


def _told(word: str) -> list[str]:
    found = named_answer(word, "shop", VIEW)
    assert found is not None
    return list(lines(found, "shop/a"))


def test_a_headless_service_is_its_ready_endpoints() -> None:
    """Their addresses, pods, nodes and ports; those that are not ready; a trace to the first one."""
    assert _told("svc/db") == [
        "Service shop/db is headless: no packet goes to it, and its ports are not translated. DNS answers "
        "db.shop.svc.cluster.local with the addresses of its endpoints:",
        "  10.244.1.2 (shop/db-0 on node n1), port 5432/tcp (sql), 514/udp (log)",
        "  10.244.2.9 (shop/db-1 on node n2), port 5432/tcp (sql), 514/udp (log)",
        "Not ready, so DNS leaves them out: 10.244.1.9 (shop/db-2 on node n1)",
        "Go on with: kubinet trace shop/a shop/db-0:5432",
    ]


def test_who_publishes_all_addresses_has_them_all() -> None:
    """publishNotReadyAddresses; an endpoint made by hand has an address only."""
    assert _told("svc/all")[1:] == [
        "  10.244.1.9 (shop/db-2 on node n1), port 80/tcp (sql), 514/udp (log)",
        "Go on with: kubinet trace shop/a shop/db-2:80",
    ]
    assert _told("svc/hand")[1:] == [
        "  192.0.2.7, port 80/tcp (sql), 514/udp (log)",
        "Go on with: kubinet trace shop/a 192.0.2.7:80",
    ]


def test_without_a_ready_endpoint_there_is_no_name() -> None:
    """NXDOMAIN, and nothing to trace to."""
    assert _told("svc/shop/none") == [
        "Service shop/none is headless and has no ready endpoint: DNS has no name none.shop.svc.cluster.local "
        "(NXDOMAIN)",
        "Not ready, so DNS leaves them out: 10.244.1.9 (shop/db-2 on node n1)",
    ]


@pytest.mark.parametrize(
    ("word", "goes_on"),
    [
        ("svc/db:80", "shop/db-0:80"),
        ("svc/db:80/udp", "shop/db-0:80/udp"),
        ("svc/db:log", "shop/db-0:514/udp"),
        ("svc/db:sql/tcp", "shop/db-0:5432"),
        ("svc/db:514", "shop/db-0:514/udp"),
        ("svc/mixed", "shop/db-0:5432"),
        ("svc/mixed:admin", "shop/db-1:9000"),
        ("svc/mixed:9000", "shop/db-1:9000"),
        ("svc/mixed:9000/udp", "shop/db-0:9000/udp"),
        ("svc/near", "svc/shop/web"),
        ("svc/near:80/tcp", "svc/shop/web:80"),
    ],
)
def test_the_port_that_is_asked_for_goes_on(word: str, goes_on: str) -> None:
    """To the first endpoint whose slice has it; a number that none has goes on as it is, as nothing translates it."""
    assert _told(word)[-1] == f"Go on with: kubinet trace shop/a {goes_on}"


def test_a_port_that_endpoints_have_not_is_refused() -> None:
    """With those that any of them has."""
    with pytest.raises(UsageError) as caught:
        _told("svc/mixed:sql/udp")
    assert str(caught.value) == (
        "Service shop/mixed has no port 'sql/udp'; its endpoints in DNS have 5432/tcp (sql), 514/udp (log), "
        "9000/tcp (admin)"
    )
    with pytest.raises(UsageError, match="protocol 'quic' is unknown"):
        _told("svc/db:80/quic")


def test_an_external_name_is_its_target() -> None:
    """A CNAME; an address is none, and has no record."""
    assert _told("svc/far") == [
        "Service shop/far is an ExternalName: no packet goes to it. DNS answers far.shop.svc.cluster.local with CNAME "
        "www.example.org, and with what that name has"
    ]
    assert _told("svc/bare") == [
        "Service shop/bare is an ExternalName: no packet goes to it. Its target 192.0.2.7 is an address, so DNS has no "
        "record for it"
    ]


@pytest.mark.parametrize("word", ["svc/web", "svc/gone", "db", "node/n1", "svc/db:"])
def test_other_destinations_are_traced(word: str) -> None:
    """Services with an address, unknown ones and words without meaning are not answered here."""
    assert named_answer(word, "shop", VIEW) is None


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("svc/db", "; trace to shop/db-0:5432 instead"),
        ("svc/near:80", "; trace to svc/shop/web:80 instead"),
        ("svc/none", ""),
    ],
)
def test_options_that_speak_of_a_packet_are_refused(word: str, instead: str) -> None:
    """With what they can be given for; without them nothing is refused."""
    found = named_answer(word, "shop", VIEW)
    assert found is not None
    refuse_options(found, [])
    with pytest.raises(UsageError) as caught:
        refuse_options(found, ["--endpoint", "--live"])
    service = word.removeprefix("svc/").partition(":")[0]
    assert str(caught.value) == (
        f"--endpoint, --live: no packet goes to Service shop/{service}, which has no address{instead}"
    )


def test_programs_get_the_same() -> None:
    """Beside the fields of every trace."""
    found = named_answer("svc/db", "shop", VIEW)
    assert found is not None
    told = document(found)
    ends = told["service"].pop("endpoints")
    assert told.pop("says").startswith("Service shop/db is headless")
    assert told == {
        "delivered": False,
        "request": None,
        "reply": None,
        "traceTo": "shop/db-0:5432",
        "service": {
            "name": "shop/db",
            "kind": "Headless",
            "dnsName": "db.shop.svc.cluster.local",
            "externalName": None,
        },
    }
    assert [(end["address"], end["pod"], end["node"], end["inDNS"]) for end in ends] == [
        ("10.244.1.2", "shop/db-0", "n1", True),
        ("10.244.1.9", "shop/db-2", "n1", False),
        ("10.244.2.9", "shop/db-1", "n2", True),
    ]
    assert ends[0]["ports"][0] == {"name": "sql", "protocol": "TCP", "port": 5432}


@pytest.mark.parametrize("obj", SERVICES, ids=lambda obj: str(obj["metadata"]["name"]))
def test_what_is_said_is_what_dns_answers(obj: Object) -> None:
    """The records that the name server makes of the same objects."""
    name = obj["metadata"]["name"]
    own = [slice_from_object(one) for one in SLICES if one["metadata"]["name"].startswith(f"{name}-")]
    names = ClusterNames()
    records = service_records(service_from_object(obj), own, names).get(names.service("shop", name), ())
    service = VIEW.named.get(f"shop/{name}")
    if service is None:
        assert [str(one) for one in records] == ["10.96.0.9"]
        return
    assert service.dns_name == name_of(names.service("shop", name)).to_text(omit_final_dot=True)
    if not service.external_name:
        assert {IPv4Address(str(one)) for one in records} == {one.address for one in service.published}
    else:
        found = named_answer(f"svc/{name}", "shop", VIEW)
        assert found is not None
        cnames = [str(one).removesuffix(".") for one in records]
        assert [one for one in cnames if f"CNAME {one}," in found.says] == cnames
        assert bool(cnames) == ("CNAME" in found.says)
