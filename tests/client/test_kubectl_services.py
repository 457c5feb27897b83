"""kubectl and Services: create, expose, get, describe, edit, delete; Endpoints and EndpointSlices beside them."""

import json
import subprocess
import time
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def _spec(kubectl: Kubectl, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(kubectl("get", "svc", name, "-o", "json").stdout)["spec"]
    return found


def _until(kubectl: Kubectl, text: str, *arguments: str) -> str:
    """Standard output of a command once it contains a text."""
    deadline = time.monotonic() + 30
    while text not in (shown := kubectl(*arguments, code=None).stdout):
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def test_create_service(kubectl: Kubectl) -> None:
    """The four forms of `create service`, which kubectl sends as protobuf."""
    kubectl("create", "service", "clusterip", "c", "--tcp=80:8080")
    kubectl("create", "service", "clusterip", "h", "--clusterip=None")
    kubectl("create", "service", "nodeport", "n", "--tcp=80", "--node-port=31080")
    kubectl("create", "service", "loadbalancer", "l", "--tcp=443:https")
    created = kubectl("create", "service", "externalname", "e", "--external-name=example.com", "--tcp=80")
    assert "Warning: spec.ports is ignored for ExternalName services" in created.stderr
    _until(kubectl, "172.31.0.1", "get", "svc", "l")
    rows = {
        (cells := line.split())[0]: cells[1:5] for line in kubectl("get", "svc", "--no-headers").stdout.splitlines()
    }
    assert rows["c"][0] == "ClusterIP"
    assert rows["c"][1].startswith("10.96.1.")
    assert rows["c"][2:] == ["<none>", "80/TCP"]
    assert rows["h"] == ["ClusterIP", "None", "<none>", "<none>"]
    assert (rows["n"][0], rows["n"][3]) == ("NodePort", "80:31080/TCP")
    assert (rows["l"][0], rows["l"][2]) == ("LoadBalancer", "172.31.0.1")
    assert rows["e"][:3] == ["ExternalName", "<none>", "example.com"]
    again = kubectl("create", "service", "nodeport", "m", "--tcp=80", "--node-port=31080", code=1)
    assert "spec.ports[0].nodePort: Invalid value: 31080: provided port is already allocated" in again.stderr
    kubectl("delete", "svc", "c", "h", "n", "l", "e")


def test_expose_and_look(kubectl: Kubectl, running_pod: str) -> None:
    """A pod exposed as a Service is its endpoint: in get, in -o wide, in describe; without it there is none."""
    exposed = kubectl("expose", "pod", running_pod, "--port=80", "--target-port=8080", "--name=front")
    assert exposed.stdout == "service/front exposed\n"
    assert "does not act on it yet" not in exposed.stderr
    _until(kubectl, "10.244.1.2:8080", "get", "endpoints", "front")
    lines = kubectl("get", "svc,endpoints,endpointslices", "-o", "wide").stdout.splitlines()
    service = next(line.split() for line in lines if line.startswith("service/front"))
    assert (service[1], service[3], service[4], service[6]) == ("ClusterIP", "<none>", "80/TCP", "app=web")
    endpoints = next(line.split() for line in lines if line.startswith("endpoints/front"))
    assert endpoints[1] == "10.244.1.2:8080"
    found = next(line.split() for line in lines if line.startswith("endpointslice.discovery.k8s.io/front-"))
    assert found[1:4] == ["IPv4", "8080", "10.244.1.2"]
    told = kubectl("describe", "svc", "front").stdout
    for text in ("Selector:", "app=web", "TargetPort:", "8080/TCP", "Endpoints:", "10.244.1.2:8080", "IP Families:"):
        assert text in told
    kubectl("label", "pod", running_pod, "app=other", "--overwrite")
    _until(kubectl, "<unset>", "get", "endpointslices", "-l", "kubernetes.io/service-name=front")
    kubectl("label", "pod", running_pod, "app=web", "--overwrite")
    _until(kubectl, "10.244.1.2", "get", "endpointslices", "-l", "kubernetes.io/service-name=front")
    kubectl("delete", "svc", "front")
    assert kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=front").stdout == ""


APPLIED = """
apiVersion: v1
kind: Service
metadata: {name: s, annotations: {kubinet.dev/load-balancer: maglev}}
spec: {selector: {app: s}, ports: [{name: http, port: 80}]}
"""


def test_apply_and_change_types(kubectl: Kubectl) -> None:
    """apply keeps what was allocated; patches go through all types; a wrong algorithm is refused with the list."""
    kubectl("apply", "-f", "-", stdin=APPLIED)
    before = _spec(kubectl, "s")
    assert kubectl("apply", "-f", "-", stdin=APPLIED).stdout == "service/s unchanged\n"
    changed = APPLIED.replace("port: 80", "port: 81")
    assert kubectl("apply", "-f", "-", stdin=changed).stdout == "service/s configured\n"
    assert kubectl("replace", "-f", "-", stdin=APPLIED).stdout == "service/s replaced\n"
    assert _spec(kubectl, "s") == before
    kubectl("patch", "svc", "s", "-p", '{"spec":{"type":"NodePort"}}')
    ports = _spec(kubectl, "s")["ports"]
    assert isinstance(ports, list)
    assert ports[0]["nodePort"] >= 30086
    kubectl("patch", "svc", "s", "-p", '{"spec":{"type":"ExternalName","externalName":"example.com"}}')
    assert "clusterIP" not in _spec(kubectl, "s")
    kubectl("patch", "svc", "s", "-p", '{"spec":{"type":"ClusterIP"}}')
    refused = kubectl("annotate", "svc", "s", "kubinet.dev/load-balancer=best", "--overwrite", code=1)
    assert 'Unsupported value: "best": supported values: "hash", "random", "round-robin"' in refused.stderr
    kubectl("delete", "svc", "s")


def test_pending_load_balancers_say_why(kubectl: Kubectl) -> None:
    """An address outside of the pool leaves the Service pending, and describe shows the event."""
    body = APPLIED.replace("spec: {", "spec: {type: LoadBalancer, loadBalancerIP: 192.0.2.1, ")
    kubectl("apply", "-f", "-", stdin=body)
    told = _until(kubectl, "SyncLoadBalancerFailed", "describe", "svc", "s")
    assert "spec.loadBalancerIP 192.0.2.1 is not in the cluster's loadBalancerCIDR 172.31.0.0/24" in told
    assert kubectl("get", "svc", "s", "--no-headers").stdout.split()[3] == "<pending>"
    kubectl("delete", "svc", "s")
