"""Cyclonus' copies of Kubernetes' end-to-end cases, as policies of our own; cluster: `policycases_cyclonus`."""

from policycases_cyclonus import DNS, NO_INGRESS, OPEN, A, case, single
from policyworld import Apply, Case, Delete, Namespace, SetPod
from policywriting import labels, network_policy, one_of, pods, port, rule

ALLOW_ALL = network_policy("changing", ingress=[{}])
DENY_ALL = network_policy("changing", ingress=[])
CUT_OFF = network_policy("cut-off", ingress=[], egress=[])
Y = labels(ns="y")

E2E: list[Case] = [
    single(
        "e2e: default deny ingress",
        "upstream-e2e ingress deny-all",
        network_policy("deny", ingress=[]),
        {"*": ["* > x/*"]},
    ),
    single(
        "e2e: default deny all but DNS",
        "upstream-e2e deny-all",
        network_policy("deny", ingress=[], egress=[DNS]),
        {"*": ["* > x/*", "x/* > *"]},
    ),
    single(
        "e2e: several pods and namespaces",
        "upstream-e2e",
        network_policy(
            "some",
            A,
            ingress=[rule([pods(one_of("pod", "b", "c"), of=one_of("ns", "x", operator="NotIn"))])],
        ),
        {"*": ["only [yz]/[bc] > x/a"]},
    ),
    case(
        "e2e: policies for the same pods add up",
        "upstream-e2e",
        (
            [Apply(network_policy("y-81", A, ingress=[rule([pods(of=Y)], [port(81, "TCP")])]))],
            {"81/TCP": ["only y/* > x/a"], "*": [NO_INGRESS]},
        ),
        (
            [Apply(network_policy("y-80", A, ingress=[rule([pods(of=Y)], [port(80, "TCP")])]))],
            {"80/TCP": ["only y/* > x/a"], "81/TCP": ["only y/* > x/a"], "*": [NO_INGRESS]},
        ),
    ),
    single("e2e: allow all", "upstream-e2e allow-all", ALLOW_ALL, OPEN),
    single(
        "e2e: ingress on a named port",
        "upstream-e2e ingress named-port",
        network_policy("named", ingress=[rule(ports=[port("serve-81-tcp")])]),
        {"81/TCP": [], "*": ["* > x/*"]},
    ),
    case(
        "e2e: an updated policy",
        "upstream-e2e",
        ([Apply(ALLOW_ALL)], OPEN),
        ([Apply(DENY_ALL)], {"*": ["* > x/*"]}),
    ),
    case(
        "e2e: from an updated namespace",
        "upstream-e2e",
        ([Apply(network_policy("late", A, ingress=[rule([pods(of=labels(late="yes"))])]))], {"*": [NO_INGRESS]}),
        ([Namespace("y", {"ns": "y", "late": "yes"})], {"*": ["only y/* > x/a"]}),
    ),
    case(
        "e2e: from an updated pod",
        "upstream-e2e",
        ([Apply(network_policy("late", A, ingress=[rule([pods(labels(pod="b", late="yes"))])]))], {"*": [NO_INGRESS]}),
        ([SetPod("x/b", {"pod": "b", "late": "yes"})], {"*": ["only x/b > x/a"]}),
    ),
    case(
        "e2e: to an updated pod",
        "upstream-e2e",
        ([Apply(network_policy("isolate", labels(target="isolated"), ingress=[]))], OPEN),
        ([SetPod("x/a", {"target": "isolated"})], {"*": [NO_INGRESS]}),
    ),
    single(
        "e2e: ingress and egress in one policy",
        "upstream-e2e",
        network_policy(
            "both",
            A,
            ingress=[rule([pods(labels(pod="b"))])],
            egress=[rule(ports=[port(80), port(53, "UDP")])],
        ),
        {"80/TCP": ["only x/b > x/a"], "*": ["only x/b > x/a", "x/a > *"]},
    ),
    case(
        "e2e: the client's side denies what the server's side allows",
        "upstream-e2e conflict",
        (
            [
                Apply(network_policy("to-y-a", A, egress=[rule([pods(A, of=Y)]), rule(ports=[port(53, "UDP")])])),
                Apply(network_policy("from-x-a", A, namespace="y", ingress=[rule([pods(A, of=labels(ns="x"))])])),
                Apply(
                    network_policy(
                        "from-x-a-too", labels(pod="b"), namespace="y", ingress=[rule([pods(A, of=labels(ns="x"))])]
                    )
                ),
            ],
            {"*": ["x/a > only y/a", "only x/a > y/[ab]"]},
        ),
    ),
    case(
        "e2e: nothing is left of a deleted policy",
        "upstream-e2e deny-all delete-policy",
        ([Apply(CUT_OFF)], {"*": ["* > x/*", "x/* > *"]}),
        ([Delete(CUT_OFF)], OPEN),
    ),
]
