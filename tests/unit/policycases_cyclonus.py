"""Every case of the Cyclonus suite (kubernetes-sigs/network-policy-api, policy-assistant) as a policy of our own.

The cluster: namespaces x, y, z with pods a, b, c; pods of one name are on one node. Most cases vary one thing of a
policy for pod x/a, which may be reached on 80/TCP from pods b and c of x and y, and may reach pods a and b of y and z
on 80/TCP.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

from policyworld import NAME, Apply, Case, Change, Delete, Namespace, SetPod, World, steps
from policywriting import Document, block, labels, network_policy, one_of, pods, port, rule

from kubinet.state import ContainerPort
from kubinet.transport import Protocol

PROBES = tuple(f"{number}/{protocol.name}" for number in (80, 81) for protocol in Protocol)
TCP, UDP, SCTP = (("80/" + name, "81/" + name) for name in ("TCP", "UDP", "SCTP"))
WORLD = World(
    namespaces={name: {"ns": name, NAME: name} for name in "xyz"},
    pods={f"{namespace}/{name}": {"pod": name} for namespace in "xyz" for name in "abc"},
    ports=[
        ContainerPort(f"serve-{number}-{protocol.name.lower()}", number, protocol)
        for number in (80, 81)
        for protocol in Protocol
    ],
    placement={"a": "n1", "b": "n2", "c": "n3", "d": "n1"},
)

A = labels(pod="a")
FROM = pods(one_of("pod", "b", "c"), of=one_of("ns", "x", "y"))
TO = pods(one_of("pod", "a", "b"), of=one_of("ns", "y", "z"))
HTTP = [port(80, "TCP")]
DNS = rule(ports=[port(53, "UDP"), port(53, "TCP")])
"""In every egress rule list, as upstream has it; nothing here is probed on port 53."""
INGRESS, EGRESS = "only [xy]/[bc] > x/a", "x/a > only [yz]/[ab]"
"""The table's lines of the usual policy on 80/TCP."""
NO_INGRESS, NO_EGRESS = "* > x/a", "x/a > *"


def usual(
    selector: Document = A,
    namespace: str = "x",
    ingress: Sequence[Document] = (rule([FROM], HTTP),),
    egress: Sequence[Document] = (rule([TO], HTTP), DNS),
) -> Document:
    return network_policy("usual", selector, namespace=namespace, ingress=ingress, egress=egress)


def tables(
    ingress: Sequence[str] = ("80/TCP",),
    egress: Sequence[str] = ("80/TCP",),
    lines: tuple[str | None, str | None] = (INGRESS, EGRESS),
) -> Mapping[str, Sequence[str]]:
    """The lines on the probes that a policy for x/a allows something on; on all others it allows nothing."""
    found = {}
    for probe in PROBES:
        both = (lines[0] if probe in ingress else NO_INGRESS, lines[1] if probe in egress else NO_EGRESS)
        found[probe] = [line for line in both if line is not None]
    return found


def case(name: str, tags: str, *each: tuple[Sequence[Change], Mapping[str, Sequence[str]]]) -> Case:
    return Case(name, f"Cyclonus: {tags}", WORLD, steps(*each, probes=PROBES))


def single(name: str, tags: str, policy: Document, table: Mapping[str, Sequence[str]]) -> Case:
    return case(name, tags, ([Apply(policy)], table))


def _targets() -> list[Case]:
    found = []
    for selected in ("x/a", "y/a", "z/a", "x/*", "x/[ab]"):
        namespace, _, name = selected.partition("/")
        selector = {"a": A, "*": {}, "[ab]": one_of("pod", "a", "b")}[name]
        table = {
            "80/TCP": [f"only [xy]/[bc] > {selected}", f"{selected} > only [yz]/[ab]"],
            "*": [f"* > {selected}", f"{selected} > *"],
        }
        tags = "target-namespace" if name == "a" else "target-pod-selector"
        found.append(single(f"target {selected}", tags, usual(selector, namespace), table))
    found.append(single("target x/a by its label", "target-pod-selector", usual(A), tables()))
    return found


RULES = [
    single("ingress: deny all", "ingress deny-all", usual(ingress=[]), tables(ingress=())),
    single("ingress: allow all", "ingress allow-all", usual(ingress=[{}]), tables(PROBES, lines=(None, EGRESS))),
    single("egress: deny all", "egress deny-all", usual(egress=[]), tables(egress=())),
    single("egress: allow all", "egress allow-all", usual(egress=[{}]), tables(egress=PROBES, lines=(INGRESS, None))),
]

C, NS_X = labels(pod="c"), labels(ns="x")
PEERS = (
    # In words, upstream's tags, the peer, who it is.
    ("every pod of its namespace", "policy-namespace all-pods", pods({}), "x/*"),
    ("pods c of its namespace", "policy-namespace pods-by-label", pods(C), "x/c"),
    ("all of every namespace", "all-namespaces all-pods", pods(of={}), "*"),
    ("every pod of every namespace", "all-namespaces all-pods", pods({}, of={}), "*"),
    ("pods c of every namespace", "all-namespaces pods-by-label", pods(C, of={}), "*/c"),
    ("all of namespace x", "namespaces-by-label all-pods", pods(of=NS_X), "x/*"),
    ("every pod of namespace x", "namespaces-by-label all-pods", pods({}, of=NS_X), "x/*"),
    ("pods c of namespace x", "namespaces-by-label pods-by-label", pods(C, of=NS_X), "x/c"),
    ("the block of node 3", "ip-block-no-except", block("<node of c>"), "*/c"),
    ("the block of node 3 but z/c", "ip-block-with-except", block("<node of c>", "<z/c>/32"), "[xy]/c"),
)


def _peers() -> list[Case]:
    found = [
        single("ingress: any peer", "ingress any-peer", usual(ingress=[rule([], HTTP)]), tables(lines=(None, EGRESS))),
        single(
            "egress: any peer", "egress any-peer", usual(egress=[rule([], HTTP), DNS]), tables(lines=(INGRESS, None))
        ),
    ]
    several = [(one,) for one in PEERS], list(combinations(PEERS, 2))
    for chosen in [*several[0], *several[1]]:
        words = " or ".join(one[0] for one in chosen)
        tags = " ".join([*(one[1] for one in chosen), *(["multi-peer"] if len(chosen) > 1 else [])])
        peers, allowed = [one[2] for one in chosen], " ".join(one[3] for one in chosen)
        inward, outward = usual(ingress=[rule(peers, HTTP)]), usual(egress=[rule(peers, HTTP), DNS])
        found += [
            single(f"ingress: {words}", f"ingress {tags}", inward, tables(lines=(f"only {allowed} > x/a", EGRESS))),
            single(f"egress: {words}", f"egress {tags}", outward, tables(lines=(INGRESS, f"x/a > only {allowed}"))),
        ]
    return found


PORTS = (
    # In words, upstream's tags, the ports, what they open.
    ("any port of any protocol", "any-port-protocol", [], PROBES),
    ("any port, protocol not said", "any-port", [port()], TCP),
    ("any port of TCP", "any-port tcp", [port(protocol="TCP")], TCP),
    ("any port of UDP", "any-port udp", [port(protocol="UDP")], UDP),
    ("any port of SCTP", "any-port sctp", [port(protocol="SCTP")], SCTP),
    ("80, protocol not said", "numbered-port", [port(80)], ("80/TCP",)),
    ("80/TCP", "numbered-port tcp", [port(80, "TCP")], ("80/TCP",)),
    ("80/UDP", "numbered-port udp", [port(80, "UDP")], ("80/UDP",)),
    ("80/SCTP", "numbered-port sctp", [port(80, "SCTP")], ("80/SCTP",)),
    ("81, protocol not said", "numbered-port", [port(81)], ("81/TCP",)),
    ("81/TCP", "numbered-port tcp", [port(81, "TCP")], ("81/TCP",)),
    ("81/UDP", "numbered-port udp", [port(81, "UDP")], ("81/UDP",)),
    ("81/SCTP", "numbered-port sctp", [port(81, "SCTP")], ("81/SCTP",)),
    ("serve-80-tcp/TCP", "named-port tcp", [port("serve-80-tcp", "TCP")], ("80/TCP",)),
    ("serve-81-tcp/TCP", "named-port tcp", [port("serve-81-tcp", "TCP")], ("81/TCP",)),
    ("serve-80-udp/UDP", "named-port udp", [port("serve-80-udp", "UDP")], ("80/UDP",)),
    ("serve-81-udp/UDP", "named-port udp", [port("serve-81-udp", "UDP")], ("81/UDP",)),
    ("serve-80-sctp/SCTP", "named-port sctp", [port("serve-80-sctp", "SCTP")], ("80/SCTP",)),
    ("serve-81-sctp/SCTP", "named-port sctp", [port("serve-81-sctp", "SCTP")], ("81/SCTP",)),
    ("53-80/TCP", "numbered-port end-port tcp", [port(53, "TCP", 80)], ("80/TCP",)),
    ("53-84/TCP", "numbered-port end-port tcp", [port(53, "TCP", 84)], TCP),
    ("53-80/UDP", "numbered-port end-port udp", [port(53, "UDP", 80)], ("80/UDP",)),
    ("53-84/UDP", "numbered-port end-port udp", [port(53, "UDP", 84)], UDP),
    ("53-80/SCTP", "numbered-port end-port sctp", [port(53, "SCTP", 80)], ("80/SCTP",)),
    ("53-84/SCTP", "numbered-port end-port sctp", [port(53, "SCTP", 84)], SCTP),
    ("a UDP port's name with TCP", "pathological named-port tcp", [port("serve-81-udp", "TCP")], ()),
    ("a name that no pod has", "pathological named-port tcp", [port("serve-7981-udp", "TCP")], ()),
    ("a number that nobody serves", "pathological numbered-port tcp", [port(7981, "TCP")], ()),
    ("any and 80", "multi-port/protocol any-port numbered-port", [port(), port(80)], TCP),
    ("any and serve-80-tcp", "multi-port/protocol any-port named-port", [port(), port("serve-80-tcp")], TCP),
    ("any and any of UDP", "multi-port/protocol any-port udp", [port(), port(protocol="UDP")], TCP + UDP),
    ("80 and 81", "multi-port/protocol numbered-port", [port(80), port(81)], TCP),
    ("80 and serve-81-tcp", "multi-port/protocol numbered-port named-port", [port(80), port("serve-81-tcp")], TCP),
    (
        "80 and serve-81-udp/UDP",
        "multi-port/protocol numbered-port named-port udp",
        [port(80), port("serve-81-udp", "UDP")],
        ("80/TCP", "81/UDP"),
    ),
    (
        "80/UDP and serve-81-udp/UDP",
        "multi-port/protocol numbered-port named-port udp",
        [port(80, "UDP"), port("serve-81-udp", "UDP")],
        ("80/UDP", "81/UDP"),
    ),
)


def _ports() -> list[Case]:
    found = []
    for words, tags, ports, opened in PORTS:
        inward, outward = usual(ingress=[rule([FROM], ports)]), usual(egress=[rule([TO], ports), DNS])
        found.append(single(f"ingress port: {words}", f"ingress {tags}", inward, tables(ingress=opened)))
        found.append(single(f"egress port: {words}", f"egress {tags}", outward, tables(egress=opened)))
    return found


OPEN = {"*": []}
ONLY_81 = network_policy("only-81", ingress=[rule(ports=[port("serve-81-tcp")])])
ONLY_81_TABLE = {"81/TCP": [], "*": ["* > x/*"]}
BY_NAMESPACE = usual(ingress=[rule([pods(of=labels(new="yes"))], HTTP)])
BY_POD = usual(ingress=[rule([pods(labels(new="yes"), of=one_of("ns", "y", "z"))], HTTP)])
ACTIONS = [
    case(
        "named port while namespaces come and go",
        "example",
        ([Apply(ONLY_81)], ONLY_81_TABLE),
        ([Namespace("w", {"ns": "w"}), SetPod("w/a", {"pod": "a"})], ONLY_81_TABLE),
        ([SetPod("w/a", None)], ONLY_81_TABLE),
        ([Namespace("w", None)], ONLY_81_TABLE),
    ),
    case(
        "create and delete a policy",
        "create-policy delete-policy",
        ([Apply(usual())], tables()),
        ([Delete(usual())], OPEN),
    ),
    case(
        "create and update a policy",
        "create-policy update-policy",
        ([Apply(usual())], tables()),
        ([Apply(usual(ingress=[rule([FROM], [port("serve-81-udp", "UDP")])]))], tables(["81/UDP"])),
    ),
    case(
        "create and delete a namespace",
        "create-namespace delete-namespace",
        ([Apply(usual())], tables()),
        (
            [Namespace("y-2", {"ns": "y"}), SetPod("y-2/a", {"pod": "a"}), SetPod("y-2/b", {"pod": "b"})],
            tables(lines=("only [xy]/[bc] y-2/b > x/a", "x/a > only [yz]/[ab] y-2/[ab]")),
        ),
        ([Namespace("y-2", None)], tables()),
    ),
    case(
        "a namespace gets the label that a policy asks for and loses it",
        "set-namespace-labels",
        ([Apply(BY_NAMESPACE)], tables(ingress=())),
        ([Namespace("y", {"ns": "y", "new": "yes"})], tables(lines=("only y/* > x/a", EGRESS))),
        ([Namespace("y", {"ns": "y"})], tables(ingress=())),
    ),
    case(
        "create and delete a pod",
        "create-pod delete-pod",
        ([Apply(usual())], tables()),
        ([SetPod("x/d", {"pod": "d"})], tables()),
        ([SetPod("x/d", None)], tables()),
    ),
    case(
        "a pod gets the label that a policy asks for and loses it",
        "set-pod-labels",
        ([Apply(BY_POD)], tables(ingress=())),
        ([SetPod("y/b", {"pod": "b", "new": "yes"})], tables(lines=("only y/b > x/a", EGRESS))),
        ([SetPod("y/b", {"pod": "b"})], tables(ingress=())),
    ),
]

EVERY_POD, EVERY_ADDRESS = [rule([pods(of={})])], [rule([block("0.0.0.0/0")])]
NO_POD, NO_ADDRESS = [rule([pods(of=labels(nobody="has-this"))])], [rule([block("0.0.0.0/31")])]
ALL, NONE = [{}], list[Document]()


def conflict(
    name: str, tags: str, egress: Sequence[Sequence[Document]], ingress: Sequence[Sequence[Document]], line: str = ""
) -> Case:
    """Policies for x/b with these egress rules each, and for y/c with these ingress rules each."""
    policies = [network_policy(f"out-{n}", labels(pod="b"), egress=rules) for n, rules in enumerate(egress)]
    policies += [
        network_policy(f"in-{n}", labels(pod="c"), namespace="y", ingress=rules) for n, rules in enumerate(ingress)
    ]
    return case(name, f"conflict {tags}", ([Apply(policy) for policy in policies], {"*": [line] if line else []}))


CONFLICTS = [
    conflict("deny all egress, allow all ingress", "deny-all allow-all ingress egress", [NONE], [ALL], "x/b > *"),
    conflict("allow all egress, deny all ingress", "deny-all allow-all ingress egress", [ALL], [NONE], "* > y/c"),
    conflict("egress: deny all and allow all", "deny-all allow-all egress", [NONE, ALL], []),
    conflict("ingress: deny all and allow all", "deny-all allow-all ingress", [], [NONE, ALL]),
    conflict("egress: deny all and allow every pod", "deny-all all-pods all-namespaces egress", [NONE, EVERY_POD], []),
    conflict("egress: deny all and allow every address", "deny-all egress", [NONE, EVERY_ADDRESS], []),
    conflict(
        "egress: allow no address and allow every pod", "all-pods all-namespaces egress", [NO_ADDRESS, EVERY_POD], []
    ),
    conflict("egress: allow no pod and allow every address", "egress", [NO_POD, EVERY_ADDRESS], []),
    conflict(
        "ingress: deny all and allow every pod", "deny-all all-pods all-namespaces ingress", [], [NONE, EVERY_POD]
    ),
    conflict("ingress: deny all and allow every address", "deny-all ingress", [], [NONE, EVERY_ADDRESS]),
    conflict(
        "ingress: allow no address and allow every pod", "all-pods all-namespaces ingress", [], [NO_ADDRESS, EVERY_POD]
    ),
    conflict("ingress: allow no pod and allow every address", "ingress", [], [NO_POD, EVERY_ADDRESS]),
    conflict("egress: allow no address", "egress", [NO_ADDRESS], [], "x/b > *"),
    conflict("egress: allow no pod", "egress", [NO_POD], [], "x/b > *"),
    conflict("ingress: allow no address", "ingress", [], [NO_ADDRESS], "* > y/c"),
    conflict("ingress: allow no pod", "ingress", [], [NO_POD], "* > y/c"),
]

BY_NAME = pods(of=labels(**{NAME: "z"}))
NAMESPACES = [
    single(
        "ingress: namespace z by its name",
        "namespaces-by-default-label ingress",
        usual(ingress=[rule([BY_NAME], HTTP)]),
        tables(lines=("only z/* > x/a", EGRESS)),
    ),
    single(
        "egress: namespace z by its name",
        "namespaces-by-default-label egress",
        usual(egress=[rule([BY_NAME], HTTP), DNS]),
        tables(lines=(INGRESS, "x/a > only z/*")),
    ),
]

CYCLONUS = (*_targets(), *RULES, *_peers(), *_ports(), *ACTIONS, *CONFLICTS, *NAMESPACES)
"""All but upstream's end-to-end cases, which are in `policycases_e2e`."""
