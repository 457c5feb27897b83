"""What `kubinet port-forward`'s arguments mean."""

from typing import Any

import pytest

from kubinet.cli.forwarding import Forward, parse, resolve
from kubinet.errors import KubinetError, UsageError

POD = {
    "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
WAITING = POD | {"metadata": {"name": "web-0"}, "status": {}}
SERVICE = {
    "metadata": {"name": "shop"},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
}


class Api:
    """Answers as the API would."""

    def __init__(self, *pods: Any, service: Any = SERVICE) -> None:
        self.pods = pods
        self.service = service

    def get(self, kind: str, name: str, namespace: str) -> Any:
        return self.service if kind == "services" else self.pods[0]

    def list(self, kind: str, namespace: str, *, label_selector: str) -> Any:
        assert label_selector == "app=web"
        return {"items": list(self.pods)}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("80", Forward(None, "80")),
        ("8080:80", Forward(8080, "80")),
        (":80", Forward(0, "80")),
        ("8080:http", Forward(8080, "http")),
        ("http", Forward(None, "http")),
    ],
)
def test_ports_are_kubectls(text: str, meaning: Forward) -> None:
    """Local and remote, an empty local one is the kernel's choice, without one it is the same."""
    assert parse(text) == meaning


@pytest.mark.parametrize("text", ["", ":", "80:", "0", "70000", "1:70000", "x:80", "-1:80", "1:2:3"])
def test_other_ports_are_refused(text: str) -> None:
    """The error says how to write it."""
    with pytest.raises(UsageError, match="write LOCAL:REMOTE"):
        parse(text)


def test_a_pods_port_may_be_a_name() -> None:
    """Without a local port it is the pod's own number."""
    api: Any = Api(POD)
    assert resolve(api, "pods", "web-1", "default", [parse("http"), parse("1:2")]) == ("web-1", [(8080, 8080), (1, 2)])
    with pytest.raises(UsageError, match="pod 'web-1' has no port named 'none'"):
        resolve(api, "pods", "web-1", "default", [parse("none")])


def test_a_services_port_leads_to_a_ready_pod() -> None:
    """The remote port is the target port, the local one by default the service's."""
    api: Any = Api(WAITING, POD)
    assert resolve(api, "services", "shop", "default", [parse("80"), parse("1:web")]) == (
        "web-1",
        [(80, 8080), (1, 8080)],
    )
    with pytest.raises(UsageError, match="service 'shop' has no port 81; its ports: 80"):
        resolve(api, "services", "shop", "default", [parse("81")])
    with pytest.raises(KubinetError, match="service 'shop' has no pod that is ready"):
        resolve(Api(WAITING), "services", "shop", "default", [parse("80")])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a pod or a service"):
        resolve(api, "configmaps", "x", "default", [parse("80")])
