"""Complaints as Events: of which objects, where, and how often."""

import time
from collections.abc import Mapping
from typing import Any, cast

from controller.complaining import Complainer, Findings
from controller.complaints import Complaint
from controller.objectwarnings import event
from kubinet.client import Client
from kubinet.errors import ApiError
from kubinet.state import ClusterState, NetworkConfig


class Events:
    """An API that takes events, each name once."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def clone(self) -> "Events":
        return self

    def create(self, obj: dict[str, Any]) -> None:
        if obj["metadata"] in [one["metadata"] for one in self.told]:
            raise ApiError(409, "AlreadyExists", "it exists")
        self.told.append(obj)


STATE = ClusterState(NetworkConfig(), {}, {})
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web", "uid": "u1"}}

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "front", "uid": "u3"}}


def wide(*domains: str, uid: str = "u2") -> dict[str, Any]:
    """An AdminNetworkPolicy that names domains, which nobody here can enforce."""
    rules = [{"name": "out", "action": "Allow", "to": [{"domainNames": [domain]}]} for domain in domains]
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "wide", "uid": uid},
        "spec": {"priority": 5, "subject": {"namespaces": {}}, "egress": rules},
    }


def findings(*complaints: Complaint, policies: Mapping[str, Any] | None = None) -> Findings:
    return Findings(STATE, complaints, {"shop/web": SERVICE}, policies or {}, {"shop/front": POD})


def test_an_event_of_a_cluster_wide_policy_is_in_the_default_namespace() -> None:
    """As upstream: the object has no namespace, the event needs one; `kubectl describe` finds it by kind and name."""
    complaint = Complaint("AdminNetworkPolicy/wide", "PolicyNotEnforced", "no")
    made = event(complaint, wide(), time.gmtime(0))
    assert made["metadata"]["namespace"] == "default"
    assert made["involvedObject"] == {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "name": "wide",
        "uid": "u2",
    }
    assert (made["type"], made["reason"], made["message"]) == ("Warning", "PolicyNotEnforced", "no")


def test_an_event_of_a_service_is_in_its_namespace() -> None:
    """Told with the object that compilation complains about."""
    api = Events()
    Complainer(cast(Client, api)).tell(findings(Complaint("Service/shop/web", "TooManyEndpoints", "many")))
    [told] = api.told
    assert told["metadata"]["namespace"] == "shop"
    assert told["involvedObject"] == {
        "apiVersion": "v1", "kind": "Service", "name": "web", "namespace": "shop", "uid": "u1",
    }  # fmt: skip


def test_an_event_of_a_pod_is_in_its_namespace() -> None:
    """A host port's owner is the pod."""
    api = Events()
    Complainer(cast(Client, api)).tell(findings(Complaint("Pod/shop/front", "PortUsedForTranslation", "port")))
    [told] = api.told
    assert (told["metadata"]["namespace"], told["involvedObject"]["kind"], told["involvedObject"]["name"]) == (
        "shop", "Pod", "front",
    )  # fmt: skip


def test_what_a_policy_cannot_enforce_is_told_once() -> None:
    """Each problem is an event; a mended policy has none, and the same problem of a new policy is told again."""
    api = Events()
    complainer = Complainer(cast(Client, api))
    policies = {"AdminNetworkPolicy/wide": wide("a.example", "b.example")}
    for _ in range(2):
        complainer.tell(findings(policies=policies))
    assert [(one["reason"], one["type"]) for one in api.told] == [("PolicyNotEnforced", "Warning")] * 2
    first = api.told[0]["message"]
    assert first.startswith("not enforced as written: spec.egress[0].to[0].domainNames: ")
    complainer.tell(findings(policies={"AdminNetworkPolicy/wide": wide()}))
    complainer.tell(findings(policies=policies))
    assert len(api.told) == 2
    complainer.tell(findings(policies={}))
    complainer.tell(findings(policies={"AdminNetworkPolicy/wide": wide("a.example", uid="u3")}))
    assert [one["message"] for one in api.told[2:]] == [first]
