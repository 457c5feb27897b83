"""Host ports of pods, with real packets: by protocol and address, from outside, from pods, from other nodes.

n1: web, alike, client     n2: elsewhere
"""

import pytest
from servicelab import Lab, To, pod

from kubinet.client import Object

pytestmark = pytest.mark.emulated


def _with(name: str, node: str, *ports: Object) -> Object:
    made = pod(name, node)
    made["spec"]["containers"][0]["ports"] = list(ports)
    return made


def prepare(lab: Lab) -> None:
    own = lab.address("n1")
    lab.start(
        pod("client", "n1"),
        pod("elsewhere", "n2"),
        _with("web", "n1", {"containerPort": 8080, "hostPort": 54323, "hostIP": own}),
        _with("alike", "n1", {"containerPort": 8081, "hostPort": 54323, "hostIP": own, "protocol": "UDP"}),
        _with("open", "n1", {"containerPort": 8080, "hostPort": 54324}),
        _with("foreign", "n1", {"containerPort": 8080, "hostPort": 54325, "hostIP": "192.0.2.1"}),
    )


def test_host_ports_lead_to_their_pods(lab: Lab) -> None:
    """The same port by TCP and by UDP is two pods; from the outside, another node, its pods, and pods of the node."""
    own = lab.address("n1")
    questions = [[To(own, 54323, times=4)], [To(own, 54323, "udp", times=4)], [To(own, 54324, times=4, size=50_000)]]
    places = [lab.outside, lab.node("n2"), lab.pod("elsewhere"), lab.pod("client"), lab.pod("open")]
    for place in places:
        for question, expected in zip(questions, ("web", "alike", "open"), strict=True):
            lab.until_who(place, [expected], *question)
    assert lab.ask(lab.outside, To(own, 54324))[0].clients == [str(lab.outside.address)]


def test_host_ports_belong_to_one_address_of_one_node(lab: Lab) -> None:
    """hostIP of another address, and the same port on another node, lead nowhere."""
    assert lab.who(lab.outside, To(lab.address("n1"), 54325, timeout=1)) == [["refused"]]
    assert lab.who(lab.outside, To(lab.address("n2"), 54324, timeout=1)) == [["refused"]]


def test_a_host_port_goes_with_its_pod(lab: Lab) -> None:
    """Of two pods that want one port the first by name has it; when that is deleted the other has, then nobody."""
    own = lab.address("n1")
    for name in ("first", "second"):
        lab.start(_with(name, "n1", {"containerPort": 8080, "hostPort": 54330}))
    lab.until_who(lab.outside, ["first"], To(own, 54330, times=4))
    lab.kill("first")
    lab.until_who(lab.outside, ["second"], To(own, 54330, times=4))
    lab.kill("second")
    lab.until_who(lab.outside, ["refused"], To(own, 54330))
