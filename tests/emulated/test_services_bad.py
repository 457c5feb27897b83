"""Services that are wrong, too large or in each other's way: refused with clear words, told as events, or working.

What the API refuses by itself is in tests/unit: test_services_validation, test_services_allocation.
"""

from ipaddress import IPv4Address

import pytest
from servicelab import Lab, To, endpoint_slice, pod, service
from serviceprograms import PYTHON, SERVER

from kubinet.errors import ApiError

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(120)]

ECHO = {"app": "echo"}
FAR = IPv4Address("198.18.0.0")
MANY = 10_000


def prepare(lab: Lab) -> None:
    lab.start(pod("client", "n1"), pod("one", "n1", ECHO), pod("two", "n2", {"app": "second"}))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"ports": [{"port": 70000}]}, "must be between 1 and 65535"),
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 25000}]}, "not in the valid range"),
        ({"clusterIP": "192.0.2.1"}, "not in the valid range"),
        ({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}, "Duplicate value"),
        ({"clusterIP": "010.096.0.10"}, "must be a valid IP address"),
    ],
)
def test_refused_services(lab: Lab, spec: dict[str, object], words: str) -> None:
    """Ports and addresses out of their ranges, ports twice, addresses with leading zeros: refused with these words."""
    with pytest.raises(ApiError, match="422") as refused:
        lab.create(service("refused", **spec))
    assert words in str(refused.value)


def test_a_node_port_is_given_once(lab: Lab) -> None:
    """A second Service with the same nodePort is refused; after the first one's end it may have it."""
    ports = [{"port": 80, "targetPort": 8080, "nodePort": 30500}]
    lab.create(service("holder", ECHO, type="NodePort", ports=ports))
    with pytest.raises(ApiError, match="provided port is already allocated"):
        lab.create(service("second", {"app": "second"}, type="NodePort", ports=ports))
    node = lab.address("n2")
    lab.until_who(lab.outside, ["one"], To(node, 30500, times=4))
    lab.remove("Service", "holder")
    lab.create(service("second", {"app": "second"}, type="NodePort", ports=ports))
    lab.until_who(lab.outside, ["two"], To(node, 30500, times=4))


def test_two_services_want_one_external_address(lab: Lab) -> None:
    """The first by name serves; the other one has the event AddressInUse; later it takes over."""
    lab.create(
        service("b-late", {"app": "second"}, externalIPs=["203.0.113.9"]),
        service("a-first", ECHO, externalIPs=["203.0.113.9"]),
    )
    lab.until_who(lab.pod("client"), ["one"], To("203.0.113.9", times=4))
    assert "belongs to Service default/a-first already" in lab.until_event("b-late", "AddressInUse")
    lab.remove("Service", "a-first")
    lab.until_who(lab.pod("client"), ["two"], To("203.0.113.9", times=4))


def test_endpoints_that_nobody_reaches(lab: Lab) -> None:
    """Endpoints in a network without a way do not answer; the Service's other endpoint is not disturbed.

    One with a pod's address that no pod has is told.
    """
    address = lab.serve(service("foreign"))
    lab.create(endpoint_slice("foreign-1", "foreign", [{"addresses": ["192.0.2.33"]}], [{"port": 8080}]))
    client = lab.pod("client")
    lab.until(True, lambda: lab.who(client, To(address, timeout=1))[0][0] not in ("one", "refused"))
    with pytest.raises(ApiError, match="may not be in the loopback range"):
        lab.create(endpoint_slice("foreign-2", "foreign", [{"addresses": ["127.0.0.1"]}], [{"port": 8080}]))
    own = {"addresses": [str(lab.pod("one").address)], "nodeName": "n1"}
    lab.create(endpoint_slice("foreign-3", "foreign", [own], [{"port": 8080}]))
    lab.until(True, lambda: "one" in lab.who(client, To(address, times=16, timeout=0.3))[0])
    lab.create(endpoint_slice("foreign-4", "foreign", [{"addresses": ["10.244.0.250"]}], [{"port": 8080}]))
    assert "10.244.0.250 is an address for pods" in lab.until_event("foreign", "EndpointUnreachable")


def test_ten_thousand_endpoints(lab: Lab) -> None:
    """More endpoints than a group holds: every connection is answered, also by node port."""
    outside = lab.outside
    outside.exec(["ip", "route", "add", "local", f"{FAR}/18", "dev", "lo"])
    for name in lab.nodes:
        lab.node(name).exec(["ip", "route", "add", f"{FAR}/18", "via", str(outside.address)])
    spec = lab.create(service("huge", type="NodePort", ports=[{"port": 80, "targetPort": 8080}]))[0]["spec"]
    for first in range(0, MANY, 1000):
        endpoints = [{"addresses": [str(FAR + number)]} for number in range(first + 1, first + 1001)]
        lab.create(endpoint_slice(f"huge-{first}", "huge", endpoints, [{"port": 8080}]))
    lab.until([True, True], lambda: [_endpoints(lab, name) >= MANY for name in lab.nodes], 60)
    with outside.popen([PYTHON, "-c", SERVER, "outsider", "8080"]) as process:
        questions = To(spec["clusterIP"], times=100), To(lab.address("n2"), spec["ports"][0]["nodePort"], times=100)
        lab.until([["outsider"]] * 2, lambda: lab.who(lab.pod("client"), *questions))
        assert lab.who(lab.pod("client"), *questions) == [["outsider"]] * 2
        process.kill()


def _endpoints(lab: Lab, node: str) -> int:
    """How many endpoints the node's rules know."""
    if lab.proxy == "sdn":
        argv = ["ovs-ofctl", "-O", "OpenFlow15", "dump-aggregate", f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"]
        return int(lab.cluster.run([*argv, "table=30"]).text.rpartition("flow_count=")[2])
    return lab.node(node).exec(["nft", "list", "table", "ip", "kubinet"]).text.count("dnat to 198.18.")
