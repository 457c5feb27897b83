"""How `kubinet describe` shows cluster-wide policies."""

from typing import Any

from kubinet.cli.describing import describe_object
from kubinet.cli.describing.lines import Related

Object = dict[str, Any]


def pod(namespace: str, name: str, labels: dict[str, str], **spec: Any) -> Object:
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": spec}


RELATED = Related(
    pods=[
        pod("shop", "web", {"app": "web"}),
        pod("shop", "db", {"app": "db"}),
        pod("shop", "agent", {"app": "web"}, hostNetwork=True),
        pod("lab", "web", {"app": "web"}),
    ],
    namespaces=[
        {"metadata": {"name": "shop", "labels": {"team": "shop"}}},
        {"metadata": {"name": "lab", "labels": {}}},
    ],
)

CLUSTER = {
    "apiVersion": "policy.networking.k8s.io/v1alpha2",
    "kind": "ClusterNetworkPolicy",
    "metadata": {"name": "fence", "creationTimestamp": "2026-11-25T10:00:00Z"},
    "spec": {
        "tier": "Admin",
        "priority": 0,
        "subject": {
            "pods": {
                "namespaceSelector": {"matchLabels": {"team": "shop"}},
                "podSelector": {"matchLabels": {"app": "web"}},
            }
        },
        "egress": [
            {
                "name": "out",
                "action": "Accept",
                "to": [
                    {"networks": ["10.0.0.0/8", "192.168.0.0/16"]},
                    {"nodes": {}},
                    {"domainNames": ["*.example.com"]},
                ],
                "protocols": [
                    {"tcp": {"destinationPort": {"number": 80}}},
                    {"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
                ],
            },
            {"action": "Deny", "to": [{"namespaces": {}}], "protocols": [{"destinationNamedPort": "web"}]},
            {"action": "Pass", "to": [{"networks": ["0.0.0.0/0"]}]},
        ],
    },
}
CLUSTER_TEXT = """\
Name:         fence
Labels:       <none>
Annotations:  <none>
Created on:   2026-11-25T10:00:00Z
Spec:
  Tier:      Admin
  Priority:  0
  Subject:
    NamespaceSelector: team=shop
    PodSelector: app=web
  Selected pods:  shop/web
  Not affecting ingress traffic
  Egress rules, the first that matches decides:
    [0] Accept (out)
      To Port: 80/TCP
      To Port: 1-9/UDP
      To:
        Networks: 10.0.0.0/8, 192.168.0.0/16
      To:
        NodeSelector: <none> (all nodes)
      To:
        DomainNames: *.example.com (not enforced: the rule matches nothing)
    [1] Deny
      To Port: web (the pods' port of this name)
      To:
        NamespaceSelector: <none> (all namespaces)
        PodSelector: <none> (all pods)
    [2] Pass
      To Port: <any>
      To:
        Networks: 0.0.0.0/0
Events:  <none>
"""


def test_describe_cluster_network_policy() -> None:
    """Tier, priority, the pods that it selects now (none of the host network), and the rules by their index."""
    assert describe_object(CLUSTER, RELATED) == CLUSTER_TEXT


def test_describe_baseline_admin_network_policy() -> None:
    """The older kinds' ports are shown alike; the baseline policy has a tier and no priority; conditions are shown."""
    rule = {
        "action": "Deny",
        "from": [{"namespaces": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}],
        "ports": [
            {"portNumber": {"port": 80, "protocol": "TCP"}},
            {"portRange": {"start": 1, "end": 9, "protocol": "SCTP"}},
            {"namedPort": "web"},
        ],
    }
    policy = {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "BaselineAdminNetworkPolicy",
        "metadata": {"name": "default"},
        "spec": {"subject": {"namespaces": {}}, "ingress": [rule]},
        "status": {"conditions": [{"type": "Ready", "status": "True", "message": "in force"}]},
    }
    text = describe_object(policy, RELATED)
    assert text.splitlines()[4:] == [
        "Spec:",
        "  Tier:  Baseline",
        "  Subject:",
        "    NamespaceSelector: <none> (all namespaces)",
        "    PodSelector: <none> (all pods)",
        "  Selected pods:  shop/web, shop/db, lab/web",
        "  Ingress rules, the first that matches decides:",
        "    [0] Deny",
        "      To Port: 80/TCP",
        "      To Port: 1-9/SCTP",
        "      To Port: web (the pods' port of this name)",
        "      From:",
        "        NamespaceSelector: team exists",
        "        PodSelector: <none> (all pods)",
        "  Not affecting egress traffic",
        "Condition Ready:  True (in force)",
        "Events:           <none>",
    ]
