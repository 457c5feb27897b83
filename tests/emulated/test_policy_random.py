"""Random policies with real packets: what the oracle says of all pairs is what arrives."""

import random
from collections.abc import Iterator
from typing import Any, Final

import pytest
from policycases_cyclonus import WORLD
from policylab import PolicyLab, policy_lab
from policyworld import Apply, Case, Step, World, probe

from kubinet.policy import Oracle

pytestmark = pytest.mark.emulated

SETS: Final = 50
PROBES: Final = ("80/TCP", "81/UDP")
_LABELS: Final[tuple[Any, ...]] = (
    {},
    {"matchLabels": {"pod": "a"}},
    {"matchExpressions": [{"key": "pod", "operator": "In", "values": ["b", "c"]}]},
    {"matchExpressions": [{"key": "pod", "operator": "NotIn", "values": ["c"]}]},
)
_NAMESPACES: Final[tuple[Any, ...]] = (
    {},
    {"matchLabels": {"ns": "y"}},
    {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["x"]}]},
)
_PORTS: Final[tuple[Any, ...]] = (
    {"port": 80},
    {"port": 81, "protocol": "UDP"},
    {"port": 79, "endPort": 80},
    {"protocol": "UDP"},
    {"port": "serve-80-tcp"},
)
_BLOCKS: Final[tuple[Any, ...]] = (
    {"cidr": "0.0.0.0/0"},
    {"cidr": "<node of a>"},
    {"cidr": "10.0.0.0/8", "except": ["<node of b>"]},
)


def _peer(draw: random.Random) -> Any:
    match draw.randrange(4):
        case 0:
            return {"ipBlock": draw.choice(_BLOCKS)}
        case 1:
            return {"podSelector": draw.choice(_LABELS)}
        case 2:
            return {"namespaceSelector": draw.choice(_NAMESPACES)}
        case _:
            return {"podSelector": draw.choice(_LABELS), "namespaceSelector": draw.choice(_NAMESPACES)}


def _rules(draw: random.Random, peers: str) -> list[Any]:
    rules = []
    for _ in range(draw.randrange(3)):
        rule = {}
        if draw.random() < 0.8:
            rule[peers] = [_peer(draw) for _ in range(draw.randint(1, 2))]
        if draw.random() < 0.6:
            rule["ports"] = draw.sample(_PORTS, draw.randint(1, 2))
        rules.append(rule)
    return rules


def _policy(draw: random.Random, name: str) -> Any:
    spec = {
        "podSelector": draw.choice(_LABELS),
        "policyTypes": draw.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    }
    for kind, field, peers in (("Ingress", "ingress", "from"), ("Egress", "egress", "to")):
        if kind in spec["policyTypes"]:
            spec[field] = _rules(draw, peers)
    metadata = {"name": name, "namespace": draw.choice("xyz")}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyLab]:
    with policy_lab(tmp_path_factory.mktemp("state"), WORLD) as made:
        yield made


def _judged(lab: PolicyLab, world: World) -> dict[str, tuple[str, ...]]:
    """The oracle's table of what the cluster has now, as lines."""
    state = lab.state()
    oracle = Oracle(state)
    ends = {name: oracle.party(state.pods[name].address) for name in world.pods}
    return {
        text: tuple(
            f"{one} > {other}"
            for one in ends
            for other in ends
            if one != other and not oracle.judge(ends[one], ends[other], *probe(text)).allowed
        )
        for text in PROBES
    }


def test_random_policies_are_what_the_oracle_says(lab: PolicyLab) -> None:
    """Fifty sets of up to four policies, each replacing the one before: 72 pairs on TCP and UDP."""
    denied = 0
    for seed in range(SETS):
        draw = random.Random(seed)
        changes = tuple(Apply(_policy(draw, f"p{number}")) for number in range(draw.randint(1, 4)))
        world = WORLD
        for change in changes:
            world = change(world)
        lab.become(world)
        step = Step(changes, _judged(lab, world))
        denied += sum(map(len, step.tables.values()))
        wrong = lab.disagreements(Case(f"set {seed}", "random", WORLD, (step,)), world, step)
        assert not wrong, f"set {seed}: {[change.policy for change in changes]}\n" + "\n".join(wrong[:20])
    # Neither everything nor nothing: otherwise agreeing would be easy.
    assert 0.2 < denied / (SETS * 2 * 72) < 0.9
