"""Which pod a command means."""

from typing import Any

import pytest

from kubinet.cli.podof import pod_of
from kubinet.errors import KubinetError, UsageError


class Api:
    """What `pod_of` asks of a client."""

    def __init__(self, spec: dict[str, Any], pods: dict[str, bool]) -> None:
        self.spec, self.pods = spec, pods
        self.selectors: list[str] = []

    def get(self, _kind: str, _name: str, _namespace: str) -> dict[str, Any]:
        return {"spec": self.spec}

    def list(self, _kind: str, _namespace: str, *, label_selector: str) -> dict[str, Any]:
        self.selectors.append(label_selector)
        return {
            "items": [
                {
                    "metadata": {"name": name},
                    "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
                }
                for name, ready in self.pods.items()
            ]
        }


def test_a_workload_means_one_of_its_pods_a_ready_one_first() -> None:
    """deploy/NAME by its matchLabels, svc/NAME by its selector; names decide among equals."""
    deployment = Api({"selector": {"matchLabels": {"app": "web", "tier": "a"}}}, {"a": False, "c": True, "b": True})
    assert pod_of(deployment, "deployments", "web", "shop") == "b"  # type: ignore[arg-type]
    assert deployment.selectors == ["app=web,tier=a"]
    service = Api({"selector": {"app": "web"}}, {"b": False, "a": False})
    assert pod_of(service, "services", "web", "shop") == "a"  # type: ignore[arg-type]


def test_what_means_no_pod_is_said() -> None:
    """Other kinds are a usage error; a Service without selector and a workload without pods say so."""
    with pytest.raises(UsageError, match="configmaps/x: needs a pod, a service or a workload"):
        pod_of(Api({}, {}), "configmaps", "x", "d")  # type: ignore[arg-type]
    with pytest.raises(KubinetError, match="services/x selects no pods"):
        pod_of(Api({}, {}), "services", "x", "d")  # type: ignore[arg-type]
    with pytest.raises(KubinetError, match="services/x has no pod; `kubinet get pods -n d -l a=b` shows them"):
        pod_of(Api({"selector": {"a": "b"}}, {}), "services", "x", "d")  # type: ignore[arg-type]
