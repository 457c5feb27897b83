"""Policies that cut pods off from DNS, and the rule that mends it."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
import yaml

from controller.complaints import Complaint
from controller.policy import dnswarning
from controller.policy.dnswarning import DnsWarnings
from kubinet.policyobjects import policy_from_object
from kubinet.state import ClusterState, Endpoint, NetworkConfig, Node, Pod, Service, ServicePort
from kubinet.transport import Protocol

NODE = Node("n1", 1, IPv4Interface("172.18.0.1/24"), "06:00:00:00:00:01", IPv4Network("10.244.1.0/24"))
DNS_PODS = tuple(
    Pod("kube-system", f"coredns-{number}", "n1", IPv4Address(f"10.244.1.{number}"), {"k8s-app": "kube-dns"})
    for number in (2, 3)
)
FRONT = Pod("shop", "front", "n1", IPv4Address("10.244.1.10"), {"app": "front"})
BACK = Pod("shop", "back", "n1", IPv4Address("10.244.1.11"), {"app": "back"})
NAMESPACES = {name: {"kubernetes.io/metadata.name": name} for name in ("shop", "kube-system")}


def dns(*addresses: str, port: int = 53) -> Service:
    ends = tuple(Endpoint(IPv4Address(address), port, "n1") for address in addresses)
    ports = (ServicePort("dns", Protocol.UDP, 53, None, ends), ServicePort("dns-tcp", Protocol.TCP, 53, None, ends))
    return Service("kube-system", "kube-dns", IPv4Address("10.96.0.10"), ports)


DNS = dns(*(str(pod.address) for pod in DNS_PODS))


def policy(name: str, pods: Mapping[str, str], *egress: Any, types: tuple[str, ...] = ("Egress",)) -> dict[str, Any]:
    return {
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"podSelector": {"matchLabels": dict(pods)}, "policyTypes": list(types), "egress": list(egress)},
    }


def state(
    *policies: dict[str, Any], service: Service | None = DNS, pods: tuple[Pod, ...] = (FRONT, BACK)
) -> ClusterState:
    values = [policy_from_object(one) for one in policies]
    return ClusterState(
        NetworkConfig(),
        {"n1": NODE},
        {pod.key: pod for pod in (*DNS_PODS, *pods)},
        {} if service is None else {service.key: service},
        NAMESPACES,
        {one.key: one for one in values},
    )


def told(*policies: dict[str, Any], **options: Any) -> list[str]:
    complaints = list(DnsWarnings().of(state(*policies, **options)))
    assert {one.reason for one in complaints} <= {"DNSBlocked"}
    return [one.owner for one in complaints]


DENY = policy("deny", {})
WEB = {"to": [{"podSelector": {}}], "ports": [{"port": 80}]}
UDP = {"ports": [{"port": 53, "protocol": "UDP"}]}


def test_a_default_deny_for_egress_is_told_with_the_rule_that_mends_it() -> None:
    """The message's rule, added to the policy as it is written there, ends the complaint."""
    [complaint] = DnsWarnings().of(state(DENY))
    assert complaint == Complaint(
        "NetworkPolicy/shop/deny",
        "DNSBlocked",
        "it isolates pods for egress, and no rule lets them reach DNS (53/UDP of the pods behind Service "
        "kube-system/kube-dns): names do not resolve there. To allow it, add to spec.egress of a policy for these "
        "pods: - {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: "
        "{matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}",
    )
    [rule] = yaml.safe_load(complaint.message.partition("these pods: ")[2])
    assert told(policy("deny", {}, rule)) == []


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([policy("ingress", {}, types=("Ingress",))], []),
        ([policy("web", {"app": "front"}, WEB)], ["NetworkPolicy/shop/web"]),
        ([policy("nobody", {"app": "none"})], []),
        ([policy("web", {"app": "front"}, WEB, UDP)], []),
        ([policy("tcp", {}, {"ports": [{"port": 53, "protocol": "TCP"}]})], ["NetworkPolicy/shop/tcp"]),
        ([policy("all", {}, {})], []),
        # What one policy lets through, another does not take away.
        ([DENY, policy("dns", {}, UDP)], []),
        # Of several that isolate the same pods each is named; here those of the front reach it, the others do not.
        ([DENY, policy("dns", {"app": "front"}, UDP)], ["NetworkPolicy/shop/deny"]),
        ([DENY, policy("web", {"app": "front"}, WEB)], ["NetworkPolicy/shop/deny", "NetworkPolicy/shop/web"]),
        # One DNS pod is enough.
        ([policy("one", {}, {"to": [{"ipBlock": {"cidr": "10.244.1.3/32"}}]})], []),
        # The Service's own address is not what policies see.
        ([policy("vip", {}, {"to": [{"ipBlock": {"cidr": "10.96.0.10/32"}}]})], ["NetworkPolicy/shop/vip"]),
    ],
)
def test_who_is_told(policies: list[dict[str, Any]], expected: list[str]) -> None:
    """Policies that isolate pods for egress, where no policy lets these pods reach 53/UDP of a DNS pod."""
    assert told(*policies) == expected


def test_what_a_cluster_wide_policy_denies_is_not_the_networkpolicys_fault() -> None:
    """A Deny of the Admin tier comes first; a Baseline tier does not help a pod that is isolated."""
    wide = {
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "wide"},
        "spec": {
            "priority": 1,
            "subject": {"namespaces": {}},
            "egress": [{"action": "Deny", "to": [{"namespaces": {}}]}],
        },
    }
    assert told(wide, DENY) == []
    baseline = {**wide, "kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"}}
    baseline["spec"] = {"subject": {"namespaces": {}}, "egress": [{"action": "Allow", "to": [{"namespaces": {}}]}]}
    assert told(baseline, DENY) == ["NetworkPolicy/shop/deny"]


def test_without_dns_nobody_is_told() -> None:
    """No Service at its address, or none behind it."""
    assert told(DENY, service=None) == []
    assert told(DENY, service=dns()) == []


def test_dns_outside_of_pods_is_named_by_its_address() -> None:
    """Endpoints that are no pods: the rule has their addresses and their port."""
    outside = dns("172.18.0.200", port=5353)
    [complaint] = DnsWarnings().of(state(DENY, service=outside))
    [rule] = yaml.safe_load(complaint.message.partition("these pods: ")[2])
    assert rule == {
        "to": [{"ipBlock": {"cidr": "172.18.0.200/32"}}],
        "ports": [{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}],
    }
    assert told(policy("deny", {}, rule), service=outside) == []


def test_pods_of_a_kind_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pod costs a verdict if its labels are new; another policy costs all of them."""
    judged: list[str] = []
    blocking = dnswarning._blocking

    def counted(oracle: Any, pod: Pod, servers: Any) -> Any:
        judged.append(pod.name)
        return blocking(oracle, pod, servers)

    monkeypatch.setattr(dnswarning, "_blocking", counted)
    warnings = DnsWarnings()
    twin = Pod("shop", "front-2", "n1", IPv4Address("10.244.1.12"), {"app": "front"})
    other = Pod("shop", "other", "n1", IPv4Address("10.244.1.13"), {"app": "other"})
    assert len(list(warnings.of(state(DENY)))) == 1
    assert len(judged) == 3
    list(warnings.of(state(DENY, pods=(FRONT, BACK, twin))))
    assert len(judged) == 3
    list(warnings.of(state(DENY, pods=(FRONT, twin, other))))
    assert judged[3:] == ["other"]
    list(warnings.of(state(policy("web", {}, WEB), pods=(FRONT, twin, other))))
    assert len(judged) == 7
