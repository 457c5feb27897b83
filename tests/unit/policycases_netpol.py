"""Kubernetes' end-to-end list "Netpol" (test/e2e/network/netpol), each as a policy of our own.

The cluster is that of `policycases_cyclonus`. Cases on UDP and SCTP differ from those on TCP by the protocol alone.
"""

from collections.abc import Mapping, Sequence

from policycases_cyclonus import OPEN, PROBES, WORLD
from policyworld import NAME, Apply, Case, Change, Delete, Namespace, SetPod, steps
from policywriting import Document, block, labels, network_policy, one_of, pods, port, rule

A, B, X, Y = labels(pod="a"), labels(pod="b"), labels(ns="x"), labels(ns="y")
NOT_X = one_of("ns", "x", operator="NotIn")
DENY = network_policy("deny", ingress=[])


def case(upstream: str, *each: tuple[Sequence[Change], Mapping[str, Sequence[str]]]) -> Case:
    return Case(f"Netpol: {upstream}", "Netpol", WORLD, steps(*each, probes=PROBES))


def single(upstream: str, table: Mapping[str, Sequence[str]], *policies: Document) -> Case:
    return case(upstream, ([Apply(policy) for policy in policies], table))


def everywhere(*lines: str) -> Mapping[str, Sequence[str]]:
    return {"*": lines}


def to_a(*rules: Document) -> Document:
    return network_policy("to-a", A, ingress=list(rules))


BASICS = [
    single("default-deny-ingress", everywhere("* > x/*"), DENY),
    single("default-deny-all", everywhere("* > x/*", "x/* > *"), network_policy("deny", ingress=[], egress=[])),
    single("from pods of the server's namespace", everywhere("only x/b > x/a"), to_a(rule([pods(B)]))),
    single("ingress for a target under default deny", everywhere("* > x/[bc]"), DENY, to_a({})),
    single(
        "from pods of all namespaces",
        everywhere("* > x/[bc]"),
        DENY,
        to_a(rule([pods(of={})])),
    ),
    single("from another namespace by its label", everywhere("only y/* > x/a"), to_a(rule([pods(of=Y)]))),
    single(
        "podSelector with matchExpressions",
        everywhere("only x/b > x/a"),
        to_a(rule([pods(one_of("pod", "b"))])),
    ),
    single(
        "namespaceSelector with matchExpressions",
        everywhere("only y/* > x/a"),
        to_a(rule([pods(of=one_of("ns", "y"))])),
    ),
    single(
        "namespaceSelector by kubernetes.io/metadata.name",
        everywhere("only y/* > x/a"),
        to_a(rule([pods(of=labels(**{NAME: "y"}))])),
    ),
    single(
        "namespaceSelector with matchExpressions on kubernetes.io/metadata.name",
        everywhere("only [yz]/* > x/a"),
        to_a(rule([pods(of=one_of(NAME, "x", operator="NotIn"))])),
    ),
    single(
        "pod or namespace selector",
        everywhere("only [xy]/b [yz]/[abc] > x/a"),
        to_a(rule([pods(B), pods(of=NOT_X)])),
    ),
    single("pod and namespace selector", everywhere("only [yz]/b > x/a"), to_a(rule([pods(B, of=NOT_X)]))),
    single(
        "several pods and namespaces",
        everywhere("only [yz]/[bc] > x/a"),
        to_a(rule([pods(one_of("pod", "b", "c"), of=NOT_X)])),
    ),
    single(
        "any of several podSelectors",
        everywhere("only x/[bc] > x/a"),
        to_a(rule([pods(B), pods(labels(pod="c"))])),
    ),
    single(
        "a pod of another namespace by both selectors",
        everywhere("only y/a > x/a"),
        to_a(rule([pods(A, of=Y)])),
    ),
    single(
        "by port",
        {"81/TCP": ["only y/* > x/a"], "*": ["* > x/a"]},
        to_a(rule([pods(of=Y)], [port(81)])),
    ),
    case(
        "stacked policies with overlapping podSelectors",
        (
            [Apply(to_a(rule([pods(of=Y)], [port(81)])))],
            {"81/TCP": ["only y/* > x/a"], "*": ["* > x/a"]},
        ),
        (
            [Apply(network_policy("to-all", ingress=[rule([pods(of=Y)], [port(80)])]))],
            {
                "80/TCP": ["only y/* > x/*"],
                "81/TCP": ["only y/* > x/a", "* > x/[bc]"],
                "*": ["* > x/*"],
            },
        ),
    ),
    single("allow-all", OPEN, network_policy("allow", ingress=[{}])),
    single(
        "ingress on a named port",
        {"81/TCP": [], "*": ["* > x/*"]},
        network_policy("named", ingress=[rule(ports=[port("serve-81-tcp")])]),
    ),
    single(
        "ingress from a namespace on a named port",
        {"80/TCP": ["only y/* > x/a"], "*": ["* > x/a"]},
        to_a(rule([pods(of=Y)], [port("serve-80-tcp")])),
    ),
    single(
        "egress on a named port",
        {"80/TCP": [], "*": ["x/a > *"]},
        network_policy("out", A, egress=[rule(ports=[port("serve-80-tcp")])]),
    ),
]
CHANGES = [
    case(
        "an updated policy",
        ([Apply(network_policy("deny", ingress=[{}]))], OPEN),
        ([Apply(DENY)], everywhere("* > x/*")),
    ),
    case(
        "an updated namespace's label",
        ([Apply(to_a(rule([pods(of=labels(late="yes"))])))], everywhere("* > x/a")),
        ([Namespace("y", {"ns": "y", "late": "yes"})], everywhere("only y/* > x/a")),
    ),
    case(
        "an updated pod's label",
        ([Apply(to_a(rule([pods(labels(late="yes"))])))], everywhere("* > x/a")),
        ([SetPod("x/b", {"pod": "b", "late": "yes"})], everywhere("only x/b > x/a")),
    ),
    case(
        "denied after the pod was updated",
        ([Apply(network_policy("isolate", labels(isolated="yes"), ingress=[]))], OPEN),
        ([SetPod("x/a", {"pod": "a", "isolated": "yes"})], everywhere("* > x/a")),
        ([SetPod("x/a", {"pod": "a"})], OPEN),
    ),
    case(
        "policies stop after they are deleted",
        ([Apply(network_policy("deny", ingress=[], egress=[]))], everywhere("* > x/*", "x/* > *")),
        ([Delete(network_policy("deny"))], OPEN),
    ),
]
BOTH_WAYS = [
    single(
        "ingress and egress together",
        {"80/TCP": ["only x/b > x/a"], "*": ["only x/b > x/a", "x/a > *"]},
        network_policy("both", A, ingress=[rule([pods(B)])], egress=[rule(ports=[port(80)])]),
    ),
    single(
        "egress to a server of another namespace by both selectors",
        everywhere("x/a > only y/a"),
        network_policy("out", A, egress=[rule([pods(A, of=Y)])]),
    ),
    case(
        "several ingress policies, of which allow-all wins",
        ([Apply(to_a(rule([pods(B)])))], everywhere("only x/b > x/a")),
        ([Apply(network_policy("allow", ingress=[{}]))], OPEN),
    ),
    case(
        "several egress policies, of which allow-all wins",
        ([Apply(network_policy("out", A, egress=[rule([pods(B)])]))], everywhere("x/a > only x/b")),
        ([Apply(network_policy("allow", egress=[{}]))], OPEN),
    ),
    case(
        "ingress and egress are controlled independently",
        ([Apply(network_policy("one", A, ingress=[], egress=[{}]))], everywhere("* > x/a")),
        ([Apply(network_policy("one", A, ingress=[{}], egress=[]))], everywhere("x/a > *")),
    ),
    single("deny egress of pods by podSelector", everywhere("x/a > *"), network_policy("out", A, egress=[])),
    single("deny egress of a namespace", everywhere("x/* > *"), network_policy("out", egress=[])),
    single(
        "deny ingress from other namespaces",
        everywhere("[yz]/* > x/*"),
        network_policy("own", ingress=[rule([pods({})])]),
    ),
    single(
        "the client's egress denial beats the server's allowance",
        everywhere("x/a > only y/a", "only x/a > y/[ab]"),
        network_policy("out", A, egress=[rule([pods(A, of=Y)])]),
        network_policy("in", one_of("pod", "a", "b"), namespace="y", ingress=[rule([pods(A, of=X)])]),
    ),
]
BLOCKS = [
    single(
        "egress to a CIDR",
        everywhere("x/a > only */b"),
        network_policy("out", A, egress=[rule([block("<node of b>")])]),
    ),
    single(
        "the except clause of a CIDR",
        everywhere("x/a > only [xz]/b"),
        network_policy("out", A, egress=[rule([block("<node of b>", "<y/b>/32")])]),
    ),
    single(
        "an address that is excepted in one rule and in the CIDR of another is allowed",
        everywhere("x/a > only */b"),
        network_policy("out", A, egress=[rule([block("<node of b>", "<y/b>/32")]), rule([block("<y/b>/32")])]),
    ),
]
PROTOCOLS = [
    single(
        "an SCTP-only policy does not allow TCP",
        {"80/SCTP": [], "*": ["* > x/a"]},
        to_a(rule(ports=[port(80, "SCTP")])),
    ),
    single(
        "a pod that a policy allows SCTP on is isolated",
        {"80/SCTP": ["only y/b > x/a"], "*": ["* > x/a"]},
        to_a(rule([pods(B, of=Y)], [port(80, "SCTP")])),
    ),
    single(
        "a UDP-only policy does not allow TCP",
        {"81/UDP": [], "*": ["* > x/a"]},
        to_a(rule(ports=[port(81, "UDP")])),
    ),
    single(
        "any port of one protocol",
        {"80/TCP": [], "81/TCP": [], "*": ["* > x/a"]},
        to_a(rule(ports=[port(protocol="TCP")])),
    ),
]
for name in ("UDP", "SCTP"):
    PROTOCOLS += [
        single(f"{name}: default-deny-ingress", everywhere("* > x/*"), DENY),
        single(
            f"{name}: by port",
            {f"81/{name}": ["only y/* > x/a"], "*": ["* > x/a"]},
            to_a(rule([pods(of=Y)], [port(81, name)])),
        ),
        single(
            f"{name}: by pod and namespace selector",
            {f"80/{name}": ["only y/a > x/a"], f"81/{name}": ["only y/a > x/a"], "*": ["* > x/a"]},
            to_a(rule([pods(A, of=Y)], [port(protocol=name)])),
        ),
    ]
NETPOL = (*BASICS, *CHANGES, *BOTH_WAYS, *BLOCKS, *PROTOCOLS)
