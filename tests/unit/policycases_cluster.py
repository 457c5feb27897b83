"""What the conformance tests of kubernetes-sigs/network-policy-api check, by policies of our own, in all kinds.

Four namespaces of two pods each, and the nodes. Upstream probes some cells of each table; here they are all written.
"""

from collections.abc import Mapping, Sequence

from policydialects import ADMIN, BASELINE, Dialect, Rule
from policyworld import NAME, Apply, Case, Change, Delete, Namespace, World, steps
from policywriting import Document, labels, network_policy, pods, rule, swapped

from kubinet.state import ContainerPort
from kubinet.transport import Protocol

PROBES = ("80/TCP", "8080/TCP", "53/UDP", "5353/UDP", "9003/SCTP", "9005/SCTP")
TEAMS = ("red", "green", "gold", "blue")
WORLD = World(
    namespaces={team: {"team": team, NAME: team} for team in TEAMS},
    pods={f"{team}/{name}": {"team": team} for team in TEAMS for name in "01"},
    ports=[ContainerPort("web", 80, Protocol.TCP), ContainerPort("dns", 53, Protocol.UDP)],
    placement={"0": "n1", "1": "n2"},
    nodes={name: {"os": "linux"} for name in ("n1", "n2", "n3")},
)
OTHERS = ("node/n1", "node/n2", "node/n3", "outside/host")
TIERS = {"Admin": ADMIN, "Baseline": BASELINE}
Table = Mapping[str, Sequence[str]]


def case(upstream: str, dialect: Dialect, *each: tuple[Sequence[Change], Table]) -> Case:
    name = f"{upstream} by {dialect.kind}"
    return Case(name, upstream, WORLD, steps(*each, probes=PROBES), others=OTHERS)


def team(name: str) -> Document:
    """All of a team's namespace, by its name: as a subject and as a peer."""
    return {"namespaces": labels(**{NAME: name})}


def team_pods(name: str) -> Document:
    """A team's pods, by labels of namespace and pods."""
    return {"pods": {"namespaceSelector": labels(team=name), "podSelector": labels(team=name)}}


NODES = {"nodes": labels(os="linux")}
EVERYWHERE = {"networks": ["0.0.0.0/0", "::/0"]}


def ordered(friend: str, refused: str, ports: Sequence[str], half: str, opened: Sequence[str], tier: str) -> list[Rule]:
    """Rules that contradict each other, so that their order counts; only the admin tier passes on."""
    admin = tier == "Admin"
    return [
        ("accept", [team(friend)], None),
        ("deny", [team(friend)], None),
        *([("pass", [team(friend)], None)] if admin else []),
        ("deny", [team(refused)], ports),
        *([("pass", [team(refused)], ports)] if admin else []),
        ("accept", [team(half)], opened),
        ("deny", [team(half)], None),
    ]


def lines(tables: Sequence[tuple[str, Sequence[str]]]) -> Table:
    """Each line, and the probes that it is for."""
    return {probe: [line for line, probes in tables if probe in probes] for probe in PROBES}


def but(*probes: str) -> list[str]:
    return [probe for probe in PROBES if probe not in probes]


# Upstream's name, direction, subject, friend, refused on a port, half open on a port.
ORDERED = (
    ("EgressTCP", "egress", "red", "blue", ("green", "80/TCP"), ("gold", "8080/TCP")),
    ("EgressUDP", "egress", "gold", "blue", ("green", "5353/UDP"), ("red", "53/UDP")),
    ("EgressSCTP", "egress", "blue", "red", ("green", "9003/SCTP"), ("gold", "9003/SCTP")),
    ("IngressTCP", "ingress", "red", "blue", ("green", "80/TCP"), ("gold", "80/TCP")),
    ("IngressUDP", "ingress", "gold", "blue", ("green", "5353/UDP"), ("red", "53/UDP")),
    ("IngressSCTP", "ingress", "blue", "red", ("green", "9003/SCTP"), ("gold", "9003/SCTP")),
)


def _one_direction(tier: str, dialect: Dialect) -> list[Case]:
    found = []
    for name, direction, subject, friend, (refused, port), (half, opened) in ORDERED:
        rules = {direction: ordered(friend, refused, [port], half, [opened], tier)}
        policy = dialect.policy(name.lower(), team(subject), **rules)

        def cut(other: str, subject: str = subject, direction: str = direction) -> str:
            return f"{subject}/* > {other}/*" if direction == "egress" else f"{other}/* > {subject}/*"

        closed = (cut(half), but(opened))
        each = [
            ([Apply(policy)], lines([(cut(refused), [port]), closed])),
            ([Apply(denied := swapped(policy, 0, 1))], lines([(cut(friend), PROBES), (cut(refused), [port]), closed])),
        ]
        if tier == "Admin":
            passed = swapped(denied, 0, 2)
            each += [
                ([Apply(passed)], lines([(cut(refused), [port]), closed])),
                ([Apply(swapped(passed, 3, 4))], lines([closed])),
            ]
        found.append(case(f"CNP{tier}Tier{name}", dialect, *each))
    return found


REFUSED = ("80/TCP", "53/UDP", "9003/SCTP")
OUT, IN = ("8080/TCP", "5353/UDP", "9003/SCTP"), ("80/TCP", "5353/UDP", "9003/SCTP")


def _both_directions(tier: str, dialect: Dialect) -> Case:
    policy = dialect.policy(
        "gress",
        team("red"),
        ingress=ordered("blue", "green", REFUSED, "gold", IN, tier),
        egress=ordered("blue", "green", REFUSED, "gold", OUT, tier),
    )
    green = [("red/* > green/*", REFUSED), ("green/* > red/*", REFUSED)]
    gold = [("red/* > gold/*", but(*OUT)), ("gold/* > red/*", but(*IN))]
    blue = [("red/* > blue/*", PROBES), ("blue/* > red/*", PROBES)]
    each = [
        ([Apply(policy)], lines([*green, *gold])),
        ([Apply(denied := swapped(policy, 0, 1))], lines([*blue, *green, *gold])),
    ]
    if tier == "Admin":
        passed = swapped(denied, 0, 2)
        each += [
            ([Apply(passed)], lines([*green, *gold])),
            ([Apply(swapped(passed, 3, 4))], lines(gold)),
        ]
    return case(f"CNP{tier}TierGress", dialect, *each)


def _blocks(tier: str, dialect: Dialect) -> Case:
    rules: list[Rule] = [("accept", [team_pods("green")], None), ("deny", [EVERYWHERE], None)]
    first: Rule = ("accept", [{"networks": ["<blue/0>/32", "<gold/0>/32"]}], None)
    policy = dialect.policy("blocks", team_pods("red"), egress=rules)
    return case(
        f"CNP{tier}TierEgressInlineCIDRPeers",
        dialect,
        ([Apply(policy)], {"*": ["red/* > only green/*"]}),
        ([Namespace("green", {"team": "another"})], {"*": ["red/* > *"]}),
        ([Namespace("green", {"team": "green"})], {"*": ["red/* > only green/*"]}),
        (
            [Apply(dialect.policy("blocks", team_pods("red"), egress=[first, *rules]))],
            {"*": ["red/* > only green/* blue/0 gold/0"]},
        ),
    )


# Upstream's name, direction, subject, half open on the port of this name; its number and protocol.
NAMED = {
    "Admin": (
        ("EgressNamedPort", "egress", "red", "gold", "web", "80/TCP"),
        ("IngressNamedPort", "ingress", "gold", "red", "dns", "53/UDP"),
    ),
    "Baseline": (
        ("EgressNamedPort", "egress", "gold", "red", "dns", "53/UDP"),
        ("IngressNamedPort", "ingress", "red", "gold", "web", "80/TCP"),
    ),
}


def _named_ports(tier: str, dialect: Dialect) -> list[Case]:
    found = []
    for name, direction, subject, half, port, probe in NAMED[tier]:
        policy = dialect.policy(
            "named", team(subject), **{direction: [("accept", [team(half)], [port]), ("deny", [team(half)], None)]}
        )
        line = f"{subject}/* > {half}/*" if direction == "egress" else f"{half}/* > {subject}/*"
        found.append(case(f"CNP{tier}Tier{name}", dialect, ([Apply(policy)], lines([(line, but(probe))]))))
    return found


def _nodes(tier: str, dialect: Dialect) -> Case:
    opened: tuple[str, ...]
    if tier == "Admin":
        opened = ("80/TCP", "53/UDP")
        rules: list[Rule] = [
            ("accept", [NODES], ["80/TCP"]),
            ("pass", [NODES], ["53/UDP"]),
            ("deny", [team_pods("green"), NODES, EVERYWHERE], None),
        ]
    else:
        opened = ("80/TCP", "8080/TCP")
        rules = [("accept", [NODES], ["80-8080/TCP"]), ("deny", [NODES, EVERYWHERE], None)]
    policy = dialect.policy("nodes", team_pods("red"), egress=rules)
    table = lines([("red/* > only node/*", opened), ("red/* > *", but(*opened))])
    return case(f"CNP{tier}TierEgressNodePeers", dialect, ([Apply(policy)], table))


def _between(dialect: Dialect, name: str, ingress: str, egress: str, priority: int = 10) -> Document:
    """A policy between red and green."""
    green = [team_pods("green")]
    return dialect.policy(
        name,
        team_pods("red"),
        priority=priority,
        ingress=[(ingress, green, None)],
        egress=[(egress, green, None)],
    )


APART = {"*": ["green/* > red/*", "red/* > green/*"]}
FROM_GREEN = [rule([pods(of=labels(team="green"))])]
ALLOWANCE = network_policy("green", namespace="red", ingress=FROM_GREEN, egress=FROM_GREEN)
NOBODY_IN = (
    "*/[01] node/n2 node/n3 outside/host > red/0",
    "*/[01] node/n1 node/n3 outside/host > red/1",
)
"""A node reaches its own pods."""
GREEN_IN = (
    "red/* gold/* blue/* node/n2 node/n3 outside/host > red/0",
    "red/* gold/* blue/* node/n1 node/n3 outside/host > red/1",
)


def _priorities(admin: Dialect, baseline: Dialect) -> Case:
    return case(
        "CNPAdminTierPriorityField",
        admin,
        (
            [
                Apply(_between(admin, "fifty", "deny", "deny", 50)),
                Apply(_between(admin, "moving", "pass", "pass", 60)),
                Apply(_between(baseline, "default", "accept", "accept")),
            ],
            APART,
        ),
        ([Apply(_between(admin, "moving", "pass", "pass", 40))], {"*": []}),
    )


def _tiers(admin: Dialect, baseline: Dialect) -> Case:
    return case(
        "CNPAdminTierIntegration",
        admin,
        (
            [
                Apply(_between(admin, "first", "deny", "deny")),
                Apply(ALLOWANCE),
                Apply(_between(baseline, "default", "deny", "deny")),
            ],
            {"*": ["red/* > *", *NOBODY_IN]},
        ),
        ([Apply(_between(admin, "first", "pass", "deny"))], {"*": ["red/* > *", *GREEN_IN]}),
        ([Apply(_between(admin, "first", "pass", "pass"))], {"*": ["red/* > only green/*", *GREEN_IN]}),
        ([Delete(ALLOWANCE)], APART),
    )


CLUSTER_CASES: tuple[Case, ...] = (
    *(
        found
        for tier, dialects in TIERS.items()
        for dialect in dialects
        for found in (
            *_one_direction(tier, dialect),
            _both_directions(tier, dialect),
            _blocks(tier, dialect),
            *_named_ports(tier, dialect),
            _nodes(tier, dialect),
        )
    ),
    *map(_priorities, ADMIN, BASELINE),
    *map(_tiers, ADMIN, BASELINE),
)
