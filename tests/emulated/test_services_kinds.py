"""Kinds of Services from pods and nodes, with real packets: cluster IPs, ports, protocols, headless, without selector.

n1: client, one     n2: two, far      host network: on-n1, on-n2
"""

import socket

import pytest
from servicelab import Lab, To, endpoint_slice, pod, service
from serviceprograms import PYTHON, SERVER

pytestmark = pytest.mark.emulated

ECHO = {"app": "echo"}
HOST_PORTS = (18080, 18081)


def prepare(lab: Lab) -> None:
    lab.start(
        pod("client", "n1"),
        pod("one", "n1", ECHO),
        pod("two", "n2", ECHO),
        pod("on-n1", "n1", {"app": "host"}, ports=HOST_PORTS, hostNetwork=True),
        pod("on-n2", "n2", {"app": "host"}, ports=HOST_PORTS, hostNetwork=True),
    )


def test_a_service_of_several_named_ports(lab: Lab) -> None:
    """Numbers and names of target ports; TCP and UDP on the same port; each port reaches its own target."""
    ports = [
        {"name": "web", "port": 80, "targetPort": "http"},
        {"name": "alt", "port": 81, "targetPort": 8081},
        {"name": "dns", "port": 80, "targetPort": 8080, "protocol": "UDP"},
    ]
    address = lab.serve(service("several", ECHO, ports=ports))
    both = ["one", "two"]
    questions = [To(address, 80, times=16), To(address, 81, times=16), To(address, 80, "udp", times=16)]
    lab.until_who(lab.pod("client"), both, *questions)
    found = lab.ask(lab.pod("client"), *questions)
    assert [{said.split()[2] for said in one.said} for one in found] == [{"8080"}, {"8081"}, {"8080"}]
    own = str(lab.pod("client").address)
    assert [one.clients for one in found] == [[own]] * 3


def test_ports_come_and_go(lab: Lab) -> None:
    """A port that is added serves, one that is taken away is refused, the other one of the same number stays."""
    both = [{"name": kind.lower(), "port": 80, "targetPort": 8080, "protocol": kind} for kind in ("TCP", "UDP")]
    address = lab.serve(service("changing", {"app": "echo"}, ports=both[:1]))
    client = lab.pod("client")
    lab.until([["one", "two"], ["refused"]], lambda: lab.who(client, To(address, times=8), To(address, 80, "udp")))
    lab.patch("Service", "changing", {"spec": {"ports": both}})
    lab.until_who(client, ["one", "two"], To(address, times=8), To(address, 80, "udp", times=8))
    lab.patch("Service", "changing", {"spec": {"ports": both[1:]}})
    lab.until([["refused"], ["one", "two"]], lambda: lab.who(client, To(address), To(address, 80, "udp", times=8)))


def test_sctp(lab: Lab) -> None:
    """A Service with an SCTP port."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        pytest.skip("this kernel has no SCTP sockets (CONFIG_IP_SCTP)")
    address = lab.serve(service("sctp", ECHO, ports=[{"port": 80, "targetPort": 8080, "protocol": "SCTP"}]))
    lab.until_who(lab.pod("client"), ["one", "two"], To(address, 80, "sctp", times=16))


def test_several_services_of_the_same_pods(lab: Lab) -> None:
    """Two Services with one selector both lead to all its pods; a deleted one leads nowhere, the other one stays."""
    first, second = (lab.serve(service(name, ECHO)) for name in ("same-1", "same-2"))
    client = lab.pod("client")
    lab.until_who(client, ["one", "two"], To(first, times=16), To(second, times=16))
    lab.remove("Service", "same-1")
    gone = "refused" if lab.proxy == "sdn" else "silence"  # kube-proxy's nftables mode drops unallocated addresses
    lab.until([[gone], ["one", "two"]], lambda: lab.who(client, To(first, timeout=1), To(second, times=16)))


def test_a_pod_reaches_itself_through_its_service(lab: Lab) -> None:
    """Hairpin, TCP and UDP: the pod answers itself, and other endpoints answer it too."""
    address = lab.serve(service("self", ECHO, ports=[
        {"name": "t", "port": 80, "targetPort": 8080}, {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
    ]))  # fmt: skip
    lab.until_who(lab.pod("one"), ["one", "two"], To(address, times=16), To(address, 80, "udp", times=16))


def test_nodes_reach_services(lab: Lab) -> None:
    """A node's own programs reach endpoints here and elsewhere, TCP and UDP, also from its underlay address."""
    address = lab.serve(service("for-nodes", ECHO, ports=[
        {"name": "t", "port": 80, "targetPort": 8080}, {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
    ]))  # fmt: skip
    for name in lab.nodes:
        bound = lab.address(name)
        questions = [To(address, times=16), To(address, 80, "udp", times=16), To(address, times=16, bind=bound)]
        lab.until_who(lab.node(name), ["one", "two"], *questions)
    lab.until_who(lab.pod("on-n2"), ["one", "two"], To(address, times=16), To(address, 80, "udp", times=16))


def test_endpoints_on_the_host_network(lab: Lab) -> None:
    """Pods of the nodes' own network serve pods, nodes and host-network pods of both nodes, TCP and UDP."""
    ports = [
        {"name": "t", "port": 80, "targetPort": HOST_PORTS[0]},
        {"name": "u", "port": 80, "targetPort": HOST_PORTS[0], "protocol": "UDP"},
    ]
    address = lab.serve(service("hosts", {"app": "host"}, ports=ports))
    for place in (lab.pod("client"), lab.node("n1"), lab.pod("on-n2"), lab.pod("two")):
        lab.until_who(place, ["on-n1", "on-n2"], To(address, times=16), To(address, 80, "udp", times=16))


def test_large_requests(lab: Lab) -> None:
    """100,000 bytes by TCP and 8,000 by UDP, far more than a packet holds, come back exact; also to oneself."""
    address = lab.serve(service("large", ECHO, ports=[
        {"name": "t", "port": 80, "targetPort": 8080}, {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
    ]))  # fmt: skip
    large, datagrams = To(address, times=8, size=100_000), To(address, 80, "udp", times=8, size=8_000)
    for place in (lab.pod("client"), lab.pod("one"), lab.node("n1")):
        lab.until_who(place, ["one", "two"], large)
        # A client's fragments may all go to one endpoint, because they have no port to choose by.
        assert set(lab.who(place, datagrams)[0]) <= {"one", "two"}


def test_without_endpoints_connections_are_refused_at_once(lab: Lab) -> None:
    """TCP and UDP, from a pod, a node and outside, cluster IP and node port: refused within a second."""
    ports = [
        {"name": "t", "port": 80, "targetPort": 8080},
        {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
    ]
    made = lab.create(service("nobody", {"app": "nothing"}, type="NodePort", ports=ports))[0]["spec"]
    address, (tcp, udp) = made["clusterIP"], (port["nodePort"] for port in made["ports"])
    node = lab.address("n1")
    inside = [To(address), To(address, 80, "udp"), To(node, tcp), To(node, udp, "udp")]
    for place, questions in ((lab.pod("client"), inside), (lab.node("n1"), inside), (lab.outside, inside[2:])):
        lab.until_who(place, ["refused"], *questions)
        assert max(found.seconds for found in lab.ask(place, *questions)) < 1
    lab.create(pod("late", "n2", {"app": "nothing"}))
    lab.until_who(lab.pod("client"), ["late"], *inside)
    lab.kill("late")
    lab.until_who(lab.pod("client"), ["refused"], *inside)


def test_unknown_addresses_and_ports(lab: Lab) -> None:
    """A port that no Service has is refused; an address that no Service has is refused (sdn) or silent (nftables)."""
    address = lab.serve(service("known", ECHO))
    lab.until_who(lab.pod("client"), ["one", "two"], To(address, times=16))
    assert lab.who(lab.pod("client"), To(address, 82)) == [["refused"]]
    unknown = lab.who(lab.pod("client"), To("10.96.250.250", 80, timeout=1))
    assert unknown == [["refused" if lab.proxy == "sdn" else "silence"]]


def test_headless_services_have_no_packets_of_their_own(lab: Lab) -> None:
    """clusterIP None: no address, but EndpointSlices with every ready pod, for DNS."""
    made = lab.create(service("headless", ECHO, clusterIP="None"))[0]["spec"]
    assert made["clusterIPs"] == ["None"]

    def addresses() -> list[str]:
        listed = lab.cluster.client.list(
            "EndpointSlice", "default", label_selector="kubernetes.io/service-name=headless"
        )["items"]
        return sorted(one["addresses"][0] for item in listed for one in item["endpoints"] or [])

    lab.until(sorted(str(lab.pod(name).address) for name in ("one", "two")), addresses)


def test_services_without_selector_take_hand_made_slices(lab: Lab) -> None:
    """Several addresses in several slices, several ports in several slices, and an endpoint outside of the cluster."""
    address = lab.serve(service("by-hand", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]))
    outside = str(lab.outside.address)
    one, two = ({"addresses": [str(lab.pod(name).address)], "nodeName": lab.pod(name).node} for name in ("one", "two"))
    lab.create(
        endpoint_slice("by-hand-1", "by-hand", [one], [{"name": "a", "port": 8080}, {"name": "b", "port": 8081}]),
        endpoint_slice("by-hand-2", "by-hand", [two], [{"name": "a", "port": 8080}]),
    )
    client = lab.pod("client")
    lab.until([["one", "two"], ["one"]], lambda: lab.who(client, To(address, times=16), To(address, 81, times=4)))
    with lab.outside.popen([PYTHON, "-c", SERVER, "outsider", "8081"]) as process:
        lab.create(endpoint_slice("by-hand-3", "by-hand", [{"addresses": [outside]}], [{"name": "b", "port": 8081}]))
        for place in (client, lab.node("n2")):
            lab.until_who(place, ["one", "outsider"], To(address, 81, times=16))
        process.kill()


def test_endpoints_made_by_hand_are_mirrored(lab: Lab) -> None:
    """Endpoints (v1) of a Service without selector serve; changes and the deletion follow."""
    address = lab.serve(service("mirrored"))
    subset = {"addresses": [{"ip": str(lab.pod("one").address)}], "ports": [{"port": 8080}]}
    lab.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "mirrored"}, "subsets": [subset]})
    client = lab.pod("client")
    lab.until_who(client, ["one"], To(address, times=4))
    subset = {**subset, "addresses": [{"ip": str(lab.pod("two").address)}]}
    lab.patch("Endpoints", "mirrored", {"subsets": [subset]})
    lab.until_who(client, ["two"], To(address, times=4))
    lab.remove("Endpoints", "mirrored")
    lab.until_who(client, ["refused"], To(address))


def test_other_proxies_services_are_left_alone(lab: Lab) -> None:
    """The label service-proxy-name makes the proxy ignore a Service: its address is nobody's; without it, it serves."""
    obj = service("foreign", ECHO)
    obj["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    address = lab.serve(obj)
    known = lab.serve(service("domestic", ECHO))
    lab.until_who(lab.pod("client"), ["one", "two"], To(known, times=16))
    assert lab.who(lab.pod("client"), To(address, timeout=1))[0] in (["refused"], ["silence"])
    lab.patch("Service", "foreign", {"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": None}}})
    lab.until_who(lab.pod("client"), ["one", "two"], To(address, times=16))
