"""Well-known recipes for NetworkPolicies, as policies of our own, and what each promises about connections.

The cluster: default has a shop of pods; dev, prod and other have visitors; kube-system has a pod with DNS's label.
Promises are lines `SOURCE > DESTINATION PORT/PROTOCOL`; a pod without namespace is default's. `out` is a host outside
of the cluster, as a source by the address of a load balancer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policyworld import NAME, World

WORLD = World(
    namespaces={
        "default": {NAME: "default"},
        "kube-system": {NAME: "kube-system"},
        "dev": {NAME: "dev", "purpose": "testing"},
        "prod": {NAME: "prod", "purpose": "production"},
        "other": {NAME: "other", "team": "operations"},
    },
    pods={
        "default/web": {"app": "web"},
        "default/plain": {},
        "default/watcher": {"type": "monitoring"},
        "default/metrics": {"role": "monitoring"},
        "default/apiserver": {"app": "apiserver"},
        "default/api": {"app": "bookstore", "role": "api"},
        "default/search": {"app": "bookstore", "role": "search"},
        "default/db": {"app": "bookstore", "role": "db"},
        "default/stock": {"app": "inventory", "role": "web"},
        "default/foo": {"app": "foo"},
        "dev/plain": {},
        "prod/plain": {},
        "other/plain": {},
        "other/watcher": {"type": "monitoring"},
        "kube-system/names": {"k8s-app": "kube-dns"},
    },
    ports=[],
    placement={
        **dict.fromkeys(("web", "watcher", "api", "db", "names"), "n1"),
        **dict.fromkeys(("plain", "metrics", "apiserver", "search", "stock", "foo"), "n2"),
    },
    nodes={},
)


@dataclass(frozen=True)
class Recipe:
    """What is applied, which collected files say the same, and what may connect afterwards."""

    name: str
    files: Sequence[str]
    own: str
    connects: Sequence[str]
    silent: Sequence[str]


def policy(name: str, selector: str, rules: str) -> str:
    """A policy in namespace default."""
    return f"""---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: default}}
spec: {{podSelector: {selector}, {rules}}}
"""


WEB = "{matchLabels: {app: web}}"
FOO = "{matchLabels: {app: foo}}"
CLOSED = policy("closed", WEB, "ingress: []")
DNS_ONLY = """to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}},
  podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]"""

RECIPES = (
    Recipe(
        "01 deny all traffic to an application",
        ["01-deny-all-traffic-to-an-application-1.yaml"],
        CLOSED,
        ["plain > api 80/TCP", "web > plain 80/TCP"],
        ["plain > web 80/TCP", "plain > web 80/UDP", "other/plain > web 80/TCP", "out > web 80/TCP"],
    ),
    Recipe(
        "02 limit traffic to an application",
        ["02-limit-traffic-to-an-application-1.yaml"],
        policy(
            "bookstore",
            "{matchLabels: {role: api, app: bookstore}}",
            "ingress: [{from: [{podSelector: {matchLabels: {app: bookstore}}}]}]",
        ),
        ["search > api 80/TCP", "db > api 80/TCP", "plain > web 80/TCP", "plain > search 80/TCP"],
        ["plain > api 80/TCP", "stock > api 80/TCP", "other/plain > api 80/TCP"],
    ),
    Recipe(
        "02a allow all traffic to an application",
        ["01-deny-all-traffic-to-an-application-1.yaml", "02a-allow-all-traffic-to-an-application-1.yaml"],
        CLOSED + policy("open", WEB, "ingress: [{}]"),
        ["plain > web 80/TCP", "api > web 80/TCP", "other/plain > web 80/TCP", "plain > web 80/UDP"],
        [],
    ),
    Recipe(
        "03 deny all traffic that is not allowed in the namespace",
        ["03-deny-all-non-whitelisted-traffic-in-the-namespace-1.yaml"],
        policy("nobody", "{}", "policyTypes: [Ingress]"),
        ["web > other/plain 80/TCP", "dev/plain > prod/plain 80/TCP"],
        ["plain > web 80/TCP", "search > api 80/TCP", "other/plain > plain 80/TCP"],
    ),
    Recipe(
        "04 deny traffic from other namespaces",
        ["04-deny-traffic-from-other-namespaces-1.yaml"],
        policy("neighbours", "{}", "ingress: [{from: [{podSelector: {}}]}]"),
        ["plain > web 80/TCP", "search > foo 80/TCP", "web > other/plain 80/TCP"],
        ["other/plain > web 80/TCP", "prod/plain > plain 80/TCP"],
    ),
    Recipe(
        "05 allow traffic from all namespaces",
        ["05-allow-traffic-from-all-namespaces-1.yaml"],
        policy("everybody", WEB, "ingress: [{from: [{namespaceSelector: {}}]}]"),
        ["plain > web 80/TCP", "dev/plain > web 80/TCP", "other/watcher > web 80/TCP"],
        ["out > web 80/TCP"],
    ),
    Recipe(
        "06 allow traffic from a namespace",
        ["06-allow-traffic-from-a-namespace-1.yaml"],
        policy(
            "production", WEB, "ingress: [{from: [{namespaceSelector: {matchLabels: {purpose: production}}}]}]"
        ),
        ["prod/plain > web 80/TCP"],
        ["dev/plain > web 80/TCP", "other/plain > web 80/TCP", "plain > web 80/TCP"],
    ),
    Recipe(
        "07 allow traffic from some pods in another namespace",
        ["07-allow-traffic-from-some-pods-in-another-namespace-1.yaml"],
        policy(
            "watchers",
            WEB,
            "ingress: [{from: [{podSelector: {matchLabels: {type: monitoring}},"
            " namespaceSelector: {matchLabels: {team: operations}}}]}]",
        ),
        ["other/watcher > web 80/TCP"],
        ["plain > web 80/TCP", "watcher > web 80/TCP", "other/plain > web 80/TCP"],
    ),
    Recipe(
        "08 allow external traffic",
        ["03-deny-all-non-whitelisted-traffic-in-the-namespace-1.yaml", "08-allow-external-traffic-1.yaml"],
        policy("nobody", "{}", "policyTypes: [Ingress]") + policy("world", WEB, "ingress: [{}]"),
        ["out > web 80/TCP", "plain > web 80/TCP", "other/plain > web 80/TCP"],
        ["plain > api 80/TCP"],
    ),
    Recipe(
        "09 allow traffic only to a port",
        ["09-allow-traffic-only-to-a-port-1.yaml"],
        policy(
            "metrics",
            "{matchLabels: {app: apiserver}}",
            "ingress: [{from: [{podSelector: {matchLabels: {role: monitoring}}}], ports: [{port: 5000}]}]",
        ),
        ["metrics > apiserver 5000/TCP"],
        ["metrics > apiserver 8000/TCP", "plain > apiserver 8000/TCP", "plain > apiserver 5000/TCP"],
    ),
    Recipe(
        "10 allow traffic with several selectors",
        ["10-allowing-traffic-with-multiple-selectors-1.yaml"],
        policy(
            "db",
            "{matchLabels: {app: bookstore, role: db}}",
            "ingress: [{from: ["
            + ", ".join(
                f"{{podSelector: {{matchLabels: {{app: {app}, role: {role}}}}}}}"
                for app, role in (("bookstore", "search"), ("bookstore", "api"), ("inventory", "web"))
            )
            + "]}]",
        ),
        ["search > db 6379/TCP", "api > db 6379/TCP", "stock > db 6379/TCP"],
        ["plain > db 6379/TCP", "web > db 6379/TCP", "other/plain > db 6379/TCP"],
    ),
    Recipe(
        "11 deny egress from an application",
        ["11-deny-egress-traffic-from-an-application-1.yaml"],
        policy("locked", FOO, "policyTypes: [Egress]"),
        ["plain > web 80/TCP", "plain > foo 80/TCP", "plain > out 80/TCP"],
        ["foo > web 80/TCP", "foo > kube-system/names 53/UDP", "foo > out 80/TCP", "foo > other/plain 80/TCP"],
    ),
    Recipe(
        "11 deny egress from an application, but not to DNS",
        ["11-deny-egress-traffic-from-an-application-2.yaml"],
        policy("names", FOO, f"policyTypes: [Egress], egress: [{{{DNS_ONLY}}}]"),
        ["foo > kube-system/names 53/UDP", "foo > kube-system/names 53/TCP", "plain > foo 80/TCP"],
        ["foo > web 80/TCP", "foo > out 80/TCP", "foo > kube-system/names 80/TCP", "foo > plain 53/UDP"],
    ),
    Recipe(
        "12 deny all egress that is not allowed from the namespace",
        ["12-deny-all-non-whitelisted-traffic-from-the-namespace-1.yaml"],
        policy("inside", "{}", "policyTypes: [Egress]"),
        ["other/plain > web 80/TCP", "dev/plain > out 80/TCP"],
        ["plain > web 80/TCP", "web > plain 80/TCP", "foo > kube-system/names 53/UDP", "web > out 80/TCP"],
    ),
    Recipe(
        # The collected policy's text says that foo reaches web; the policy itself lets out to DNS alone.
        "14 deny external egress, as collected",
        ["14-deny-external-egress-traffic-1.yaml"],
        policy("no-outside", FOO, f"policyTypes: [Egress], egress: [{{{DNS_ONLY}}}]"),
        ["foo > kube-system/names 53/UDP", "plain > out 80/TCP"],
        ["foo > out 80/TCP", "foo > web 80/TCP"],
    ),
    Recipe(
        "14 deny external egress, as its text promises",
        [],
        policy(
            "no-outside", FOO, f"policyTypes: [Egress], egress: [{{{DNS_ONLY}}}, {{to: [{{namespaceSelector: {{}}}}]}}]"
        ),
        ["foo > kube-system/names 53/UDP", "foo > web 80/TCP", "foo > other/plain 80/TCP", "plain > out 80/TCP"],
        ["foo > out 80/TCP"],
    ),
)  # fmt: skip
