"""The controller dies while connections are made and data flows: nobody notices."""

import json

import pytest
from servicelab import Lab, To, pod, service

from kubinet.errors import KubinetError

pytestmark = pytest.mark.emulated

CLUSTER = {"topology": "star", "nodes": 2}
LOGS_TROUBLE = "services are killed on purpose"
ECHO = {"app": "echo"}
CONNECTIONS_PER_SECOND = 100


def prepare(lab: Lab) -> None:
    servers = [pod(f"e{number}", lab.nodes[number % 2], ECHO) for number in range(4)]
    lab.start(pod("client", "n1"), *servers)


ALL = ["e0", "e1", "e2", "e3"]


def _kill(lab: Lab, name: str) -> None:
    """End a service of the sandbox; returns when its successor runs."""
    pid = lab.cluster.services()[name]["pid"]
    lab.cluster.run(["kill", "-9", str(pid)])
    lab.until(True, lambda: lab.cluster.services()[name]["pid"] not in (None, pid))


def test_the_controller_is_killed_in_the_middle(lab: Lab) -> None:
    """kill -9 during a long transfer and 100 new connections a second through a cluster IP: none is lost, all bytes are
    right; and the next controller goes on: a Service made after the kill serves while the traffic runs."""
    address = lab.serve(service("busy", ECHO))
    lab.until_who(lab.pod("client"), ALL, To(address, times=40))
    with lab.traffic("client", To(address, times=CONNECTIONS_PER_SECOND)) as traffic:
        _kill(lab, "controller")
        after = lab.serve(service("after", ECHO))
        lab.until_who(lab.node("n2"), ALL, To(after, times=40))
        result = json.loads(traffic.finish())
    assert (result["transfer"], result["failed"]) == ("same", [])
    assert result["bytes"] > 0
    assert result["connections"] >= CONNECTIONS_PER_SECOND * result["seconds"] * 0.5


def test_services_outlive_the_api(lab: Lab) -> None:
    """kill -9 of the API: Services serve meanwhile, and a Service made afterwards does too."""
    address = lab.serve(service("steady", ECHO))
    lab.until_who(lab.node("n1"), ALL, To(address, times=40))
    _kill(lab, "api")
    assert lab.who(lab.node("n1"), To(address, times=40)) == [ALL]

    def made() -> bool:
        try:
            lab.serve(service("later", ECHO))
        except KubinetError:
            return False
        return True

    lab.until(True, made)
    later = lab.cluster.client.get("Service", "later", "default")["spec"]["clusterIP"]
    lab.until_who(lab.node("n2"), ALL, To(later, times=40))
